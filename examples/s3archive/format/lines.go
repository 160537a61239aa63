package format

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"

	"github.com/shoal-stream/shoal/record"
)

// lines is one record a line, for JSON. A record without a line break is stored as it is; one with line breaks must be
// JSON, of which the white space is taken out.
type lines struct{ compression Compression }

func (f lines) Name() string      { return "jsonl" }
func (f lines) Extension() string { return ".jsonl" + f.compression.extension() }

func (f lines) Content(r *record.Record) ([]byte, error) {
	data := bytes.TrimSuffix(r.Data, []byte("\n")) // producers that end their records with a line break mean one line
	if bytes.IndexByte(data, '\n') < 0 {
		return data, nil
	}
	var one bytes.Buffer
	if err := json.Compact(&one, data); err != nil {
		return nil, fmt.Errorf("a record with line breaks is not JSON: %w", err)
	}
	return one.Bytes(), nil
}

func (f lines) Encode(w io.Writer, contents iter.Seq2[[]byte, error]) error {
	return encode(w, f.compression, contents, func(out *bufio.Writer, content []byte) error {
		if _, err := out.Write(content); err != nil {
			return err
		}
		return out.WriteByte('\n')
	})
}

func (f lines) Decode(r io.ReaderAt, size int64) iter.Seq2[[]byte, error] {
	return decode(r, size, f.compression, func(in *bufio.Reader, buf []byte) ([]byte, error) {
		buf = buf[:0]
		for {
			part, err := in.ReadSlice('\n')
			buf = append(buf, part...)
			switch {
			case err == nil:
				return buf[:len(buf)-1], nil
			case err == io.EOF && len(buf) > 0:
				return nil, io.ErrUnexpectedEOF
			case err != bufio.ErrBufferFull:
				return nil, err
			}
			if len(buf) > maxContent {
				return nil, fmt.Errorf("a line of more than %d bytes", maxContent)
			}
		}
	})
}

// maxContent bounds what is taken for one record: Kinesis has at most 10 MiB, and a transform may make it longer.
const maxContent = 64 << 20

// encode writes each content with put, through the compression.
func encode(w io.Writer, c Compression, contents iter.Seq2[[]byte, error], put func(*bufio.Writer, []byte) error) error {
	z, err := c.writer(w)
	if err != nil {
		return fmt.Errorf("encode object: %w", err)
	}
	out := bufio.NewWriterSize(z, 64<<10)
	for content, err := range contents {
		if err == nil {
			err = put(out, content)
		}
		if err != nil {
			return fmt.Errorf("encode object: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("encode object: %w", err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("encode object: %w", err)
	}
	return nil
}

// decode reads contents by next until the end, which it reports as io.EOF. buf is next's to use again.
func decode(r io.ReaderAt, size int64, c Compression, next func(in *bufio.Reader, buf []byte) ([]byte, error)) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		z, err := c.reader(io.NewSectionReader(r, 0, size))
		if err != nil {
			yield(nil, fmt.Errorf("decode object: %w", err))
			return
		}
		defer z.Close()
		in := bufio.NewReaderSize(z, 64<<10)
		var buf []byte
		for {
			content, err := next(in, buf)
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(nil, fmt.Errorf("decode object: %w", err))
				return
			}
			if !yield(content, nil) {
				return
			}
			buf = content
		}
	}
}
