package kinesis

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// Quotas of registered consumers.
const (
	maxConsumers         = 20 // of a stream
	maxAdvantage         = 50 // of an on-demand stream while the account is committed to a minimum of throughput
	maxCreatingConsumers = 5  // of a stream at a time
)

// A consumer is a registered consumer of a stream, as stored in it.
type consumer struct {
	Name    string
	Created int64 // milliseconds since the epoch
	// Status holds until the moment Until (milliseconds); then a consumer that is deleting is gone and any other active.
	Status status
	Until  int64
}

// id is the end of the consumer's ARN: its name and creation time.
func (c *consumer) id() string { return fmt.Sprintf("%s:%d", c.Name, c.Created/1000) }

// state is the consumer's status at a moment, "" when it is gone.
func (c *consumer) state(now time.Time) status {
	switch {
	case now.UnixMilli() < c.Until:
		return c.Status
	case c.Status == deleting:
		return ""
	default:
		return active
	}
}

// consumer finds the consumer that is not gone and that want is true of.
func (st *stream) consumer(now time.Time, want func(*consumer) bool) (*consumer, bool) {
	for i := range st.Consumers {
		if c := &st.Consumers[i]; c.state(now) != "" && want(c) {
			return c, true
		}
	}
	return nil, false
}

// hasConsumer tells whether the stream has the consumer "NAME:SECONDS".
func (st *stream) hasConsumer(id string) bool {
	return slices.ContainsFunc(st.Consumers, func(c consumer) bool { return c.id() == id })
}

// consumers counts those that are not gone, and those that are being created.
func (st *stream) consumers(now time.Time) (all, pending int) {
	for i := range st.Consumers {
		switch st.Consumers[i].state(now) {
		case "":
			continue
		case creating:
			pending++
		}
		all++
	}
	return all, pending
}

// withConsumers is a copy of st whose consumers may be changed, without those that are gone.
func (st *stream) withConsumers(now time.Time) *stream {
	next := st.clone()
	next.Consumers = slices.DeleteFunc(slices.Clone(st.Consumers), func(c consumer) bool { return c.state(now) == "" })
	return next
}

// consumerRef is how operations name a consumer: by its ARN, by its stream and name, or by both if they agree.
type consumerRef struct {
	StreamARN    *string `len:"1..2048" pattern:"arn:aws.*:kinesis:.*:\\d{12}:stream/\\S+"`
	ConsumerName *string `len:"1..128" pattern:"[a-zA-Z0-9_.-]+"`
	ConsumerARN  *string `len:"1..2048" pattern:"^(arn):aws.*:kinesis:.*:\\d{12}:.*stream\\/[a-zA-Z0-9_.-]+\\/consumer\\/[a-zA-Z0-9_.-]+:[0-9]+"`
	StreamId     *string `len:"1..24"`
}

// A consumerName is a reference taken apart: a consumer of a stream, by name or by id.
type consumerName struct{ stream, name, id string }

// is tells whether c is the consumer that is meant.
func (n consumerName) is(c *consumer) bool { return c.Name == n.name && (n.id == "" || c.id() == n.id) }

// consumerName takes a reference apart.
func (s *Service) consumerName(r *consumerRef) (consumerName, error) {
	if r.ConsumerARN == nil {
		if r.StreamARN == nil || r.ConsumerName == nil {
			return consumerName{}, wire.Errorf(invalidArgument, "Either ConsumerARN, or both StreamARN and ConsumerName should be provided.")
		}
		stream, err := s.name(&streamRef{StreamARN: r.StreamARN})
		return consumerName{stream: stream, name: *r.ConsumerName}, err
	}
	_, path, _ := strings.Cut(*r.ConsumerARN, "stream/")
	stream, id, _ := strings.Cut(path, "/consumer/")
	name, _, _ := strings.Cut(id, ":")
	if parts := strings.SplitN(*r.ConsumerARN, ":", 6); parts[3] != s.o.Region || parts[4] != s.o.Account {
		return consumerName{}, s.noSuchConsumer(name)
	}
	if r.StreamARN != nil && *r.StreamARN != s.arn(stream) || r.ConsumerName != nil && *r.ConsumerName != name {
		return consumerName{}, wire.Errorf(invalidArgument, "StreamARN and ConsumerName do not match ConsumerARN %s.", *r.ConsumerARN)
	}
	return consumerName{stream, name, id}, nil
}

// findConsumer resolves a reference to a consumer, and its stream, as they are on disk.
func (s *Service) findConsumer(r *consumerRef, now time.Time) (*stream, *consumer, error) {
	n, err := s.consumerName(r)
	if err != nil {
		return nil, nil, err
	}
	st, err := s.live(s.streams(), n.stream, now)
	if err != nil {
		return nil, nil, err
	}
	c, ok := st.consumer(now, n.is)
	if !ok {
		return nil, nil, s.noSuchConsumer(n.name)
	}
	return st, c, nil
}

func (s *Service) noSuchConsumer(name string) error {
	return wire.Errorf(resourceNotFound, "Consumer %s, account %s not found.", name, s.o.Account)
}

func (s *Service) consumerARN(st *stream, c *consumer) string {
	return s.arn(st.Name) + "/consumer/" + c.id()
}

func (s *Service) describeConsumer(st *stream, c *consumer, now time.Time) *types.Consumer {
	arn, created := s.consumerARN(st, c), time.UnixMilli(c.Created)
	return &types.Consumer{ConsumerName: &c.Name, ConsumerARN: &arn, ConsumerStatus: types.ConsumerStatus(c.state(now)), ConsumerCreationTimestamp: &created}
}
