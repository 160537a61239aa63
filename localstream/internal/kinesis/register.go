package kinesis

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/localstream/internal/storage"
	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

type registerStreamConsumerInput struct {
	StreamARN    *string           `required:"true" len:"1..2048" pattern:"arn:aws.*:kinesis:.*:\\d{12}:stream/\\S+"`
	ConsumerName *string           `required:"true" len:"1..128" pattern:"[a-zA-Z0-9_.-]+"`
	Tags         map[string]string `len:"1..200" keys:"1..128" values:"0..256"`
	StreamId     *string           `len:"1..24"`
}

func (s *Service) registerStreamConsumer(ctx context.Context, in *registerStreamConsumerInput) (any, error) {
	name, err := s.name(&streamRef{StreamARN: in.StreamARN})
	if err == nil {
		err = checkTags(in.Tags)
	}
	if err == nil {
		err = s.permitTags(name, in.Tags, len(in.Tags))
	}
	if err != nil {
		return nil, err
	}
	var out *kinesis.RegisterStreamConsumerOutput
	err = s.change(ctx, name, func(tx *storage.Tx, st *stream, now time.Time) (*stream, error) {
		if err := s.settled(st, now); err != nil {
			return nil, err
		}
		if err := s.roomForConsumer(st, *in.ConsumerName, now); err != nil {
			return nil, err
		}
		if err := tx.Space(); err != nil {
			return nil, err
		}
		c := consumer{Name: *in.ConsumerName, Created: now.UnixMilli(), Status: creating, Until: now.Add(s.o.Transition).UnixMilli()}
		st = st.withConsumers(now)
		st.Consumers = append(st.Consumers, c)
		st.setTags(c.id(), in.Tags)
		out = &kinesis.RegisterStreamConsumerOutput{Consumer: s.describeConsumer(st, &c, now)}
		return st, nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// roomForConsumer refuses a name that is taken, and more consumers than a stream may have. It runs on the store's writer.
func (s *Service) roomForConsumer(st *stream, name string, now time.Time) error {
	if _, taken := st.consumer(now, consumerName{name: name}.is); taken {
		return wire.Errorf(resourceInUse, "Consumer %s under stream %s, account %s already exists.", name, st.Name, s.o.Account)
	}
	most := maxConsumers
	if st.Mode == onDemand && s.latestAccount.committed(now) {
		most = maxAdvantage
	}
	all, pending := st.consumers(now)
	switch {
	case all >= most:
		return wire.Errorf(limitExceeded, "Limit of %d consumers exceeded for stream %s under account %s.", most, st.Name, s.o.Account)
	case pending >= maxCreatingConsumers:
		return wire.Errorf(limitExceeded, "Limit of %d concurrent RegisterStreamConsumer requests exceeded for stream %s under account %s.", maxCreatingConsumers, st.Name, s.o.Account)
	}
	return nil
}

type describeStreamConsumerInput struct{ consumerRef }

func (s *Service) describeStreamConsumer(_ context.Context, in *describeStreamConsumerInput) (any, error) {
	now := s.now()
	st, c, err := s.findConsumer(&in.consumerRef, now)
	if err != nil {
		return nil, err
	}
	d, arn := s.describeConsumer(st, c, now), s.arn(st.Name)
	return &kinesis.DescribeStreamConsumerOutput{ConsumerDescription: &types.ConsumerDescription{
		ConsumerName: d.ConsumerName, ConsumerARN: d.ConsumerARN, ConsumerStatus: d.ConsumerStatus,
		ConsumerCreationTimestamp: d.ConsumerCreationTimestamp, StreamARN: &arn,
	}}, nil
}

type deregisterStreamConsumerInput struct{ consumerRef }

func (s *Service) deregisterStreamConsumer(ctx context.Context, in *deregisterStreamConsumerInput) (any, error) {
	n, err := s.consumerName(&in.consumerRef)
	if err != nil {
		return nil, err
	}
	return nil, s.change(ctx, n.stream, func(_ *storage.Tx, st *stream, now time.Time) (*stream, error) {
		next := st.withConsumers(now)
		c, ok := next.consumer(now, n.is)
		switch {
		case !ok:
			return nil, s.noSuchConsumer(n.name)
		case c.state(now) == deleting:
			return st, nil
		}
		c.Status, c.Until = deleting, now.Add(s.o.Transition).UnixMilli()
		return next.withConsumers(now), nil
	})
}

type listStreamConsumersInput struct {
	StreamARN               *string `required:"true" len:"1..2048" pattern:"arn:aws.*:kinesis:.*:\\d{12}:stream/\\S+"`
	NextToken               *string `len:"1..1048576"`
	MaxResults              *int32  `range:"1..10000"`
	StreamCreationTimestamp *time.Time
	StreamId                *string `len:"1..24"`
}

// maxListedConsumers is the most consumers in an answer of ListStreamConsumers.
const maxListedConsumers = 100

// A consumerToken is what a NextToken of ListStreamConsumers says: the stream, and the name behind which to go on.
type consumerToken struct {
	Stream uint64
	After  string
}

func (s *Service) listStreamConsumers(_ context.Context, in *listStreamConsumersInput) (any, error) {
	st, err := s.find(&streamRef{StreamARN: in.StreamARN})
	if err != nil {
		return nil, err
	}
	if at := in.StreamCreationTimestamp; at != nil && at.Unix() != st.Created/1000 {
		return nil, s.streamNotFound(st.Name)
	}
	var t consumerToken
	if in.NextToken != nil {
		if t, err = s.openConsumerToken(st, *in.NextToken); err != nil {
			return nil, err
		}
	}
	limit := maxListedConsumers
	if in.MaxResults != nil {
		limit = min(limit, int(*in.MaxResults))
	}
	now := s.now()
	sorted := slices.SortedFunc(slices.Values(st.Consumers), func(a, b consumer) int { return strings.Compare(a.Name, b.Name) })
	out := &kinesis.ListStreamConsumersOutput{Consumers: []types.Consumer{}}
	for i := range sorted {
		c := &sorted[i]
		if c.Name <= t.After || c.state(now) == "" {
			continue
		}
		if len(out.Consumers) == limit {
			token := s.sealConsumerToken(consumerToken{st.ID, *out.Consumers[limit-1].ConsumerName})
			out.NextToken = &token
			break
		}
		out.Consumers = append(out.Consumers, *s.describeConsumer(st, c, now))
	}
	return out, nil
}

func (s *Service) sealConsumerToken(t consumerToken) string {
	b, err := json.Marshal(t)
	if err != nil {
		panic("kinesis: encoding a token: " + err.Error()) // plain fields only
	}
	return s.seal.wrap(kindConsumerToken, b)
}

func (s *Service) openConsumerToken(st *stream, text string) (t consumerToken, err error) {
	b, created, ok := s.seal.unwrap(kindConsumerToken, text)
	if !ok || json.Unmarshal(b, &t) != nil || t.Stream != st.ID {
		return t, badToken()
	}
	if s.seal.expired(created) {
		return t, wire.Errorf("ExpiredNextTokenException", "The pagination token has expired: tokens are valid for %d seconds.", int(lifetime.Seconds()))
	}
	return t, nil
}

// releaseConsumers says what becomes of a stream's consumers when the stream is deleted: it is refused while there are
// any, unless the caller wants them deleted too.
func (s *Service) releaseConsumers(st *stream, enforce *bool, now time.Time) error {
	all, _ := st.consumers(now)
	if all == 0 || enforce != nil && *enforce {
		return nil
	}
	return wire.Errorf(resourceInUse, "Stream %s under account %s has %d registered consumers. Deregister them, or set EnforceConsumerDeletion.", st.Name, s.o.Account, all)
}
