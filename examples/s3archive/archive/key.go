package archive

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/shoal-stream/shoal/record"
)

// digits is the width of sequence numbers in keys, so that names sort as numbers do. Kinesis gives 56 digits today;
// longer ones stay as they are.
const digits = 56

// subDigits is the width of a sub-sequence number in a key.
const subDigits = 6

// name is the last part of the key of the object that begins with p: the sequence number and, within an aggregate, the
// sub-sequence number.
func name(p record.Position) string {
	text := pad(string(p.Sequence()), digits)
	if p.Sub() > 0 {
		text += "-" + pad(strconv.FormatUint(p.Sub(), 10), subDigits)
	}
	return text
}

func pad(number string, width int) string {
	return strings.Repeat("0", max(0, width-len(number))) + number
}

// FirstOf reads from an object's key the position of the record that it begins with.
func FirstOf(key string) (record.Position, error) {
	text, _, _ := strings.Cut(path.Base(key), ".")
	seq, sub, nested := strings.Cut(text, "-")
	n := uint64(0)
	if nested {
		var err error
		if n, err = strconv.ParseUint(sub, 10, 64); err != nil {
			return record.Position{}, fmt.Errorf("key %q names no record: %w", key, err)
		}
	}
	p := record.At(record.SequenceNumber(strings.TrimLeft(seq, "0")), n)
	if err := p.Validate(); err != nil {
		return record.Position{}, fmt.Errorf("key %q names no record: %w", key, err)
	}
	return p, nil
}

// parsePosition reads what Position.String wrote of a record's position.
func parsePosition(text string) (record.Position, error) {
	seq, sub, nested := strings.Cut(text, "/")
	n := uint64(0)
	if nested {
		var err error
		if n, err = strconv.ParseUint(sub, 10, 64); err != nil {
			return record.Position{}, fmt.Errorf("position %q: %w", text, err)
		}
	}
	p := record.At(record.SequenceNumber(seq), n)
	return p, p.Validate()
}
