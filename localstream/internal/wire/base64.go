package wire

import (
	"encoding/base64"
	"encoding/binary"
)

// Base64 is most of what a body of records is, so it goes by blocks of vector instructions here where there are some, and
// by tables: two characters at a time on the way out, eight on the way in. Whatever is not plain and whole, the end and
// all errors, is the standard library's to judge.

const base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// base64Pairs are the two characters for 12 bits, the first one in the lower byte.
var base64Pairs [1 << 12]uint16

// base64Bits are the 24 bits that a character stands for in each of the four places of a quantum, or notBase64.
var base64Bits [4][256]uint32

const notBase64 = 1 << 31

func init() {
	for i := range base64Pairs {
		base64Pairs[i] = uint16(base64Digits[i>>6]) | uint16(base64Digits[i&63])<<8
	}
	for place := range base64Bits {
		for c := range base64Bits[place] {
			base64Bits[place][c] = notBase64
		}
		for v, c := range []byte(base64Digits) {
			base64Bits[place][c] = uint32(v) << (18 - 6*place)
		}
	}
}

// appendBase64 appends data in the standard encoding with padding.
func appendBase64(b, data []byte) []byte {
	start := len(b)
	size := base64.StdEncoding.EncodedLen(len(data))
	if cap(b)-start < size {
		b = append(b, make([]byte, size)...)[:start]
	}
	out := b[start : start+size]
	if n := (len(data) - 4) / 24; wide && n > 0 {
		encodePairs(&out[0], &data[0], n)
		data, out = data[24*n:], out[32*n:]
	}
	if n := (len(data) - 4) / 12; vectors && n > 0 {
		encodeBlocks(&out[0], &data[0], n)
		data, out = data[12*n:], out[16*n:]
	}
	for len(data) >= 8 && len(out) >= 8 {
		u := binary.BigEndian.Uint64(data)
		binary.LittleEndian.PutUint64(out, uint64(base64Pairs[u>>52])|uint64(base64Pairs[u>>40&0xfff])<<16|
			uint64(base64Pairs[u>>28&0xfff])<<32|uint64(base64Pairs[u>>16&0xfff])<<48)
		data, out = data[6:], out[8:]
	}
	base64.StdEncoding.Encode(out, data)
	return b[:start+size]
}

// decodePlain decodes up to so many blocks of text in place and returns how many: it ends before the first with anything
// but plain characters. What lies behind those that it has decoded is untouched.
func decodePlain(text []byte, blocks int) (done int) {
	if pairs := blocks / 2; wide && pairs > 0 {
		done = 2 * decodePairs(&text[0], &text[0], pairs)
	}
	if left := blocks - done; left > 0 {
		done += decodeBlocks(&text[12*done], &text[16*done], left)
	}
	return done
}

// decodeBase64 decodes text in place, strictly, and returns how many bytes it has decoded. The error is a
// base64.CorruptInputError; the text behind the four characters at n/3*4 is then still as it was.
func decodeBase64(text []byte) (n int, err error) {
	from := 0
	if vectors && len(text) > 0 {
		done := decodePlain(text, (len(text)-1)/16)
		n, from = 12*done, 16*done
	}
	return decodeRest(text, n, from)
}

// decodeToQuote decodes what stands before the next quote, in place, if it is plain and whole: it is only looked at once,
// while it is decoded. Else it is left as it was.
func decodeToQuote(text []byte) (data []byte, size int, ok bool) {
	if !vectors {
		return nil, 0, false
	}
	done := decodePlain(text, len(text)/16) // a quote ends it
	n, from := 12*done, 16*done
	for ; from+4 < len(text) && text[from] != '"'; from += 4 {
		quantum := text[from : from+4]
		bits := base64Bits[0][quantum[0]] | base64Bits[1][quantum[1]] | base64Bits[2][quantum[2]] | base64Bits[3][quantum[3]]
		if bits&notBase64 != 0 {
			break
		}
		text[n], text[n+1], text[n+2] = byte(bits>>16), byte(bits>>8), byte(bits)
		n += 3
	}
	if from < len(text) && text[from] == '"' {
		return text[:n:n], from, true
	}
	if more, bits := decodePadded(text[from:]); more > 0 {
		text[n], text[n+1] = byte(bits>>16), byte(bits>>8) // the second may be none of the data, but was read too
		return text[: n+more : n+more], from + 4, true
	}
	copy(text, appendBase64(nil, text[:n]))
	return nil, 0, false
}

// decodePadded decodes a quantum with padding and the quote behind it into one byte or two, the highest of 24 bits. Zero
// bytes mean that there is no such thing.
func decodePadded(text []byte) (n int, bits uint32) {
	if len(text) < 5 || text[3] != '=' || text[4] != '"' {
		return 0, 0
	}
	n, bits = 1, base64Bits[0][text[0]]|base64Bits[1][text[1]]
	if text[2] != '=' {
		n, bits = 2, bits|base64Bits[2][text[2]]
	}
	if bits&(notBase64|0xffffff>>(8*n)) != 0 { // the bits that stand for nothing must be zero
		return 0, 0
	}
	return n, bits
}

// decodeRest decodes text from a place on, when what is before it has given n bytes.
func decodeRest(text []byte, n, from int) (int, error) {
	for len(text)-from > 8 { // the last quantum may have padding
		u := binary.LittleEndian.Uint64(text[from:])
		first := base64Bits[0][byte(u)] | base64Bits[1][byte(u>>8)] | base64Bits[2][byte(u>>16)] | base64Bits[3][byte(u>>24)]
		second := base64Bits[0][byte(u>>32)] | base64Bits[1][byte(u>>40)] | base64Bits[2][byte(u>>48)] | base64Bits[3][byte(u>>56)]
		if (first|second)&notBase64 != 0 {
			break
		}
		binary.BigEndian.PutUint64(text[n:], uint64(first)<<40|uint64(second)<<16) // two bytes more, behind which from is
		n += 6
		from += 8
	}
	rest, err := base64.StdEncoding.Strict().Decode(text[n:], text[from:])
	if at, ok := err.(base64.CorruptInputError); ok {
		err = at + base64.CorruptInputError(from)
	}
	return n + rest, err
}
