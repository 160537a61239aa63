package wire

import (
	"errors"
	"reflect"
)

// memory is what may still be allocated for the structure of a request: a few bytes of input can stand for much more,
// such as an empty element of a list. No request that an operation would do comes near its end.
type memory int64

// What memory is made of: a fixed part, and so much for each byte of the request.
const (
	memoryBase    = 512 << 10
	memoryPerByte = 2

	// smallMap is what a map of few elements takes, entryCost what an entry takes beside its value.
	smallMap  = 400
	entryCost = 200
)

func memoryFor(body []byte) memory { return memory(memoryBase + memoryPerByte*len(body)) }

var errMemory = errors.New("wire: the request takes too much memory for its size")

// take uses up size bytes.
func (m *memory) take(size uintptr) error {
	if *m -= memory(size); *m < 0 {
		return errMemory
	}
	return nil
}

// Lists begin with room for firstElements, and double. Those with as many as fewElements get room for all that are to be
// expected, up to manyElements.
const (
	firstElements = 4
	fewElements   = 16
	manyElements  = 1024
)

// begin makes v an empty list.
func (m *memory) begin(v reflect.Value) error {
	if err := m.take(firstElements * v.Type().Elem().Size()); err != nil {
		return err
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, firstElements))
	return nil
}

// extend adds an element to the list v, which will come to have about so many, and returns it.
func (m *memory) extend(v reflect.Value, total int) (reflect.Value, error) {
	n := v.Len()
	if n == v.Cap() {
		room := 2 * n
		if n >= fewElements {
			room = max(room, min(total, manyElements))
		}
		if err := m.take(uintptr(room) * v.Type().Elem().Size()); err != nil {
			return reflect.Value{}, err
		}
		v.Grow(room - n)
	}
	v.SetLen(n + 1)
	return v.Index(n), nil // zero, as nothing was there before
}

// entry pays for an entry of a map with values of a type.
func (m *memory) entry(value reflect.Type) error { return m.take(2*value.Size() + entryCost) }
