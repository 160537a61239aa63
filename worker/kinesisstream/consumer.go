package kinesisstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/worker"
)

const (
	// quota is how many consumers a stream may have; accounts with on-demand Advantage have 50 (Kinesis developer guide,
	// "Quotas and Limits").
	quota = 20
	// retryRegistering is how long readers poll before somebody tries again to register the consumer.
	retryRegistering = 5 * time.Minute
	// lookEvery is the time between two looks at a consumer that is not ACTIVE yet.
	lookEvery = time.Second
)

// A consumer is the registered consumer of a Stream's readers. The first reader that needs it registers it.
type consumer struct {
	stream *Stream
	given  string // its name or ARN
	// busy has one slot, which whoever asks the service about the consumer takes meanwhile.
	busy  chan struct{}
	known atomic.Pointer[standing] // nil if nothing is
}

// standing is what the readers go by.
type standing struct {
	arn   string    // of the consumer, which was ACTIVE; "" if there is no room for it and readers are to poll
	until time.Time // the latter holds so long
}

func newConsumer(s *Stream, given string) *consumer {
	return &consumer{stream: s, given: given, busy: make(chan struct{}, 1)}
}

// badConsumer is what is wrong with a consumer's name or ARN.
func badConsumer(given string) error {
	if strings.HasPrefix(given, "arn:") && strings.Contains(given, ":stream/") && strings.Contains(given, "/consumer/") || validName.MatchString(given) {
		return nil
	}
	return fmt.Errorf("FanOut %.200q: want a consumer's name of 1 to 128 characters out of a-z, A-Z, 0-9, _ . -, or arn:…:stream/NAME/consumer/NAME:TIME", given)
}

// errNoRoom says that the stream has as many consumers as it may have.
var errNoRoom = errors.New("no room for another consumer")

// active returns the ARN of the consumer, which is registered if need be and waited for, or "" if readers are to poll.
// That the latter begins is an error, once, so that it is logged.
func (c *consumer) active(ctx context.Context) (string, error) {
	if k := c.current(); k != nil {
		return k.arn, nil
	}
	select {
	case c.busy <- struct{}{}:
		defer func() { <-c.busy }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	if k := c.current(); k != nil {
		return k.arn, nil
	}
	before := c.known.Load()
	arn, err := c.register(ctx)
	switch {
	case errors.Is(err, errNoRoom):
		c.known.Store(&standing{until: c.stream.o.Clock.Now().Add(retryRegistering)})
		if before != nil {
			return "", nil // it went on
		}
		return "", fmt.Errorf("%w; reading stream %s by polling, and trying again every %v", err, c.stream.name, retryRegistering)
	case err != nil:
		return "", err
	}
	c.known.Store(&standing{arn: arn})
	return arn, nil
}

// current is what is known and still holds, or nil.
func (c *consumer) current() *standing {
	k := c.known.Load()
	if k == nil || k.arn == "" && !c.stream.o.Clock.Now().Before(k.until) {
		return nil
	}
	return k
}

// forget makes the next reader look again, if arn is still what is known.
func (c *consumer) forget(arn string) {
	if k := c.known.Load(); k != nil && k.arn == arn {
		c.known.CompareAndSwap(k, nil)
	}
}

// register finds the consumer, or registers it, and waits until it is ACTIVE.
func (c *consumer) register(ctx context.Context) (string, error) {
	for refused := 0; ; {
		d, err := c.describe(ctx)
		switch {
		case err == nil && d.ConsumerStatus == types.ConsumerStatusActive:
			return aws.ToString(d.ConsumerARN), nil
		case err == nil: // on its way
		case is[*types.ResourceNotFoundException](err) && !c.byARN():
			err = c.create(ctx)
			if err == nil {
				continue
			}
			if refused++; !is[*types.ResourceInUseException](err) || refused == 3 {
				return "", err
			}
			// Somebody else was faster, or the stream is just changing.
		default:
			return "", failed(fmt.Sprintf("looking for consumer %s of stream %s", c.given, c.stream.name), err, nil)
		}
		if err := c.stream.o.Clock.Sleep(ctx, lookEvery); err != nil {
			return "", err
		}
	}
}

func (c *consumer) byARN() bool { return strings.HasPrefix(c.given, "arn:") }

// ref says which consumer to the calls that take both forms.
func (c *consumer) ref(ctx context.Context) (streamARN, name, arn *string, err error) {
	if c.byARN() {
		return nil, nil, &c.given, nil
	}
	if streamARN = c.stream.byARN(); streamARN == nil {
		d, err := c.stream.describe(ctx)
		if err != nil {
			return nil, nil, nil, failed("looking for stream "+c.stream.name, err, worker.ErrNoStream)
		}
		streamARN = d.StreamARN
	}
	return streamARN, &c.given, nil, nil
}

func (c *consumer) describe(ctx context.Context) (*types.ConsumerDescription, error) {
	stream, name, arn, err := c.ref(ctx)
	if err != nil {
		return nil, err
	}
	out, err := c.stream.api.DescribeStreamConsumer(ctx, &kinesis.DescribeStreamConsumerInput{StreamARN: stream, ConsumerName: name, ConsumerARN: arn})
	if err == nil && out.ConsumerDescription == nil {
		err = errors.New("the answer has no ConsumerDescription")
	}
	if err != nil {
		return nil, err
	}
	return out.ConsumerDescription, nil
}

// create asks for the consumer, which then is CREATING.
func (c *consumer) create(ctx context.Context) error {
	stream, name, _, err := c.ref(ctx)
	if err != nil {
		return err
	}
	_, err = c.stream.api.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: stream, ConsumerName: name})
	if err == nil {
		return nil
	}
	doing := fmt.Sprintf("registering consumer %s of stream %s", c.given, c.stream.name)
	if !is[*types.LimitExceededException](err) {
		return failed(doing, err, worker.ErrNoStream)
	}
	// It says so of too many calls, too.
	n, counting := c.count(ctx, stream)
	switch {
	case counting != nil:
		return fmt.Errorf("%s: %w; counting the consumers: %w", doing, err, counting)
	case n >= quota:
		return fmt.Errorf("%s: %w: it has %d: %w", doing, errNoRoom, n, err)
	default:
		return failed(doing, err, nil)
	}
}

// count counts the stream's consumers.
func (c *consumer) count(ctx context.Context, stream *string) (n int, err error) {
	pages := kinesis.NewListStreamConsumersPaginator(c.stream.api, &kinesis.ListStreamConsumersInput{StreamARN: stream})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return 0, err
		}
		n += len(out.Consumers)
	}
	return n, nil
}

// Deregister removes the consumer that Options.FanOut names. Nothing else does: a worker that stops leaves it, as other
// workers of the application use it too. It is no error if there is none. Readers that are still at work register it
// again.
func (s *Stream) Deregister(ctx context.Context) error {
	if s.err != nil {
		return s.err
	}
	if s.consumer == nil {
		return fmt.Errorf("stream %s: no consumer to deregister; want Options.FanOut", s.name)
	}
	stream, name, arn, err := s.consumer.ref(ctx)
	if err != nil {
		return err
	}
	_, err = s.api.DeregisterStreamConsumer(ctx, &kinesis.DeregisterStreamConsumerInput{StreamARN: stream, ConsumerName: name, ConsumerARN: arn})
	if err != nil && !is[*types.ResourceNotFoundException](err) {
		return failed(fmt.Sprintf("deregistering consumer %s of stream %s", s.consumer.given, s.name), err, nil)
	}
	s.consumer.known.Store(nil)
	return nil
}
