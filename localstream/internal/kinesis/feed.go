package kinesis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

const (
	// subscriptionLife is how long a subscription lasts; then it ends without an error, and the client renews it.
	subscriptionLife = 5 * time.Minute
	// beat is the longest pause between two events: without records they say how far the consumer has come.
	beat = 5 * time.Second
	// maxEventBytes is the most that an event's records have, but one record may be larger.
	maxEventBytes = 1 << 20
)

var errLifeOver = errors.New("kinesis: the subscription's time is over")

// A feed sends one subscription's events. It belongs to the goroutine of its request.
type feed struct {
	s        *Service
	key      subscriptionKey
	sub      *subscription
	stream   uint64
	name     string
	consumer string // its id
	tail     *tail  // of the shard, in all versions of the stream

	next uint64 // counter of the next record
}

// run sends events from the store as records become visible, wakes for nothing else but the beat, and returns nil when
// the subscription ends in order: at the end of the shard, of its time, or of ctx. An *wire.Error is the reason why it
// ends before.
func (f *feed) run(ctx context.Context, send func(wire.Event) error) error {
	defer f.s.subscriptions.end(f.sub)
	ctx, cancel := f.s.o.Clock.WithTimeout(ctx, subscriptionLife, errLifeOver)
	defer cancel()
	heart := f.s.o.Clock.NewTimer(0) // the first event comes at once: it says where the consumer is
	defer func() { heart.Stop() }()
	due := false
	now := make(chan struct{})
	close(now)
	for {
		if over, err := f.over(ctx); over || err != nil {
			return err
		}
		arrived, changed := f.tail.arrived.wait(), f.s.changed.wait() // before looking, so that nothing is missed
		e, size, err := f.look(due)
		if err != nil {
			return err
		}
		if e != nil {
			if err := send(wire.Event{Type: "SubscribeToShardEvent", Payload: e}); err != nil || e.ChildShards != nil {
				return err
			}
			heart.Stop()
			heart, due = f.s.o.Clock.NewTimer(beat), false
			if size > 0 {
				arrived = now // there may be more already
				f.pace(ctx, size)
			}
		}
		select {
		case <-ctx.Done():
		case <-f.sub.replaced:
		case <-heart.C:
			due = true
		case <-arrived:
		case <-changed:
		}
	}
}

func (f *feed) replaced() error {
	return wire.Errorf(resourceInUse, "Another active subscription exists for this consumer")
}

// over reports whether the subscription has come to its end, and why if that is an error.
func (f *feed) over(ctx context.Context) (bool, error) {
	select {
	case <-f.sub.replaced:
		return true, f.replaced()
	default:
		return ctx.Err() != nil, nil
	}
}

// pace waits as long as the bytes of an event take at the read rate that the consumer has for itself.
func (f *feed) pace(ctx context.Context, size int) {
	rate := f.s.o.Limits.ReadBytes
	if rate <= 0 {
		return
	}
	wait := f.s.o.Clock.NewTimer(time.Duration(float64(size) / rate * float64(time.Second)))
	defer wait.Stop()
	select {
	case <-ctx.Done():
	case <-f.sub.replaced:
	case <-wait.C:
	}
}

// look makes the next event: records if there are any, or the shard's end, or the mere position if that is due. It
// returns nil if there is nothing to say, and the size of the records.
func (f *feed) look(due bool) (*types.SubscribeToShardEvent, int, error) {
	now := f.s.now()
	st, err := f.still(now)
	if err != nil {
		return nil, 0, err
	}
	sh, ok := st.shard(f.key.shard)
	if !ok {
		return nil, 0, f.s.noSuchShard(f.name, shardID(f.key.shard))
	}
	// The version first, the tip then: what a closed shard's tip shows is all there will be.
	p := &page{shard: sh, limit: maxPageRecords, most: maxEventBytes, next: f.next, tip: f.tail.visible.Load().next}
	if err := f.s.read(st, p, now); err != nil {
		return nil, 0, fmt.Errorf("reading %s of %s: %w", sh.id(), f.name, err)
	}
	defer p.release()
	records, err := p.records()
	if err != nil && len(records) > 0 {
		return f.look(due) // that page ends before what cannot be read
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading %s of %s: %w", sh.id(), f.name, err)
	}
	f.next = p.next
	atEnd := sh.Closed != 0 && p.next >= p.tip
	if p.count == 0 && !atEnd && !due {
		return nil, 0, nil
	}
	e := &types.SubscribeToShardEvent{Records: records, MillisBehindLatest: new(int64)}
	if p.next < p.tip {
		*e.MillisBehindLatest = max(0, now.UnixMilli()-p.unread)
	}
	if atEnd {
		e.ChildShards = f.s.answer(st, p, now).ChildShards
	} else {
		number := f.continuation(p, now).String()
		e.ContinuationSequenceNumber = &number
	}
	return e, p.size, nil
}

// still finds the subscription's stream as it is now, or the reason why there is nothing to subscribe to any more.
func (f *feed) still(now time.Time) (*stream, error) {
	st, err := f.s.live(f.s.streams(), f.name, now)
	if err == nil && (st.ID != f.stream || st.state(now) == deleting) {
		err = f.s.streamNotFound(f.name)
	}
	if err != nil {
		return nil, err
	}
	c, ok := st.consumer(now, func(c *consumer) bool { return c.id() == f.consumer })
	if !ok || c.state(now) == deleting {
		return nil, wire.Errorf(resourceNotFound, "Consumer %s, account %s not found.", f.consumer, f.s.o.Account)
	}
	return st, nil
}

// continuation is the number after which a client goes on: that of the last record, or one that lies between it and
// the next, and moves with the time.
func (f *feed) continuation(p *page, now time.Time) sequence {
	if p.count > 0 {
		return p.shard.number(p.last())
	}
	counter := uint64(0)
	if p.next > 0 {
		counter = p.next - 1
	}
	return p.shard.number(counter, max(now.UnixMilli(), f.tail.visible.Load().arrival))
}
