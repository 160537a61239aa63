// Package format turns records into the bodies of objects and back: JSON lines, length-framed binary, and Parquet with
// a declared schema.
package format

import (
	"fmt"
	"io"
	"iter"

	"github.com/shoal-stream/shoal/record"
)

// A Format writes the records of one object and reads them again. Its methods are safe for concurrent use.
type Format interface {
	// Name is "jsonl", "frames" or "parquet", as in an object's metadata.
	Name() string
	// Extension ends an object's name before that of the compression, such as ".jsonl".
	Extension() string
	// Content is what an object says about r: a line of JSON, a frame, a row. It may alias r's data. An error says that
	// the format cannot hold r; it depends on r alone.
	Content(r *record.Record) ([]byte, error)
	// Encode writes an object of contents.
	Encode(w io.Writer, contents iter.Seq2[[]byte, error]) error
	// Decode gives the Content of each record of an object of size bytes, in order. A slice is valid until the next.
	Decode(r io.ReaderAt, size int64) iter.Seq2[[]byte, error]
}

// New makes a format by its name. columns declare the schema of Parquet and are for it alone; compression is the
// object's, which Parquet applies to its pages.
func New(name string, columns []string, c Compression) (Format, error) {
	if name != "parquet" && len(columns) > 0 {
		return nil, fmt.Errorf("format %s: columns are for parquet", name)
	}
	switch name {
	case "jsonl":
		return lines{c}, nil
	case "frames":
		return frames{c}, nil
	case "parquet":
		return newParquet(columns, c)
	default:
		return nil, fmt.Errorf("format %q: want jsonl, frames or parquet", name)
	}
}
