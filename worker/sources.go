package worker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

// A source is one of the worker's streams with its identity.
type source struct {
	Stream
	identity  Identity
	rowStream string        // the stream's identifier in lease rows: "" where the application reads one stream only
	gone      chan struct{} // closed when the application reads the stream no more

	start  record.Position // guarded by Worker.mu, as it is another when the stream is named anew
	former bool            // likewise: the application reads the stream, but does not name it
}

// left reports whether the application reads the stream no more.
func (s *source) left() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}

// startsAt is a stream with a start position of its own.
type startsAt struct {
	Stream
	at record.Position
}

// From gives a stream a start position of its own, in place of Config.Start: record.TrimHorizon, record.Latest or
// record.AtTimestamp.
func From(s Stream, at record.Position) Stream { return startsAt{s, at} }

// startOf is where an application without leases for s begins.
func (c *Config) startOf(s Stream) record.Position {
	if own, ok := s.(startsAt); ok {
		return own.at
	}
	return c.Start
}

// starts are all start positions.
func (c *Config) starts() []record.Position {
	at := []record.Position{c.Start}
	for _, s := range c.Streams {
		if own, ok := s.(startsAt); ok {
			at = append(at, own.at)
		}
	}
	return at
}

// several reports whether lease rows name their stream.
func (c *Config) several() bool { return len(c.Streams) > 1 || c.StreamsFunc != nil }

// streamsEvery is the time between two questions of which streams there are, as in Java KCL.
const streamsEvery = time.Minute

// streamsSoon is the least time between two such questions.
const streamsSoon = 5 * time.Second

// prepareStreams asks each stream who it is.
func (w *Worker) prepareStreams(ctx context.Context) error {
	streams := w.cfg.Streams
	if w.cfg.StreamsFunc != nil {
		err := w.retryStart(ctx, "list streams", func() (err error) {
			streams, err = w.askStreams(ctx)
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, s := range streams {
		err := w.retryStart(ctx, "identify stream "+s.Name(), func() error {
			src, err := w.identify(ctx, s)
			if err == nil {
				w.addSource(src)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// askStreams asks the application which streams there are. They are told apart by their names.
func (w *Worker) askStreams(ctx context.Context) ([]Stream, error) {
	streams, err := w.cfg.StreamsFunc(ctx)
	if err != nil {
		return nil, err
	}
	if what := badStreams(streams); what != "" {
		return nil, fmt.Errorf("%w: worker.Config.StreamsFunc: %s", lease.ErrInvalid, what)
	}
	return streams, nil
}

// badStreams says what is wrong with a list of streams, "" if nothing is.
func badStreams(streams []Stream) string {
	names := make(map[string]bool, len(streams))
	for i, s := range streams {
		switch {
		case s == nil:
			return fmt.Sprintf("has a nil stream at index %d", i)
		case names[s.Name()]:
			return fmt.Sprintf("names %q twice; want each stream once", s.Name())
		}
		names[s.Name()] = true
	}
	return ""
}

// identify asks s who it is.
func (w *Worker) identify(ctx context.Context, s Stream) (*source, error) {
	src := &source{Stream: s, start: w.cfg.startOf(s), gone: make(chan struct{})}
	var err error
	if src.identity, err = s.Identify(ctx); err != nil {
		return nil, err
	}
	if w.cfg.several() {
		src.rowStream = src.identity.rowStream()
	}
	return src, nil
}

// addSource makes src one of the worker's streams.
func (w *Worker) addSource(src *source) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.IndexFunc(w.sources, func(o *source) bool { return o.rowStream == src.rowStream }); i < 0 {
		w.sources = append(slices.Clone(w.sources), src)
	}
}

// streamsLoop asks from time to time which streams there are, and begins with former streams that somebody noticed. What was
// noticed may also be a new stream that the leader was told of before, so it asks soon then.
func (w *Worker) streamsLoop(ctx context.Context) {
	if w.cfg.StreamsFunc == nil && w.cfg.ReadFormer == nil {
		return
	}
	var asked time.Time
	for next := w.clock.Now().Add(w.clock.Jitter(streamsEvery)); ; {
		w.pauseFor(ctx, next.Sub(w.clock.Now()), w.pokeStreams, nil)
		if ctx.Err() != nil {
			return
		}
		if w.adoptNoticed(ctx) && asked.Add(streamsSoon).Before(next) {
			next = asked.Add(streamsSoon)
		}
		if w.clock.Now().Before(next) {
			continue
		}
		asked = w.clock.Now()
		next = asked.Add(w.clock.Jitter(streamsEvery))
		if err := w.followStreams(ctx); err != nil && ctx.Err() == nil {
			w.trouble(fmt.Errorf("follow the streams: %w", err))
		}
	}
}

// followStreams begins with new streams and leaves those that are not named any more.
func (w *Worker) followStreams(ctx context.Context) error {
	if w.cfg.StreamsFunc == nil {
		return nil
	}
	streams, err := w.askStreams(ctx)
	if err != nil {
		return fmt.Errorf("list streams: %w", err)
	}
	named := map[string]bool{}
	for _, s := range streams {
		named[s.Name()] = true
		if w.nameAnew(s) {
			continue
		}
		src, err := w.identify(ctx, s)
		if err != nil {
			w.trouble(fmt.Errorf("identify stream %s: %w", s.Name(), err))
			continue
		}
		w.addSource(src)
		w.log.Info("stream added", zap.String("stream", s.Name()))
		poke(w.pokeSync)
	}
	w.leaveStreams(named)
	return nil
}

// nameAnew reports whether the worker reads a stream of this name. If it was a former one it is none any more.
func (w *Worker) nameAnew(s Stream) bool {
	src := w.sourceNamed(s.Name())
	if src == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if src.former {
		src.former, src.start = false, w.cfg.startOf(s)
		w.log.Info("former stream is named again", zap.String("stream", s.Name()))
		poke(w.pokeSync)
	}
	return true
}

// leaveStreams leaves the streams that are not named any more, or reads them on as former ones.
func (w *Worker) leaveStreams(named map[string]bool) {
	var kept []*source
	for _, s := range w.readStreams() {
		switch {
		case named[s.Name()] || w.isFormer(s):
			kept = append(kept, s)
		case w.former(s.identity) != nil:
			kept = append(kept, s)
			w.mu.Lock()
			s.former = true
			w.mu.Unlock()
			w.log.Info("stream is not named any more, but read on", zap.String("stream", s.Name()))
		default:
			close(s.gone)
			w.log.Info("stream left", zap.String("stream", s.Name()))
		}
	}
	w.mu.Lock()
	w.sources = kept
	w.mu.Unlock()
	w.leaveShards((*source).left)
}

// leaveShards has the shards move elsewhere that this worker holds of certain streams.
func (w *Worker) leaveShards(of func(*source) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(w.tenures)) {
		if t := w.tenures[key]; of(t.stream) {
			t.leave()
		}
	}
}

// readStreams are the streams that the worker reads now. The slice is not changed any more.
func (w *Worker) readStreams() []*source {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sources
}

// source is the stream that rows with this identifier belong to, nil if this worker does not read it.
func (w *Worker) source(rowStream string) *source {
	for _, s := range w.readStreams() {
		if s.rowStream == rowStream {
			return s
		}
	}
	return nil
}

func (w *Worker) sourceNamed(name string) *source {
	for _, s := range w.readStreams() {
		if s.Name() == name {
			return s
		}
	}
	return nil
}
