package kinesiscbor

import (
	"errors"
	"math"
	"math/big"
	"time"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/document"
)

// A decoder reads answers for the SDK's generated code, which asks it for one shape after the other.
type decoder struct {
	s    scanner
	in   *incoming // where the rest of the body comes from; nil if s has all
	page *Page     // what the records of a GetRecords go into, nil if that is the answer itself
	open []opened  // structures, lists and maps around the next item
}

// opened is a structure, list or map that has been begun.
type opened struct {
	shape *smithy.Schema
	left  int // elements to come, or indefiniteSize
	taken int
}

var _ smithy.ShapeDeserializer = (*decoder)(nil)

var errUnserved = errors.New("a shape that Kinesis has none of")

func (d *decoder) depth() int { return len(d.open) }

// begin takes the head of a structure, list or map.
func (d *decoder) begin(shape *smithy.Schema, major byte, want string) error {
	if d.s.peek()&majorMask != major {
		return d.s.unexpected(want)
	}
	if d.depth() >= maxDepth {
		return d.s.malformed("too deep")
	}
	left, err := d.s.count()
	d.open = append(d.open, opened{shape: shape, left: left})
	return err
}

// more reports whether one more element comes in the innermost structure, list or map; if not, that is closed.
func (d *decoder) more() (bool, error) {
	if len(d.open) == 0 {
		return true, d.s.malformed("no structure has been begun")
	}
	in := &d.open[len(d.open)-1]
	if !d.s.more(&in.left) {
		d.open = d.open[:len(d.open)-1]
		return false, nil
	}
	if in.taken++; in.taken > maxElements {
		return true, d.s.malformed("too many elements")
	}
	return true, nil // also with an error: smithy.ReadList takes one with false for the end
}

// ReadStruct begins a structure.
func (d *decoder) ReadStruct(shape *smithy.Schema) error { return d.begin(shape, majorMap, "a map") }

// ReadStructMember finds the next member that the shape has, nil at the structure's end.
func (d *decoder) ReadStructMember() (*smithy.Schema, error) {
	for {
		more, err := d.more()
		if !more || err != nil {
			return nil, err
		}
		name, err := d.s.text()
		if err != nil {
			return nil, err
		}
		if d.s.none() {
			continue
		}
		if member := d.open[len(d.open)-1].shape.Members()[string(name)]; member != nil {
			return member, nil
		}
		if err := d.s.skip(d.depth()); err != nil {
			return nil, err
		}
	}
}

// ReadList begins a list.
func (d *decoder) ReadList(shape *smithy.Schema) error { return d.begin(shape, majorList, "a list") }

// ReadListItem reports whether an item comes.
func (d *decoder) ReadListItem(*smithy.Schema) (bool, error) { return d.more() }

// ReadMap begins a map.
func (d *decoder) ReadMap(shape *smithy.Schema) error { return d.begin(shape, majorMap, "a map") }

// ReadMapKey takes the next key.
func (d *decoder) ReadMapKey(*smithy.Schema) (string, bool, error) {
	more, err := d.more()
	if !more || err != nil {
		return "", more, err
	}
	key, err := d.s.text()
	return string(key), true, err
}

// ReadNil takes null, if that is what comes.
func (d *decoder) ReadNil(*smithy.Schema) (bool, error) { return d.s.none(), nil }

// ReadString takes a text string.
func (d *decoder) ReadString(_ *smithy.Schema, v *string) error {
	b, err := d.s.text()
	*v = string(b)
	return err
}

// ReadBlob takes a byte string, which aliases the body.
func (d *decoder) ReadBlob(_ *smithy.Schema, v *[]byte) (err error) {
	*v, err = d.s.bytes()
	return err
}

// ReadTime takes a timestamp.
func (d *decoder) ReadTime(_ *smithy.Schema, v *time.Time) error {
	ms, err := d.s.millis()
	*v = time.UnixMilli(ms)
	return err
}

// ReadBool takes true or false.
func (d *decoder) ReadBool(_ *smithy.Schema, v *bool) error {
	c := d.s.peek()
	if c != itemTrue && c != itemFalse {
		return d.s.unexpected("true or false")
	}
	*v = c == itemTrue
	d.s.i++
	return nil
}

// ReadInt8, and those after it, take an integer of that size.
func (d *decoder) ReadInt8(_ *smithy.Schema, v *int8) error {
	return readInt(d, v, math.MinInt8, math.MaxInt8)
}

func (d *decoder) ReadInt16(_ *smithy.Schema, v *int16) error {
	return readInt(d, v, math.MinInt16, math.MaxInt16)
}

func (d *decoder) ReadInt32(_ *smithy.Schema, v *int32) error {
	return readInt(d, v, math.MinInt32, math.MaxInt32)
}

func (d *decoder) ReadInt64(_ *smithy.Schema, v *int64) error {
	return readInt(d, v, math.MinInt64, math.MaxInt64)
}

func readInt[T int8 | int16 | int32 | int64](d *decoder, v *T, least, most int64) error {
	n, err := d.s.integer()
	if err == nil && (n < least || n > most) {
		err = d.s.malformed("an integer out of its range")
	}
	*v = T(n)
	return err
}

// Kinesis has no shapes of the kinds below in the answers that are read here.

func (d *decoder) ReadFloat32(*smithy.Schema, *float32) error         { return errUnserved }
func (d *decoder) ReadFloat64(*smithy.Schema, *float64) error         { return errUnserved }
func (d *decoder) ReadBigInt(*smithy.Schema, *big.Int) error          { return errUnserved }
func (d *decoder) ReadBigFloat(*smithy.Schema, *big.Float) error      { return errUnserved }
func (d *decoder) ReadDocument(*smithy.Schema, *document.Value) error { return errUnserved }
func (d *decoder) ReadUnion(*smithy.Schema) (*smithy.Schema, error)   { return nil, errUnserved }
