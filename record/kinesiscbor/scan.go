package kinesiscbor

import (
	"encoding/binary"
	"fmt"
)

// Major types of CBOR items (RFC 8949, section 3.1), as they stand in an item's first byte.
const (
	majorUint   = 0 << 5
	majorNegint = 1 << 5
	majorBytes  = 2 << 5
	majorText   = 3 << 5
	majorList   = 4 << 5
	majorMap    = 5 << 5
	majorTag    = 6 << 5
	majorSimple = 7 << 5

	majorMask = 7 << 5
	infoMask  = 31
)

// Additional information, and simple values with their major type.
const (
	indefinite     = 31
	itemFalse      = majorSimple | 20
	itemTrue       = majorSimple | 21
	itemNull       = majorSimple | 22
	itemUndefined  = majorSimple | 23
	itemFloat16    = majorSimple | 25
	itemFloat32    = majorSimple | 26
	itemFloat64    = majorSimple | 27
	itemBreak      = majorSimple | indefinite
	tagEpoch       = 1
	maxDepth       = 128     // of lists, maps and tags within each other
	maxElements    = 100_000 // of a list, ten times what the service gives
	indefiniteSize = -1
)

// A scanner reads CBOR items from b. It allocates nothing by what a length claims: a string that is longer than the
// rest of b, or a list with more elements than the rest has bytes, is malformed.
type scanner struct {
	b []byte
	i int
}

func (s *scanner) malformed(what string) error {
	return fmt.Errorf("malformed CBOR at byte %d: %s", s.i, what)
}

// unexpected is the error of an item that is not of the type wanted.
func (s *scanner) unexpected(want string) error {
	if s.i >= len(s.b) {
		return s.malformed("it ends; want " + want)
	}
	return fmt.Errorf("CBOR at byte %d: an item that begins with %#02x; want %s", s.i, s.b[s.i], want)
}

// peek is the first byte of the next item. At the end it is a break, which begins no item.
func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return itemBreak
}

// atBreak takes the byte that ends an item of indefinite length, if that is what comes.
func (s *scanner) atBreak() bool {
	if s.i < len(s.b) && s.b[s.i] == itemBreak {
		s.i++
		return true
	}
	return false
}

// none takes null or undefined, if that is what comes.
func (s *scanner) none() bool {
	if s.i < len(s.b) && (s.b[s.i] == itemNull || s.b[s.i] == itemUndefined) {
		s.i++
		return true
	}
	return false
}

// argument takes an item's first byte, whose type the caller has looked at, with the number that belongs to it.
func (s *scanner) argument() (uint64, error) {
	if s.i >= len(s.b) {
		return 0, s.malformed("it ends")
	}
	info := s.b[s.i] & infoMask
	if info < 24 {
		s.i++
		return uint64(info), nil
	}
	rest := s.b[s.i+1:]
	switch {
	case info == 24 && len(rest) >= 1:
		s.i += 2
		return uint64(rest[0]), nil
	case info == 25 && len(rest) >= 2:
		s.i += 3
		return uint64(binary.BigEndian.Uint16(rest)), nil
	case info == 26 && len(rest) >= 4:
		s.i += 5
		return uint64(binary.BigEndian.Uint32(rest)), nil
	case info == 27 && len(rest) >= 8:
		s.i += 9
		return binary.BigEndian.Uint64(rest), nil
	}
	return 0, s.malformed("an argument that is cut off, or of no meaning")
}

// take takes the next n bytes, which nobody can append to.
func (s *scanner) take(n uint64) ([]byte, error) {
	if n > uint64(len(s.b)-s.i) {
		return nil, s.malformed("a string longer than what is left")
	}
	start := s.i
	s.i += int(n)
	return s.b[start:s.i:s.i], nil
}

// text takes a text string. Like the SDK's decoder it lets through what is not UTF-8: a page that cannot be read would
// hold up its shard for ever.
func (s *scanner) text() ([]byte, error) {
	if s.peek()&majorMask != majorText {
		return nil, s.unexpected("a text string")
	}
	return s.str(majorText)
}

// short takes a text string of less than 256 bytes, if that is what comes: nearly all are, and this costs a fraction of
// text.
func (s *scanner) short() ([]byte, bool) {
	b, i := s.b, s.i
	if i+1 >= len(b) {
		return nil, false
	}
	n := int(b[i]) - majorText
	i++
	if n == 24 {
		n = int(b[i])
		i++
	} else if uint(n) > 24 {
		return nil, false
	}
	if n > len(b)-i {
		return nil, false
	}
	s.i = i + n
	return b[i : i+n], true
}

// bytes takes a byte string.
func (s *scanner) bytes() ([]byte, error) {
	if s.peek()&majorMask != majorBytes {
		return nil, s.unexpected("a byte string")
	}
	return s.str(majorBytes)
}

// str takes the string of the given type that is there. It aliases b, unless it comes in pieces.
func (s *scanner) str(major byte) ([]byte, error) {
	if s.b[s.i]&infoMask != indefinite {
		n, err := s.argument()
		if err != nil {
			return nil, err
		}
		return s.take(n)
	}
	s.i++
	whole := []byte{}
	for !s.atBreak() {
		if c := s.peek(); c&majorMask != major || c&infoMask == indefinite {
			return nil, s.unexpected("a piece of a string, or its end")
		}
		piece, err := s.str(major)
		if err != nil {
			return nil, err
		}
		whole = append(whole, piece...)
	}
	return whole, nil
}

// plain takes a string of that type of less than 64 KiB and in one piece, if that is what comes: nearly all are, and this
// costs a fraction of str.
func (s *scanner) plain(major byte) ([]byte, bool) {
	b, i := s.b, s.i
	if i+2 >= len(b) {
		return nil, false
	}
	n := int(b[i] - major)
	i++
	switch {
	case n < 24:
	case n == 24:
		n = int(b[i])
		i++
	case n == 25:
		n = int(b[i])<<8 | int(b[i+1])
		i += 2
	default:
		return nil, false
	}
	if n > len(b)-i {
		return nil, false
	}
	s.i = i + n
	return b[i:s.i:s.i], true
}

// count takes the head of a list or map, the type of which the caller has looked at: the number of its elements, or
// indefiniteSize.
func (s *scanner) count() (int, error) {
	if s.b[s.i]&infoMask == indefinite {
		s.i++
		return indefiniteSize, nil
	}
	n, err := s.argument()
	if err == nil && n > uint64(len(s.b)-s.i) {
		err = s.malformed("more elements than bytes")
	}
	return int(n), err
}

// more reports whether one more element of a list or map comes, of which left are to come, and counts it.
func (s *scanner) more(left *int) bool {
	if *left == indefiniteSize {
		return !s.atBreak()
	}
	if *left == 0 {
		return false
	}
	*left--
	return true
}

// members takes a map and calls f at the value of each member.
func (s *scanner) members(f func(name []byte) error) error {
	if s.peek()&majorMask != majorMap {
		return s.unexpected("a map")
	}
	left, err := s.count()
	if err != nil {
		return err
	}
	for s.more(&left) {
		name, err := s.text()
		if err != nil {
			return err
		}
		if err := f(name); err != nil {
			return err
		}
	}
	return nil
}

// integer takes an integer.
func (s *scanner) integer() (int64, error) {
	negative := s.peek()&majorMask == majorNegint
	if !negative && s.peek()&majorMask != majorUint {
		return 0, s.unexpected("an integer")
	}
	n, err := s.argument()
	if err != nil {
		return 0, err
	}
	if n > 1<<63-1 {
		return 0, s.malformed("an integer of more than 64 bits")
	}
	if negative {
		return -1 - int64(n), nil
	}
	return int64(n), nil
}

// millis takes a timestamp: milliseconds, with the tag that by the standard would mean seconds, or without it.
func (s *scanner) millis() (int64, error) {
	const tagged, long = majorTag | tagEpoch, majorUint | 27
	if b := s.b[s.i:]; len(b) >= 10 && b[0] == tagged && b[1] == long && b[2] < 0x80 { // as the service writes it
		s.i += 10
		return int64(binary.BigEndian.Uint64(b[2:])), nil
	}
	if s.peek()&majorMask == majorTag {
		at := s.i
		tag, err := s.argument()
		if err != nil {
			return 0, err
		}
		if tag != tagEpoch {
			s.i = at
			return 0, s.unexpected("a timestamp")
		}
	}
	return s.integer()
}

// skip takes an item of any type that stands within depth lists, maps and tags, and checks that it is well-formed.
func (s *scanner) skip(depth int) error {
	first := s.peek()
	major := first & majorMask
	switch major {
	case majorUint, majorNegint:
		_, err := s.argument()
		return err
	case majorBytes, majorText:
		_, err := s.str(major)
		return err
	case majorSimple:
		return s.skipSimple(first)
	}
	if depth >= maxDepth {
		return s.malformed("too deep")
	}
	if major == majorTag {
		if _, err := s.argument(); err != nil {
			return err
		}
		return s.skip(depth + 1)
	}
	left, err := s.count()
	if err != nil {
		return err
	}
	for s.more(&left) {
		if major == majorMap {
			if _, err := s.text(); err != nil {
				return err
			}
		}
		if err := s.skip(depth + 1); err != nil {
			return err
		}
	}
	return nil
}

func (s *scanner) skipSimple(first byte) error {
	size := 0
	switch first {
	case itemFalse, itemTrue, itemNull, itemUndefined:
	case itemFloat16:
		size = 2
	case itemFloat32:
		size = 4
	case itemFloat64:
		size = 8
	default:
		return s.unexpected("an item")
	}
	_, err := s.take(uint64(1 + size))
	return err
}
