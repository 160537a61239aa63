package kinesisstream

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/schemas"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"
)

// A subscription is one call of SubscribeToShard while its events come. The SDK reads them in goroutines of its own,
// which end with it; they read one event ahead.
type subscription struct {
	arn    string // of the consumer
	stream *kinesis.SubscribeToShardEventStream
	gate   *gate
	cancel context.CancelFunc
}

// answerTimeout is how long the service may take to answer a call of SubscribeToShard.
const answerTimeout = 10 * time.Second

var errNoAnswer = errors.New("no answer in time")

// subscribe makes one call. The subscription outlives ctx.
func (s *Stream) subscribe(ctx context.Context, in *kinesis.SubscribeToShardInput) (*subscription, *kinesis.SubscribeToShardOutput, error) {
	select {
	case s.placing <- struct{}{}:
		defer func() { <-s.placing }()
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	life, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	calm := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	inTime := s.o.Clock.AfterFunc(answerTimeout, func() { cancel(errNoAnswer) })
	g := &gate{pass: make(chan struct{}, 1), done: make(chan struct{}), json: s.o.SDKCodec}
	g.open()
	out, err := s.api.SubscribeToShard(life, in, g.guard)
	calm()
	inTime()
	if err == nil {
		sub := &subscription{arn: *in.ConsumerARN, stream: out.GetStream(), gate: g, cancel: func() { cancel(context.Canceled) }}
		if life.Err() == nil {
			return sub, out, nil
		}
		sub.close()
		err = life.Err()
	}
	if cause := context.Cause(life); cause != nil {
		err = errors.Join(cause, err)
	}
	cancel(context.Canceled)
	return nil, nil, err
}

// close ends the subscription and waits until no event comes any more.
func (s *subscription) close() {
	close(s.gate.done)
	s.cancel()
	_ = s.stream.Close() // tells how the stream ended, which nobody asks any more
	for range s.stream.Events() {
	}
}

// A gate lets the SDK read the next event of a subscription only when the one before has been taken, so that what a slow
// processor does not take stays on the server's side.
type gate struct {
	smithyhttp.ClientProtocol
	pass chan struct{} // one slot: a permit for one event
	done chan struct{} // closed with the subscription
	json bool
}

// guard puts the gate into one call. The SDK's own codec is made anew for it, as it cannot be shared: its event streams
// have one buffer, without a lock (smithy-go v1.28.8, internal/eventstream).
func (g *gate) guard(o *kinesis.Options) {
	if g.json {
		o.Protocol = awsjson.New11(schemas.Kinesis_20131202)
	}
	g.ClientProtocol, o.Protocol = o.Protocol, g
}

func (g *gate) open() {
	select {
	case g.pass <- struct{}{}:
	default:
	}
}

// DeserializeEventMessage reads the next event when it may.
func (g *gate) DeserializeEventMessage(union *smithy.Schema, known *smithy.TypeRegistry, r io.Reader) (smithy.Deserializable, error) {
	select {
	case <-g.pass:
	case <-g.done:
		return nil, io.EOF
	}
	return g.ClientProtocol.DeserializeEventMessage(union, known, r)
}
