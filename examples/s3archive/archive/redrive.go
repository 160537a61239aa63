package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/shoal-stream/shoal/record"
)

// Letters is where dead letters are read.
type Letters interface {
	List(ctx context.Context, prefix string) ([]Listed, error)
	Get(ctx context.Context, key string) ([]byte, *Meta, error)
}

// Redriven counts what became of dead letters.
type Redriven struct {
	Objects, Letters                int
	Stored, There, Dropped, Failing int
}

// Redrive puts every dead letter that the configuration can store now into an object of its own, named by its record:
// no other object begins with it, so it may be run again, and by several at a time, and repeats nothing. The dead
// letters stay where they are. It stops at the first error of the store.
func (a *Archiver) Redrive(ctx context.Context, stream string, from Letters) (Redriven, error) {
	var n Redriven
	_, folder, ok := a.Folders()
	if !ok {
		return n, errors.New("redrive: there is no error prefix")
	}
	listed, err := from.List(ctx, folder)
	if err != nil {
		return n, fmt.Errorf("redrive: %w", err)
	}
	for _, o := range listed {
		if strings.HasPrefix(path.Base(o.Key), "_") {
			continue
		}
		body, meta, err := from.Get(ctx, o.Key)
		if err != nil {
			return n, fmt.Errorf("redrive: %w", err)
		}
		if meta == nil {
			return n, fmt.Errorf("redrive: %s: %w", o.Key, ErrForeign)
		}
		n.Objects++
		for line, err := range a.Decode(true, body) {
			if err == nil {
				err = a.redrive(ctx, stream, line, &n)
			}
			if err != nil {
				return n, fmt.Errorf("redrive: %s: %w", o.Key, err)
			}
		}
	}
	return n, nil
}

// redrive stores one dead letter, if it no longer fails.
func (a *Archiver) redrive(ctx context.Context, stream string, line []byte, n *Redriven) error {
	var letter DeadLetter
	if err := json.Unmarshal(line, &letter); err != nil {
		return fmt.Errorf("dead letter: %w", err)
	}
	n.Letters++
	r := letter.Record()
	fate, err := a.Fate(ctx, stream, letter.ShardID, &r)
	switch {
	case err != nil:
		return err
	case fate.Dropped:
		n.Dropped++
		return nil
	case fate.ErrorType != "":
		n.Failing++
		return nil
	}
	created, err := a.single(ctx, stream, letter.ShardID, &r, fate)
	if err != nil {
		return err
	}
	if created {
		n.Stored++
	} else {
		n.There++
	}
	return nil
}

// single makes the object of one record.
func (a *Archiver) single(ctx context.Context, stream, shard string, r *record.Record, fate Fate) (created bool, err error) {
	var body bytes.Buffer
	err = a.cfg.Format.Encode(&body, func(yield func([]byte, error) bool) { yield(fate.Content, nil) })
	if err != nil {
		return false, err
	}
	sum := sha256.Sum256(body.Bytes())
	existing, err := a.cfg.Store.Create(ctx, fate.Key, bytes.NewReader(body.Bytes()), int64(body.Len()), Meta{
		Stream: stream, Shard: shard, First: r.Position(), Last: r.Position(), Records: 1, Bytes: int64(r.Size()),
		SHA256: hex.EncodeToString(sum[:]), Nonce: strconv.FormatUint(a.cfg.Clock.Uint64(), 16),
		Format: a.cfg.Format.Name(), Compression: string(a.cfg.Compression), Redriven: true,
	})
	return existing == nil, err
}
