package format

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/shoal-stream/shoal/record"
)

// frames keeps everything about a record, for data of any kind:
//
//	object   "SHF1" frame…
//	frame    uvarint length of the rest
//	         uvarint length, sequence number (decimal)
//	         uvarint sub-sequence number
//	         uvarint length, partition key
//	         varint  arrival, milliseconds since 1970
//	         data, to the frame's end
type frames struct{ compression Compression }

const framesMagic = "SHF1"

func (f frames) Name() string      { return "frames" }
func (f frames) Extension() string { return ".frames" + f.compression.extension() }

func (f frames) Content(r *record.Record) ([]byte, error) {
	b := make([]byte, 0, len(r.SequenceNumber)+len(r.PartitionKey)+len(r.Data)+32)
	b = appendText(b, string(r.SequenceNumber))
	b = binary.AppendUvarint(b, r.SubSequenceNumber)
	b = appendText(b, r.PartitionKey)
	b = binary.AppendVarint(b, r.ArrivalTime.UnixMilli())
	return append(b, r.Data...), nil
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func (f frames) Encode(w io.Writer, contents iter.Seq2[[]byte, error]) error {
	begun := false
	return encode(w, f.compression, contents, func(out *bufio.Writer, content []byte) error {
		if !begun {
			begun = true
			if _, err := out.WriteString(framesMagic); err != nil {
				return err
			}
		}
		if _, err := out.Write(binary.AppendUvarint(nil, uint64(len(content)))); err != nil {
			return err
		}
		_, err := out.Write(content)
		return err
	})
}

func (f frames) Decode(r io.ReaderAt, size int64) iter.Seq2[[]byte, error] {
	begun := false
	return decode(r, size, f.compression, func(in *bufio.Reader, buf []byte) ([]byte, error) {
		if !begun {
			begun = true
			magic := make([]byte, len(framesMagic))
			if _, err := io.ReadFull(in, magic); err != nil || string(magic) != framesMagic {
				return nil, fmt.Errorf("no frames: begins with %q", magic)
			}
		}
		n, err := binary.ReadUvarint(in)
		if err != nil {
			return nil, err
		}
		if n > maxContent {
			return nil, fmt.Errorf("a frame of %d bytes; want at most %d", n, maxContent)
		}
		if uint64(cap(buf)) < n {
			buf = make([]byte, n)
		}
		if _, err := io.ReadFull(in, buf[:n]); err != nil {
			return nil, errors.Join(io.ErrUnexpectedEOF, err)
		}
		return buf[:n], nil
	})
}

// ParseFrame reads the content of a frame. Its Data aliases content.
func ParseFrame(content []byte) (record.Record, error) {
	var r record.Record
	seq, content, ok := text(content)
	sub, n := binary.Uvarint(content)
	if !ok || n <= 0 {
		return r, errors.New("frame is cut short")
	}
	key, content, ok := text(content[n:])
	arrival, n := binary.Varint(content)
	if !ok || n <= 0 {
		return r, errors.New("frame is cut short")
	}
	return record.Record{
		SequenceNumber: record.SequenceNumber(seq), SubSequenceNumber: sub, PartitionKey: key,
		ArrivalTime: time.UnixMilli(arrival), Data: content[n:],
	}, nil
}

func text(b []byte) (string, []byte, bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return "", nil, false
	}
	b = b[size:]
	return string(b[:n]), b[n:], true
}
