package wire

import (
	"encoding/binary"
	"errors"
	"math"
	"unicode/utf8"
)

// Major types of CBOR items (RFC 8949, section 3.1).
const (
	cborUint   = 0
	cborNegint = 1
	cborBytes  = 2
	cborText   = 3
	cborList   = 4
	cborMap    = 5
	cborTag    = 6
	cborSimple = 7
)

// Additional information and simple values.
const (
	cborIndefinite = 31
	cborBreak      = 0xff
	cborFalse      = 20
	cborTrue       = 21
	cborNull       = 22
	cborUndefined  = 23
	cborFloat16    = 25
	cborFloat32    = 26
	cborFloat64    = 27
)

// maxTags bounds how many tags stand before one item.
const maxTags = 4

var errCBOR = errors.New("malformed CBOR")

// A head is the beginning of a CBOR item: its type and argument. For floats info tells their size and arg has their
// bits.
type head struct {
	major      byte
	info       byte
	arg        uint64
	indefinite bool
}

// none tells null and undefined.
func (h head) none() bool {
	return h.major == cborSimple && (h.info == cborNull || h.info == cborUndefined)
}

// A cborScanner reads one CBOR item from b. Like the JSON scanner it makes no tree. Nothing is allocated by what a
// length claims: a length beyond the body's rest is malformed, and an item takes at least a byte.
type cborScanner struct {
	b     []byte
	i     int
	depth int
}

// head reads the next item's head behind its tags.
func (s *cborScanner) head() (head, error) {
	for range maxTags + 1 {
		h, err := s.bare()
		if err != nil || h.major != cborTag {
			return h, err
		}
	}
	return head{}, errCBOR
}

// bare reads one head as it stands there.
func (s *cborScanner) bare() (head, error) {
	if s.i >= len(s.b) {
		return head{}, errCBOR
	}
	h := head{major: s.b[s.i] >> 5, info: s.b[s.i] & 31}
	s.i++
	switch {
	case h.info < 24:
		h.arg = uint64(h.info)
		return h, nil
	case h.info <= cborFloat64:
		size := 1 << (h.info - 24)
		if len(s.b)-s.i < size {
			return head{}, errCBOR
		}
		var wide [8]byte
		copy(wide[8-size:], s.b[s.i:s.i+size])
		h.arg = binary.BigEndian.Uint64(wide[:])
		s.i += size
		if h.major == cborSimple && h.info == 24 { // a simple value without a meaning, or one that has a shorter form
			return head{}, errCBOR
		}
		return h, nil
	case h.info == cborIndefinite && h.major >= cborBytes && h.major <= cborMap:
		h.indefinite = true
		return h, nil
	default:
		return head{}, errCBOR
	}
}

// atBreak takes the byte that ends an item of indefinite length, if that is what comes.
func (s *cborScanner) atBreak() bool {
	if s.i < len(s.b) && s.b[s.i] == cborBreak {
		s.i++
		return true
	}
	return false
}

// end makes sure that nothing follows the value.
func (s *cborScanner) end() error {
	if s.i < len(s.b) {
		return errCBOR
	}
	return nil
}

// elements calls f at the start of each element of the list or map that h begins; for a map key is the member's name.
func (s *cborScanner) elements(h head, f func(key []byte) error) error {
	if s.depth++; s.depth > maxDepth {
		return errCBOR
	}
	if !h.indefinite && h.arg > uint64(len(s.b)-s.i) {
		return errCBOR
	}
	for n := uint64(0); h.indefinite || n < h.arg; n++ {
		if h.indefinite && s.atBreak() {
			break
		}
		var key []byte
		if h.major == cborMap {
			k, err := s.head()
			if err != nil || k.major != cborText {
				return errCBOR
			}
			if key, err = s.text(k); err != nil {
				return err
			}
		}
		if err := f(key); err != nil {
			return err
		}
	}
	s.depth--
	return nil
}

// bytes reads the rest of a byte or text string. One of definite length aliases the body.
func (s *cborScanner) bytes(h head) ([]byte, error) {
	if !h.indefinite {
		return s.take(h.arg)
	}
	whole := []byte{}
	for !s.atBreak() {
		part, err := s.bare()
		if err != nil || part.major != h.major || part.indefinite {
			return nil, errCBOR
		}
		b, err := s.take(part.arg)
		if err != nil || h.major == cborText && !utf8.Valid(b) {
			return nil, errCBOR
		}
		whole = append(whole, b...)
	}
	return whole, nil
}

func (s *cborScanner) take(n uint64) ([]byte, error) {
	if n > uint64(len(s.b)-s.i) {
		return nil, errCBOR
	}
	start := s.i
	s.i += int(n)
	return s.b[start:s.i:s.i], nil
}

// text reads the rest of a text string as valid UTF-8.
func (s *cborScanner) text(h head) ([]byte, error) {
	b, err := s.bytes(h)
	if err == nil && !utf8.Valid(b) {
		err = errCBOR
	}
	return b, err
}

// number tells the value of an integer or float; ok is false for anything else.
func (h head) number() (f float64, n int64, integer, ok bool) {
	switch h.major {
	case cborUint:
		n = int64(min(h.arg, math.MaxInt64))
	case cborNegint:
		n = -1 - int64(min(h.arg, math.MaxInt64))
	case cborSimple:
		switch h.info {
		case cborFloat16:
			f = float16(uint16(h.arg))
		case cborFloat32:
			f = float64(math.Float32frombits(uint32(h.arg)))
		case cborFloat64:
			f = math.Float64frombits(h.arg)
		default:
			return 0, 0, false, false
		}
		return f, 0, false, true
	default:
		return 0, 0, false, false
	}
	return float64(n), n, true, true
}

// float16 widens a half-precision float.
func float16(bits uint16) float64 {
	exponent, fraction := int(bits>>10&31), float64(bits&1023)
	var f float64
	switch exponent {
	case 0:
		f = math.Ldexp(fraction, -24)
	case 31:
		if f = math.Inf(1); fraction != 0 {
			f = math.NaN()
		}
	default:
		f = math.Ldexp(fraction+1024, exponent-25)
	}
	if bits&0x8000 != 0 {
		f = -f
	}
	return f
}

// skip reads over the item that h begins, checking it.
func (s *cborScanner) skip(h head) error {
	switch h.major {
	case cborBytes:
		_, err := s.bytes(h)
		return err
	case cborText:
		_, err := s.text(h)
		return err
	case cborList, cborMap:
		return s.elements(h, func([]byte) error { return s.skipNext() })
	}
	return nil
}

func (s *cborScanner) skipNext() error {
	h, err := s.head()
	if err != nil {
		return err
	}
	return s.skip(h)
}
