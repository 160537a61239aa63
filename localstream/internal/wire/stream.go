package wire

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream/eventstreamapi"
	"github.com/aws/smithy-go"
	"go.uber.org/zap"
)

// A Stream is an output in events, which go on as long as Run does.
type Stream struct {
	// Run sends events until the stream is over. Nil ends it in order; an *Error is told to the client in the stream;
	// an error of send is returned as it is. When ctx ends, so should Run, with nil. Run is called once, in every case,
	// though perhaps with a ctx that has ended.
	Run func(ctx context.Context, send func(Event) error) error
}

// An Event is one message of a Stream.
type Event struct {
	Type    string
	Payload smithy.Serializable
}

const (
	mediaEvents = "application/vnd.amazon.eventstream"
	// eventPatience is how long a client may take to make room for one event before it is cut off; stopPatience is
	// what is left of that when the stream has to end.
	eventPatience = 30 * time.Second
	stopPatience  = time.Second
	// largeEvent is the payload whose memory is not kept for the next.
	largeEvent = 4 << 20
)

// errSlow ends a stream whose client is gone, or takes no more.
var errSlow = errors.New("wire: the client does not take the stream's events")

type drainKey struct{}

// WithDrain is ctx for requests of a server whose streams should end when drain does, in order, while other requests
// may go on.
func WithDrain(ctx, drain context.Context) context.Context {
	return context.WithValue(ctx, drainKey{}, drain)
}

// A framer writes one stream's frames.
type framer struct {
	x       *exchange
	conn    *http.ResponseController
	ctx     context.Context
	encoder *eventstream.Encoder
	frame   bytes.Buffer
	payload []byte
}

// stream answers with the events of s.
func (h *Handler) stream(x *exchange, s *Stream) {
	ctx, cancel := context.WithCancel(x.r.Context())
	defer cancel()
	if drain, ok := ctx.Value(drainKey{}).(context.Context); ok {
		defer context.AfterFunc(drain, cancel)()
	}
	f := &framer{x: x, conn: http.NewResponseController(x.w), ctx: ctx, encoder: eventstream.NewEncoder()}
	woken := make(chan struct{})
	calm := context.AfterFunc(ctx, func() { // wakes a write that waits for the client
		defer close(woken)
		f.deadline(stopPatience)
	})
	defer func() {
		if !calm() {
			<-woken // the writer must not be touched once the handler has returned
		}
	}()
	x.w.Header().Set("Content-Type", mediaEvents)
	x.w.WriteHeader(http.StatusOK)
	err := f.send("event", "initial-response", nothing{})
	if err != nil {
		cancel()
	}
	err = errors.Join(err, s.Run(ctx, func(e Event) error { return f.send("event", e.Type, e.Payload) }))
	if err != nil && !errors.Is(err, errSlow) {
		err = h.except(f, err)
	}
	if err != nil {
		panic(http.ErrAbortHandler) // the client sees that this is not the end
	}
}

// abandon lets a stream that nobody will see, if there is one, come to its end.
func (s *Stream) abandon(ctx context.Context) {
	if s == nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	_ = s.Run(ctx, func(Event) error { return errSlow }) // it ends at once
}

// except tells the client why the stream ends.
func (h *Handler) except(f *framer, err error) error {
	var modelled *Error
	if !errors.As(err, &modelled) {
		h.o.Logger.Error("stream failed", zap.String("operation", f.x.operation.Name), zap.Error(err))
		modelled = &Error{Type: "InternalFailureException", Message: "The request processing has failed because of an internal error: " + err.Error()}
	}
	return f.send("exception", modelled.Type, modelled)
}

// send writes one frame and hands it to the client.
func (f *framer) send(kind, name string, payload any) error {
	var err error
	if f.payload, err = f.x.appendOutput(f.payload[:0], payload); err != nil {
		return err
	}
	label := eventstreamapi.EventTypeHeader
	if kind == "exception" {
		label = eventstreamapi.ExceptionTypeHeader
	}
	m := eventstream.Message{Payload: f.payload}
	m.Headers.Set(eventstreamapi.MessageTypeHeader, eventstream.StringValue(kind))
	m.Headers.Set(label, eventstream.StringValue(name))
	m.Headers.Set(eventstreamapi.ContentTypeHeader, eventstream.StringValue(f.x.mediaType))
	f.frame.Reset()
	if err := f.encoder.Encode(&f.frame, m); err != nil {
		return err
	}
	if cap(f.payload) > largeEvent {
		f.payload = nil
	}
	return f.write()
}

// write hands the frame to the client within the time that it has for one.
func (f *framer) write() error {
	f.deadline(eventPatience)
	if f.ctx.Err() != nil {
		f.deadline(stopPatience)
	}
	if _, err := f.x.w.Write(f.frame.Bytes()); err != nil {
		return errors.Join(errSlow, err)
	}
	if err := f.conn.Flush(); err != nil {
		return errors.Join(errSlow, err)
	}
	return nil
}

// deadline bounds writing from now on. Time is the machine's: deadlines of connections are.
func (f *framer) deadline(patience time.Duration) {
	_ = f.conn.SetWriteDeadline(time.Now().Add(patience)) // only writers of tests have none
}

// nothing is a structure without members.
type nothing struct{}

func (nothing) Serialize(s smithy.ShapeSerializer) {
	s.WriteStruct(nil)
	s.CloseStruct()
}
