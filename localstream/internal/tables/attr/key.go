package attr

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Key parts are written so that comparing bytes orders them as DynamoDB orders the values: strings and binaries by
// their bytes, numbers by value. Each part ends itself, so that another can follow.
//
//	S, B    the bytes, 0x00 as 0x00 0xff; then 0x00 0x01
//	N < 0   0x01, exponent inverted (2 bytes), digits inverted (1 byte each), 0xff
//	N = 0   0x02
//	N > 0   0x03, exponent + 0x8000 (2 bytes, big endian), digits (1 byte each, '0' to '9'), 0x00
const (
	keyEscape     = 0x00
	keyEscaped00  = 0xff
	keyTerminator = 0x01

	keyNegative = 0x01
	keyZero     = 0x02
	keyPositive = 0x03
)

// AppendKey appends the ordered form of v, which must be an S, N or B.
func AppendKey(dst []byte, v Value) []byte {
	if v.Kind == N {
		return appendNumberKey(dst, v.Str)
	}
	return append(AppendKeyPrefix(dst, v.Str), keyEscape, keyTerminator)
}

// AppendKeyPrefix appends what the ordered forms of all S or B values that begin with s have in common.
func AppendKeyPrefix(dst []byte, s string) []byte {
	for {
		i := strings.IndexByte(s, keyEscape)
		if i < 0 {
			return append(dst, s...)
		}
		dst = append(dst, s[:i]...)
		dst = append(dst, keyEscape, keyEscaped00)
		s = s[i+1:]
	}
}

func appendNumberKey(dst []byte, number string) []byte {
	negative, digits, exponent := normalized(number)
	if digits == "" {
		return append(dst, keyZero)
	}
	biased := uint16(exponent + 0x8000)
	if !negative {
		dst = binary.BigEndian.AppendUint16(append(dst, keyPositive), biased)
		return append(append(dst, digits...), 0x00)
	}
	dst = binary.BigEndian.AppendUint16(append(dst, keyNegative), ^biased)
	for i := range len(digits) {
		dst = append(dst, ^digits[i])
	}
	return append(dst, 0xff)
}

// CutKey reads one part of the given kind off the front of key and returns it with the rest.
func CutKey(kind Kind, key []byte) (Value, []byte, error) {
	switch kind {
	case S, B:
		text, rest, err := cutText(key)
		return Value{Kind: kind, Str: text}, rest, err
	case N:
		text, rest, err := cutNumber(key)
		return Value{Kind: N, Str: text}, rest, err
	}
	return Value{}, nil, fmt.Errorf("a key part of kind %v", kind)
}

func cutText(key []byte) (string, []byte, error) {
	var text []byte
	for i := 0; i+1 < len(key); i++ {
		if key[i] != keyEscape {
			text = append(text, key[i])
			continue
		}
		i++
		switch key[i] {
		case keyTerminator:
			return string(text), key[i+1:], nil
		case keyEscaped00:
			text = append(text, keyEscape)
		default:
			return "", nil, fmt.Errorf("a key part has byte %#x after its escape", key[i])
		}
	}
	return "", nil, fmt.Errorf("a key part of %d bytes has no end", len(key))
}

func cutNumber(key []byte) (string, []byte, error) {
	if len(key) > 0 && key[0] == keyZero {
		return "0", key[1:], nil
	}
	if len(key) < 4 || (key[0] != keyNegative && key[0] != keyPositive) {
		return "", nil, fmt.Errorf("a number key part of %d bytes is damaged", len(key))
	}
	negative, mask := key[0] == keyNegative, byte(0)
	if negative {
		mask = 0xff
	}
	biased := binary.BigEndian.Uint16(key[1:])
	if negative {
		biased = ^biased
	}
	var digits []byte
	for i, c := range key[3:] {
		if c ^= mask; c != 0 {
			digits = append(digits, c)
			continue
		}
		text, err := formatNumber(negative, string(digits), int(biased)-0x8000+1)
		return text, key[3+i+1:], err
	}
	return "", nil, fmt.Errorf("a number key part of %d bytes has no end", len(key))
}
