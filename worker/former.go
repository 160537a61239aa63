package worker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

// Former streams are those that leases belong to but that the application does not name (any more). They are left alone,
// or read on where Config.ReadFormer says so; and their leases are deleted after Config.FormerStreams.

// rowStream is how lease rows of an application of several streams name this one: as KCL's StreamIdentifier.serialize.
func (id Identity) rowStream() string { return fmt.Sprintf("%s:%s:%d", id.Account, id.Name, id.Epoch) }

// identityOf is what a row says of its stream.
func identityOf(rowStream string) (id Identity, ok bool) {
	parts := strings.Split(rowStream, ":")
	if len(parts) != 3 {
		return Identity{}, false
	}
	epoch, err := strconv.ParseInt(parts[2], 10, 64)
	return Identity{Account: parts[0], Name: parts[1], Epoch: epoch}, err == nil
}

// former is the stream with which to read a former stream on, nil if it is to be left alone.
func (w *Worker) former(id Identity) Stream {
	if w.cfg.ReadFormer == nil {
		return nil
	}
	return w.cfg.ReadFormer(id)
}

// isFormer reports whether src is read although the application does not name it.
func (w *Worker) isFormer(src *source) bool {
	_, former := w.startOf(src)
	return former
}

// startOf is where the application begins on src without leases, and whether it is a former stream.
func (w *Worker) startOf(src *source) (start record.Position, former bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return src.start, src.former
}

// unreadableFor is the time between two looks at a former stream that is gone: it hardly comes back.
const unreadableFor = 24 * time.Hour

// errUnreadable is a reason to leave a former stream alone that does not pass.
var errUnreadable = errors.New("its leases are left alone")

// notice has streamsLoop look at a stream that rows belong to and that this worker does not read: at once, and from time
// to time while that does not help.
func (w *Worker) notice(rowStream string) {
	if w.cfg.ReadFormer == nil && w.cfg.StreamsFunc == nil {
		return
	}
	now := w.clock.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if now.Before(w.strange[rowStream]) {
		return
	}
	w.strange[rowStream] = now.Add(streamsEvery)
	w.adopting = append(w.adopting, rowStream)
	poke(w.pokeStreams)
}

// adoptNoticed begins to read the former streams that were noticed, and reports whether streams were.
func (w *Worker) adoptNoticed(ctx context.Context) bool {
	w.mu.Lock()
	noticed := w.adopting
	w.adopting = nil
	w.mu.Unlock()
	for _, rowStream := range noticed {
		err := w.adopt(ctx, rowStream)
		if err == nil || ctx.Err() != nil {
			continue
		}
		w.trouble(fmt.Errorf("read the former stream %s on: %w", rowStream, err))
		if errors.Is(err, errUnreadable) || errors.Is(err, ErrNoStream) {
			w.mu.Lock()
			w.strange[rowStream] = w.clock.Now().Add(unreadableFor)
			w.mu.Unlock()
		}
	}
	return len(noticed) > 0
}

// adopt begins to read one former stream.
func (w *Worker) adopt(ctx context.Context, rowStream string) error {
	if w.cfg.ReadFormer == nil || w.source(rowStream) != nil {
		return nil
	}
	id, ok := identityOf(rowStream)
	if !ok {
		return fmt.Errorf("%w: its name is not ACCOUNT:STREAM:EPOCH", errUnreadable)
	}
	s := w.former(id)
	if s == nil {
		return nil
	}
	if w.sourceNamed(s.Name()) != nil {
		return fmt.Errorf("%w: Config.ReadFormer gave a stream named %q, which the worker reads already", errUnreadable, s.Name())
	}
	src, err := w.identify(ctx, s)
	if err != nil {
		return err
	}
	if src.rowStream != rowStream {
		return fmt.Errorf("%w: Config.ReadFormer gave the stream %s, which is another, or was made anew under the same name", errUnreadable, src.rowStream)
	}
	src.former = true
	w.addSource(src)
	w.log.Info("former stream is read on", zap.String("stream", rowStream))
	poke(w.pokeLead)
	poke(w.pokeDiscover)
	return nil
}

// A formerSince remembers since when which stream is a former one.
type formerSince map[string]time.Time

// expired returns the rows of streams that have been former ones for longer than the application keeps them.
func (f formerSince) expired(w *Worker, rows []lease.Lease) []lease.Lease {
	if w.cfg.StreamsFunc == nil || w.cfg.FormerStreams == 0 {
		return nil
	}
	now, there := w.clock.Now(), map[string]bool{}
	var old []lease.Lease
	for _, row := range rows {
		if src := w.source(row.Stream); src != nil && !w.isFormer(src) {
			continue
		}
		there[row.Stream] = true
		since, ok := f[row.Stream]
		if !ok {
			since = now
			f[row.Stream] = now
		}
		if now.Sub(since) >= w.cfg.FormerStreams && (w.cfg.DropStream == nil || w.cfg.DropStream(row.Stream)) {
			old = append(old, row)
		}
	}
	for stream := range f {
		if !there[stream] {
			delete(f, stream)
		}
	}
	return old
}
