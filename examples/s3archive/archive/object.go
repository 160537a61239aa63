package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/examples/s3archive/format"
	"github.com/shoal-stream/shoal/record"
)

// Pauses between attempts at an object. They go on for as long as it takes: nothing is ever skipped.
const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 15 * time.Second
)

// deadFormat is the format of dead letters.
func deadFormat(c format.Compression) format.Format {
	f, err := format.New("jsonl", nil, c)
	if err != nil {
		panic(err) // there is such a format
	}
	return f
}

// object makes the object of some entries of one output, or finds it made, and returns where it ends. It gives up with
// ctx alone.
func (p *processor) object(ctx context.Context, entries []entry[item], cut time.Time) (end record.Position, err error) {
	first, last := positions(entries)
	head := &entries[0].value
	key := p.a.key(head.out, p.shard.Stream, p.shard.ID, first, head.arrival)
	meta := Meta{
		Stream: p.shard.Stream, Shard: p.shard.ID, First: first, Last: last, Records: len(entries),
		Nonce:  strconv.FormatUint(p.clock().Uint64(), 16) + strconv.FormatUint(p.clock().Uint64(), 16),
		Format: p.a.cfg.Format.Name(), Compression: string(p.a.cfg.Compression),
	}
	f := p.a.cfg.Format
	if head.out.errorType != "" {
		f = deadFormat(p.a.cfg.Compression)
		meta.Format = f.Name()
	}
	for i := range entries {
		meta.Bytes += int64(entries[i].value.size)
	}
	var body *body
	defer func() {
		if body != nil {
			body.close()
		}
	}()
	for attempt := 1; ; attempt++ {
		err = nil
		if body == nil {
			body, err = p.encode(f, entries)
		}
		var existing *Meta
		if err == nil {
			meta.SHA256 = body.sum
			existing, err = p.a.cfg.Store.Create(ctx, key, body, body.size, meta)
		}
		if err == nil && existing != nil && existing.First != first {
			err = fmt.Errorf("%w: it says that it begins with %v", ErrForeign, existing.First)
		}
		if err == nil {
			return p.made(key, entries, body.size, meta, existing, cut), nil
		}
		if ctx.Err() != nil {
			return record.Position{}, context.Cause(ctx)
		}
		p.trouble(key, attempt, err, head.arrival)
		if err := p.clock().Sleep(ctx, p.clock().Backoff(attempt, minBackoff, maxBackoff)); err != nil {
			return record.Position{}, err
		}
	}
}

// made tells of an object and returns its end: ours if we made it, also if the answer to that was lost, else the end
// that another attempt gave it.
func (p *processor) made(key string, entries []entry[item], size int64, meta Meta, existing *Meta, cut time.Time) record.Position {
	end, adopted := meta.Last, existing != nil && existing.Nonce != meta.Nonce
	if adopted && !p.a.cfg.NoAdopt {
		end = existing.Last
	}
	if adopted {
		p.log().Info("object is there already: its end is taken over", zap.String("key", key),
			zap.Stringer("end", existing.Last), zap.Stringer("own", meta.Last))
	}
	if f := p.a.cfg.Hooks.Stored; f != nil {
		o := Object{
			Shard: p.shard.ID, Key: key, Adopted: adopted, Dead: entries[0].value.out.errorType != "", Size: size,
			Took: p.clock().Since(cut), Oldest: p.clock().Since(entries[0].value.arrival),
		}
		for i := range entries {
			if entries[i].at.Compare(end) <= 0 {
				o.Records++
				o.Bytes += int64(entries[i].value.size)
			}
		}
		f(o)
	}
	return end
}

// trouble tells of an attempt that failed.
func (p *processor) trouble(key string, attempt int, err error, oldest time.Time) {
	lag := p.clock().Since(oldest)
	p.log().Warn("object cannot be made; tried again", zap.String("key", key), zap.Int("attempt", attempt),
		zap.Duration("oldest", lag), zap.Error(err))
	hooks := &p.a.cfg.Hooks
	if hooks.Retrying != nil {
		hooks.Retrying(p.shard.ID, key, attempt, err)
	}
	if lag >= p.a.cfg.LagAlarm && hooks.Lagging != nil {
		hooks.Lagging(p.shard.ID, lag)
	}
}

// A body is an encoded object, in memory or in a file of the spool.
type body struct {
	io.ReaderAt
	size  int64
	sum   string
	close func()
}

// encode makes the body of an object.
func (p *processor) encode(f format.Format, entries []entry[item]) (*body, error) {
	contents := p.contents(entries)
	hash := sha256.New()
	if p.spool != nil {
		file, err := temporary(p.spool.dir)
		if err != nil {
			return nil, err
		}
		if err := f.Encode(io.MultiWriter(file, hash), contents); err != nil {
			file.Close()
			return nil, err
		}
		size, err := file.Seek(0, io.SeekCurrent)
		if err != nil {
			file.Close()
			return nil, fmt.Errorf("spool an object: %w", err)
		}
		return &body{ReaderAt: file, size: size, sum: hex.EncodeToString(hash.Sum(nil)), close: func() { file.Close() }}, nil
	}
	buf, _ := p.a.bodies.Get().(*bytes.Buffer)
	if buf == nil {
		buf = &bytes.Buffer{}
	}
	buf.Reset()
	if err := f.Encode(io.MultiWriter(buf, hash), contents); err != nil {
		return nil, err
	}
	return &body{
		ReaderAt: bytes.NewReader(buf.Bytes()), size: int64(buf.Len()), sum: hex.EncodeToString(hash.Sum(nil)),
		close: func() { p.a.bodies.Put(buf) },
	}, nil
}

// contents are what goes into an object.
func (p *processor) contents(entries []entry[item]) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		var buf []byte
		for i := range entries {
			content, err := entries[i].value.content, error(nil)
			if p.spool != nil {
				buf, err = p.spool.get(buf, entries[i].value.place)
				content = buf
			}
			if !yield(content, err) {
				return
			}
		}
	}
}
