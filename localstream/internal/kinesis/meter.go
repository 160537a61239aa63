package kinesis

import (
	"context"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// An allowance is how many calls of an operation a second go through: of the whole account, or of each stream.
type allowance struct {
	calls     float64
	perStream bool
}

// allowances are the rates of control calls as the API reference has them. Operations that it gives no rate for are
// not metered; those that carry records have rates per shard.
var allowances = map[string]allowance{
	"AddTagsToStream":               {calls: 5},
	"CreateChannel":                 {calls: 5},
	"CreateStream":                  {calls: 5},
	"DecreaseStreamRetentionPeriod": {calls: 5},
	"DeleteChannel":                 {calls: 5},
	"DeleteStream":                  {calls: 5},
	"DeregisterStreamConsumer":      {calls: 5, perStream: true},
	"DescribeAccountSettings":       {calls: 5},
	"DescribeChannel":               {calls: 5},
	"DescribeLimits":                {calls: 1},
	"DescribeStream":                {calls: 10},
	"DescribeStreamConsumer":        {calls: 20},
	"DescribeStreamSummary":         {calls: 20},
	"IncreaseStreamRetentionPeriod": {calls: 5},
	"ListChannels":                  {calls: 5},
	"ListShards":                    {calls: 1000, perStream: true},
	"ListStreamConsumers":           {calls: 5, perStream: true},
	"ListStreams":                   {calls: 5},
	"ListTagsForStream":             {calls: 5},
	"MergeShards":                   {calls: 5},
	"RegisterStreamConsumer":        {calls: 5},
	"RemoveTagsFromStream":          {calls: 5},
	"SplitShard":                    {calls: 5},
	"UpdateAccountSettings":         {calls: 5},
	"UpdateChannel":                 {calls: 5},
	"UpdateShardCount":              {calls: 10},
	"UpdateStreamWarmThroughput":    {calls: 5},
}

// A meter counts the control calls of the account.
type meter struct {
	mu      sync.Mutex
	buckets map[string]*bucket
}

// maxMeters bounds the buckets kept: names come from callers. Those that are full again are dropped first.
const maxMeters = 10_000

func (m *meter) take(now time.Time, key string, r rate) bool {
	m.mu.Lock()
	b := m.buckets[key]
	if b == nil {
		if len(m.buckets) >= maxMeters {
			m.drop(now)
		}
		if m.buckets == nil {
			m.buckets = map[string]*bucket{}
		}
		b = new(bucket)
		m.buckets[key] = b
	}
	m.mu.Unlock()
	return b.take(now, 1, 0, r)
}

// drop forgets the buckets that were not used for a second, or all if there are none.
func (m *meter) drop(now time.Time) {
	for key, b := range m.buckets {
		b.mu.Lock()
		idle := now.Sub(b.last) > time.Second
		b.mu.Unlock()
		if idle {
			delete(m.buckets, key)
		}
	}
	if len(m.buckets) >= maxMeters {
		clear(m.buckets)
	}
}

// metered lets an operation's calls through at its rate; the others get a LimitExceededException.
func (s *Service) metered(op wire.Operation) wire.Operation {
	a, ok := allowances[op.Name]
	if !ok || s.o.Limits.Control == 0 {
		return op
	}
	handle, r := op.Handle, rate{count: a.calls * s.o.Limits.Control}
	op.Handle = func(ctx context.Context, in any) (any, error) {
		name := streamOf(in)
		key := op.Name
		if a.perStream {
			key += " " + name
		}
		if s.meter.take(s.now(), key, r) {
			return handle(ctx, in)
		}
		if name == "" {
			return nil, wire.Errorf(limitExceeded, "Rate exceeded for account %s.", s.o.Account)
		}
		return nil, wire.Errorf(limitExceeded, "Rate exceeded for stream %s under account %s.", name, s.o.Account)
	}
	return op
}

// streamOf is the name of the stream that an input is about, "" if it names none.
func streamOf(in any) string {
	v := reflect.ValueOf(in).Elem()
	for _, member := range []string{"StreamName", "StreamARN", "ConsumerARN"} {
		f := v.FieldByName(member)
		if !f.IsValid() || f.Kind() != reflect.Pointer || f.IsNil() || f.Elem().Kind() != reflect.String {
			continue
		}
		text := f.Elem().String()
		if _, name, ok := strings.Cut(text, "stream/"); ok {
			text, _, _ = strings.Cut(name, "/")
		}
		return text
	}
	return ""
}
