package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/shoal-stream/shoal/record"
)

// A Store keeps objects that are made once and never changed. Its methods are safe for concurrent use.
type Store interface {
	// Create makes the object key with size bytes of body, unless there is one. Then it changes nothing and returns
	// what is known of the one that is there. An error leaves open whether the object was made; the same call may be
	// made again.
	Create(ctx context.Context, key string, body io.ReaderAt, size int64, m Meta) (existing *Meta, err error)
}

// Meta is what an object says about itself, as user metadata beside its body.
type Meta struct {
	Stream, Shard string
	// First and Last are the positions of the first and the last record in the object.
	First, Last record.Position
	// Records counts the records, Bytes their data as they came, before format and compression.
	Records int
	Bytes   int64
	// SHA256 is the hash of the body in hexadecimal digits.
	SHA256 string
	// Nonce is drawn for each attempt at an object, so that the attempt knows its own work again.
	Nonce string
	// Format and Compression say how to read the body.
	Format, Compression string
	// Redriven tells that the records had been dead letters.
	Redriven bool
}

// ErrForeign says that an object is not an archiver's.
var ErrForeign = errors.New("object was not made by the archiver: its metadata is missing or damaged")

// Names of the user metadata (S3 adds x-amz-meta-).
const (
	metaStream, metaShard       = "shoal-stream", "shoal-shard"
	metaFirst, metaLast         = "shoal-first", "shoal-last"
	metaRecords, metaBytes      = "shoal-records", "shoal-bytes"
	metaSHA256, metaNonce       = "shoal-sha256", "shoal-nonce"
	metaFormat, metaCompression = "shoal-format", "shoal-compression"
	metaRedriven                = "shoal-redriven"
)

// Map is m as user metadata.
func (m Meta) Map() map[string]string {
	out := map[string]string{
		metaStream: m.Stream, metaShard: m.Shard, metaFirst: m.First.String(), metaLast: m.Last.String(),
		metaRecords: strconv.Itoa(m.Records), metaBytes: strconv.FormatInt(m.Bytes, 10), metaSHA256: m.SHA256,
		metaNonce: m.Nonce, metaFormat: m.Format, metaCompression: m.Compression,
	}
	if m.Redriven {
		out[metaRedriven] = "true"
	}
	return out
}

// ParseMeta reads user metadata. Its errors wrap ErrForeign.
func ParseMeta(in map[string]string) (Meta, error) {
	m := Meta{
		Stream: in[metaStream], Shard: in[metaShard], SHA256: in[metaSHA256], Nonce: in[metaNonce],
		Format: in[metaFormat], Compression: in[metaCompression], Redriven: in[metaRedriven] == "true",
	}
	var errs [4]error
	m.First, errs[0] = parsePosition(in[metaFirst])
	m.Last, errs[1] = parsePosition(in[metaLast])
	m.Records, errs[2] = strconv.Atoi(in[metaRecords])
	m.Bytes, errs[3] = strconv.ParseInt(in[metaBytes], 10, 64)
	if err := errors.Join(errs[:]...); err != nil {
		return Meta{}, fmt.Errorf("%w: %w", ErrForeign, err)
	}
	return m, nil
}
