package attr

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// The stored form of an item. All lengths and counts are unsigned varints.
//
//	item    version (1 byte, = 1), count, then count × (name, value), names ascending
//	name    length, bytes
//	value   kind (1 byte, as the constants of Kind), then
//	  S N B       length, bytes
//	  BOOL        1 byte, 0 or 1
//	  NULL        nothing
//	  M           count, then count × (name, value), names ascending
//	  L           count, then count × value
//	  SS NS BS    count, then count × (length, bytes), ascending
//
// The numbers of the kinds are part of the format: they must not change.
const itemVersion = 1

// maxStoredDepth bounds recursion on damaged input; requests are limited to MaxNesting before.
const maxStoredDepth = MaxNesting + 8

var errDamaged = errors.New("stored item is damaged")

// Encode appends the stored form of the item.
func Encode(dst []byte, it Item) []byte {
	return appendMap(append(dst, itemVersion), it)
}

func appendMap(dst []byte, it Item) []byte {
	var room [24]string
	names := room[:0]
	for name := range it {
		names = append(names, name)
	}
	slices.Sort(names)
	dst = binary.AppendUvarint(dst, uint64(len(names)))
	for _, name := range names {
		dst = appendValue(appendText(dst, name), it[name])
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendValue(dst []byte, v Value) []byte {
	dst = append(dst, byte(v.Kind))
	switch v.Kind {
	case S, N, B:
		return appendText(dst, v.Str)
	case BOOL:
		if v.Bool {
			return append(dst, 1)
		}
		return append(dst, 0)
	case M, L, SS, NS, BS:
		return append(dst, v.Str...)
	}
	return dst
}

// Decode reads the stored form of an item. The item does not refer to stored.
func Decode(stored []byte) (Item, error) {
	if len(stored) == 0 {
		return nil, fmt.Errorf("%w: no bytes", errDamaged)
	}
	if stored[0] != itemVersion {
		return nil, fmt.Errorf("stored item has version %d, this program reads %d", stored[0], itemVersion)
	}
	d := decoder{rest: string(stored[1:])} // one copy: names and texts are parts of it
	it, err := d.item()
	if err == nil && d.rest != "" {
		err = fmt.Errorf("%w: %d bytes follow it", errDamaged, len(d.rest))
	}
	return it, err
}

type decoder struct{ rest string }

func (d *decoder) uvarint() (uint64, error) {
	var n uint64
	for i := 0; i < len(d.rest) && i < binary.MaxVarintLen64; i++ {
		c := d.rest[i]
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			d.rest = d.rest[i+1:]
			return n, nil
		}
	}
	return 0, fmt.Errorf("%w: a number is cut short", errDamaged)
}

// count reads how many elements follow. Each takes at least one byte, which bounds what is allocated.
func (d *decoder) count() (int, error) {
	n, err := d.uvarint()
	if err == nil && n > uint64(len(d.rest)) {
		err = fmt.Errorf("%w: %d elements in %d bytes", errDamaged, n, len(d.rest))
	}
	return int(n), err
}

func (d *decoder) text() (string, error) {
	n, err := d.count()
	if err != nil {
		return "", err
	}
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s, nil
}

func (d *decoder) octet() (byte, error) {
	if d.rest == "" {
		return 0, fmt.Errorf("%w: cut short", errDamaged)
	}
	c := d.rest[0]
	d.rest = d.rest[1:]
	return c, nil
}

func (d *decoder) item() (Item, error) {
	n, err := d.count()
	if err != nil {
		return nil, err
	}
	it := make(Item, min(n, 64))
	for range n {
		name, err := d.text()
		if err != nil {
			return nil, err
		}
		if it[name], err = d.value(0); err != nil {
			return nil, err
		}
	}
	return it, nil
}

// value reads a value; the content of a list, map or set is checked and stays as it is.
func (d *decoder) value(depth int) (v Value, err error) {
	if depth > maxStoredDepth {
		return v, fmt.Errorf("%w: nested deeper than %d", errDamaged, maxStoredDepth)
	}
	kind, err := d.octet()
	if err != nil {
		return v, err
	}
	v.Kind = Kind(kind)
	switch before := d.rest; v.Kind {
	case S, N, B:
		v.Str, err = d.text()
	case BOOL:
		var c byte
		c, err = d.octet()
		v.Bool = c == 1
	case NULL:
	case M, L, SS, NS, BS:
		err = d.skip(v.Kind, depth)
		v.Str = before[:len(before)-len(d.rest)]
	default:
		err = fmt.Errorf("%w: unknown kind %d", errDamaged, kind)
	}
	return v, err
}

// skip reads over the content of a list, map or set.
func (d *decoder) skip(kind Kind, depth int) error {
	n, err := d.count()
	for range n {
		if err != nil {
			break
		}
		if kind != L {
			_, err = d.text()
		}
		if err == nil && (kind == L || kind == M) {
			_, err = d.value(depth + 1)
		}
	}
	return err
}
