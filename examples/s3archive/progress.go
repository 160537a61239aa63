package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"

	"github.com/shoal-stream/shoal/examples/s3archive/archive"
	"github.com/shoal-stream/shoal/worker"
)

// A progress counts what an archiver does, by its hooks, and shows it: on a terminal as a line that is drawn again and
// again, elsewhere as a line now and then.
type progress struct {
	out     io.Writer
	columns int // of the terminal, 0 if it is none
	workers func() []worker.Status

	mu      sync.Mutex
	counts  counts
	before  counts
	at      time.Time // of before
	rate    float64
	drawn   bool
	stopped chan struct{}
	done    chan struct{}
}

// counts are what there is to show.
type counts struct {
	records, bytes, size            int64 // stored; size is that of the bodies
	objects, adopted, dropped, dead int64
	retries, waits                  int64
}

// newProgress shows on out, which is a terminal or not.
func newProgress(out io.Writer, workers func() []worker.Status) *progress {
	p := &progress{out: out, workers: workers, at: time.Now(), stopped: make(chan struct{}), done: make(chan struct{})}
	every := 10 * time.Second
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		every = 200 * time.Millisecond
		if p.columns, _, _ = term.GetSize(int(f.Fd())); p.columns <= 0 {
			p.columns = 80
		}
	}
	go p.run(every)
	return p
}

// hooks let the archiver count.
func (p *progress) hooks() archive.Hooks {
	count := func(f func(c *counts)) {
		p.mu.Lock()
		defer p.mu.Unlock()
		f(&p.counts)
	}
	return archive.Hooks{
		Stored: func(o archive.Object) {
			count(func(c *counts) {
				c.records += int64(o.Records)
				c.bytes += o.Bytes
				c.size += o.Size
				c.objects++
				if o.Adopted {
					c.adopted++
				}
			})
		},
		Dropped:  func(string) { count(func(c *counts) { c.dropped++ }) },
		Failed:   func(string, string, error) { count(func(c *counts) { c.dead++ }) },
		Retrying: func(string, string, int, error) { count(func(c *counts) { c.retries++ }) },
		Full:     func(string) { count(func(c *counts) { c.waits++ }) },
		Lagging: func(shard string, oldest time.Duration) {
			p.say("ALARM: shard %s: a record of %v ago is in no object yet", short(shard), oldest.Round(time.Second))
		},
	}
}

func (p *progress) run(every time.Duration) {
	defer close(p.done)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.show()
		case <-p.stopped:
			p.show()
			p.mu.Lock()
			if p.drawn {
				fmt.Fprintln(p.out)
				p.drawn = false
			}
			p.mu.Unlock()
			return
		}
	}
}

// stop shows the last state and ends.
func (p *progress) stop() {
	close(p.stopped)
	<-p.done
}

// say prints a line above the one that is drawn again and again.
func (p *progress) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	fmt.Fprintf(p.out, format+"\n", args...)
}

func (p *progress) clear() {
	if p.drawn {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.drawn = false
	}
}

// logger writes warnings above the line on a terminal, and everything as JSON to standard error elsewhere.
func (p *progress) logger() (*zap.Logger, error) {
	if p.columns == 0 {
		return zap.NewProduction()
	}
	encoder := zapcore.NewConsoleEncoder(zapcore.EncoderConfig{
		MessageKey: "msg", LevelKey: "level", TimeKey: "at", EncodeLevel: zapcore.CapitalLevelEncoder,
		EncodeTime: zapcore.TimeEncoderOfLayout("15:04:05"), EncodeDuration: zapcore.StringDurationEncoder,
	})
	return zap.New(zapcore.NewCore(encoder, zapcore.AddSync(above{p}), zapcore.WarnLevel)), nil
}

// above writes above the line that is drawn again and again.
type above struct{ p *progress }

func (a above) Write(text []byte) (int, error) {
	a.p.mu.Lock()
	defer a.p.mu.Unlock()
	a.p.clear()
	return a.p.out.Write(text)
}

// show draws or prints the state.
func (p *progress) show() {
	var lags []string
	for _, status := range p.workers() {
		for _, s := range status.Shards {
			if s.State == worker.Processing {
				lags = append(lags, fmt.Sprintf("%s %s", short(s.Shard), lag(s.Lag)))
			}
		}
	}
	slices.Sort(lags)
	p.mu.Lock()
	defer p.mu.Unlock()
	if since := time.Since(p.at); since >= time.Second {
		p.rate = float64(p.counts.records-p.before.records) / since.Seconds()
		p.before, p.at = p.counts, time.Now()
	}
	c := &p.counts
	line := fmt.Sprintf("%d records (%.0f/s) in %d objects, %s → %s", c.records, p.rate, c.objects, bytesOf(c.bytes), bytesOf(c.size))
	for _, extra := range []struct {
		n    int64
		what string
	}{{c.adopted, "adopted"}, {c.dropped, "dropped"}, {c.dead, "dead letters"}, {c.retries, "retried"}, {c.waits, "waits for room"}} {
		if extra.n > 0 {
			line += fmt.Sprintf(", %d %s", extra.n, extra.what)
		}
	}
	if len(lags) > 0 {
		line += " │ lag: " + strings.Join(lags, ", ")
	}
	if p.columns == 0 {
		fmt.Fprintln(p.out, line)
		return
	}
	if r := []rune(line); len(r) >= p.columns {
		line = string(r[:max(0, p.columns-2)]) + "…"
	}
	fmt.Fprint(p.out, "\r\x1b[K", line)
	p.drawn = true
}

// short is a shard's name without its zeros.
func short(shard string) string {
	if text := strings.TrimLeft(strings.TrimPrefix(shard, "shardId-"), "0"); text != "" {
		return text
	}
	return "0"
}

func lag(d time.Duration) string {
	if d < time.Second {
		return "0s"
	}
	return d.Round(time.Second).String()
}

// bytesOf is a number of bytes for people.
func bytesOf(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d B", n)
	case n < 10<<20:
		return fmt.Sprintf("%.0f KiB", float64(n)/(1<<10))
	default:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
}
