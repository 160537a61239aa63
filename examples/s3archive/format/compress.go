package format

import (
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// A Compression is applied to the body of an object.
type Compression string

// The compressions.
const (
	None Compression = "none"
	Gzip Compression = "gzip"
	Zstd Compression = "zstd"
)

// ParseCompression reads a compression's name.
func ParseCompression(name string) (Compression, error) {
	switch c := Compression(name); c {
	case None, Gzip, Zstd:
		return c, nil
	default:
		return "", fmt.Errorf("compression %q: want none, gzip or zstd", name)
	}
}

// extension ends the name of a compressed object.
func (c Compression) extension() string {
	switch c {
	case Gzip:
		return ".gz"
	case Zstd:
		return ".zst"
	default:
		return ""
	}
}

// writer compresses into w. Close ends the body and leaves w open.
func (c Compression) writer(w io.Writer) (io.WriteCloser, error) {
	switch c {
	case Gzip:
		return gzip.NewWriter(w), nil
	case Zstd:
		// One goroutine: objects are encoded side by side already.
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	default:
		return nopCloser{w}, nil
	}
}

// maxWindow bounds the memory that a frame may ask for while it is read: the encoder's levels use at most 8 MiB.
const maxWindow = 64 << 20

// reader decompresses r.
func (c Compression) reader(r io.Reader) (io.ReadCloser, error) {
	switch c {
	case Gzip:
		return gzip.NewReader(r)
	case Zstd:
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	default:
		return io.NopCloser(r), nil
	}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
