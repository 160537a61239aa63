package processes

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/integration/proc"
)

// TestG8KilledServerKeepsConsumers kills localstream while consumers are registered and deregistered: after each restart
// exactly those are there whose registration was acknowledged and whose end was not; of the one call in flight either.
func TestG8KilledServerKeepsConsumers(t *testing.T) {
	s := newServer(t, proc.Build(t, "localstream/cmd/localstream"))
	s.start()
	stream := aws.String("consumed")
	if _, err := s.client().CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: stream, ShardCount: aws.Int32(1)}); err != nil {
		t.Fatal(err)
	}
	arn := aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/consumed")
	r := &registry{arn: arn, there: map[string]bool{}}
	for round := range *kills {
		first := make(chan struct{}, 1)
		var wg sync.WaitGroup
		wg.Go(func() {
			api := s.client()
			for r.step(context.WithoutCancel(t.Context()), api) == nil {
				select {
				case first <- struct{}{}:
				default:
				}
			}
		})
		s.killSoon(t, first)
		wg.Wait()
		s.start()
		if err := r.check(t.Context(), s.client()); err != nil {
			t.Fatalf("round %d, after %d calls: %v", round, r.calls, err)
		}
	}
	t.Logf("%d kills; %d consumers were registered or deregistered", *kills, r.calls)
}

// A registry is what a stream's consumers must be by what was acknowledged.
type registry struct {
	arn    *string
	there  map[string]bool
	calls  int
	flight string // the consumer that the call in flight is about
}

// step registers a consumer, or deregisters one when there are many.
func (r *registry) step(ctx context.Context, api *kinesis.Client) error {
	name := fmt.Sprint("consumer-", r.calls)
	register := len(r.there) < 5
	if !register {
		for name = range r.there { // any
			break
		}
	}
	r.flight = name
	var err error
	if register {
		_, err = api.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: r.arn, ConsumerName: &name})
	} else {
		_, err = api.DeregisterStreamConsumer(ctx, &kinesis.DeregisterStreamConsumerInput{StreamARN: r.arn, ConsumerName: &name})
	}
	if err != nil {
		return err
	}
	r.calls++
	r.flight = ""
	if register {
		r.there[name] = true
	} else {
		delete(r.there, name)
	}
	return nil
}

// check compares with what the server lists, and settles the call in flight.
func (r *registry) check(ctx context.Context, api *kinesis.Client) error {
	out, err := api.ListStreamConsumers(ctx, &kinesis.ListStreamConsumersInput{StreamARN: r.arn})
	if err != nil {
		return err
	}
	listed := map[string]bool{}
	for _, c := range out.Consumers {
		listed[*c.ConsumerName] = true
		if c.ConsumerStatus != types.ConsumerStatusActive {
			return fmt.Errorf("consumer %s is %s", *c.ConsumerName, c.ConsumerStatus)
		}
		if !r.there[*c.ConsumerName] && *c.ConsumerName != r.flight {
			return fmt.Errorf("consumer %s is there, and should not", *c.ConsumerName)
		}
	}
	for name := range r.there {
		if !listed[name] && name != r.flight {
			return errors.New("consumer " + name + " was acknowledged, and is missing")
		}
	}
	r.there = listed
	r.calls++ // no name twice
	return nil
}
