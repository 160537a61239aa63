package kinesis

import (
	"context"
	"sync"
	"time"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

type subscribeToShardInput struct {
	ConsumerARN      *string           `required:"true" len:"1..2048" pattern:"^(arn):aws.*:kinesis:.*:\\d{12}:.*stream\\/[a-zA-Z0-9_.-]+\\/consumer\\/[a-zA-Z0-9_.-]+:[0-9]+"`
	ShardId          *string           `required:"true" len:"1..128" pattern:"[a-zA-Z0-9_.-]+"`
	StartingPosition *startingPosition `required:"true"`
	DryRun           *bool
	StreamId         *string `len:"1..24"`
}

type startingPosition struct {
	Type           *string `required:"true" enum:"AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, AT_SEQUENCE_NUMBER, TRIM_HORIZON"`
	SequenceNumber *string `pattern:"0|([1-9]\\d{0,128})"`
	Timestamp      *time.Time
}

func (s *Service) subscribeToShard(_ context.Context, in *subscribeToShardInput) (any, error) {
	now := s.now()
	st, c, err := s.findConsumer(&consumerRef{ConsumerARN: in.ConsumerARN}, now)
	if err != nil {
		return nil, err
	}
	if c.state(now) != active {
		return nil, wire.Errorf(resourceInUse, "Consumer %s with creation timestamp %d under stream: %s , account %s is not in ACTIVE status.", c.Name, c.Created/1000, st.Name, s.o.Account)
	}
	index, ok := shardIndex(*in.ShardId)
	if !ok {
		return nil, s.couldNotFindShard(st.Name, *in.ShardId)
	}
	sh, ok := st.shard(index)
	if !ok || st.state(now) == creating || sh.gone(st.horizon(now)) {
		return nil, s.noSuchShard(st.Name, shardID(index))
	}
	at := in.StartingPosition
	counter, err := s.resolve(st, sh, &getShardIteratorInput{ShardIteratorType: at.Type, StartingSequenceNumber: at.SequenceNumber, Timestamp: at.Timestamp}, now)
	if err != nil {
		return nil, err
	}
	key := subscriptionKey{s.consumerARN(st, c), index}
	dry := dryRun(in.DryRun)
	sub, ok := s.subscriptions.take(key, now, dry != nil)
	switch {
	case !ok:
		return nil, wire.Errorf(resourceInUse, "Another active subscription exists for this consumer")
	case dry != nil:
		return nil, dry
	}
	f := &feed{s: s, key: key, sub: sub, stream: st.ID, name: st.Name, consumer: c.id(), tail: sh.tail, next: counter}
	return &wire.Stream{Run: f.run}, nil
}

// takeover is how long after a successful call of SubscribeToShard the next one for the same consumer and shard is
// refused. A later one takes the subscription over, and the older one ends.
const takeover = 5 * time.Second

// subscriptions are the newest of each consumer and shard. The zero value is ready to use.
type subscriptions struct {
	mu  sync.Mutex
	all map[subscriptionKey]*subscription
}

type subscriptionKey struct {
	consumer string // its ARN
	shard    uint32
}

type subscription struct {
	began    time.Time
	ended    bool          // guarded by subscriptions.mu
	replaced chan struct{} // closed when a newer one took over
}

// take makes a new subscription the newest, unless there was one too shortly before. With dry it only says whether it
// would.
func (all *subscriptions) take(key subscriptionKey, now time.Time, dry bool) (*subscription, bool) {
	all.mu.Lock()
	defer all.mu.Unlock()
	old := all.all[key]
	if old != nil && now.Sub(old.began) < takeover {
		return nil, false
	}
	if dry {
		return nil, true
	}
	for other, sub := range all.all { // those that ended and keep nobody out
		if sub.ended && now.Sub(sub.began) >= takeover {
			delete(all.all, other)
		}
	}
	if old != nil && !old.ended {
		close(old.replaced)
	}
	if all.all == nil {
		all.all = map[subscriptionKey]*subscription{}
	}
	sub := &subscription{began: now, replaced: make(chan struct{})}
	all.all[key] = sub
	return sub, true
}

// end says that the subscription has come to its end.
func (all *subscriptions) end(sub *subscription) {
	all.mu.Lock()
	defer all.mu.Unlock()
	sub.ended = true
}
