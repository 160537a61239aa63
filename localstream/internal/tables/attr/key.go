package attr

import (
	"encoding/binary"
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
