package wire

import (
	"bytes"
	"encoding/base64"
	"errors"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a request. DynamoDB allows 32 levels of attribute values, each two brackets deep.
const maxDepth = 128

var errSyntax = errors.New("malformed JSON")

// A scanner reads one JSON value from b. It makes no tree: the decoder asks for what it expects.
type scanner struct {
	b     []byte
	i     int
	depth int
	hint  string // the name that the next member probably has
}

// peek skips white space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) expect(c byte) error {
	if s.peek() != c {
		return errSyntax
	}
	s.i++
	return nil
}

// end makes sure that nothing follows the value.
func (s *scanner) end() error {
	if s.peek() != 0 || s.i < len(s.b) {
		return errSyntax
	}
	return nil
}

// elements calls f at the start of each element of a list or object; for an object key is the member's name, valid
// until the next call.
func (s *scanner) elements(object bool, f func(key []byte) error) error {
	open, closing := byte('['), byte(']')
	if object {
		open, closing = '{', '}'
	}
	if err := s.expect(open); err != nil {
		return err
	}
	if s.depth++; s.depth > maxDepth {
		return errSyntax
	}
	for first := true; s.peek() != closing; first = false {
		if !first {
			if err := s.expect(','); err != nil {
				return err
			}
		}
		var key []byte
		if object {
			if s.peek() != '"' {
				return errSyntax
			}
			var err error
			if key, err = s.name(); err != nil {
				return err
			}
			if err = s.expect(':'); err != nil {
				return err
			}
		}
		if err := f(key); err != nil {
			return err
		}
	}
	s.i++
	s.depth--
	return nil
}

// name reads a member's name.
func (s *scanner) name() ([]byte, error) {
	start, end := s.i+1, s.i+1+len(s.hint)
	if end < len(s.b) && s.b[end] == '"' && string(s.b[start:end]) == s.hint {
		s.i = end + 1
		return s.b[start:end], nil
	}
	return s.text()
}

// raw skips a string and returns what stands between its quotes, and whether that has escapes.
func (s *scanner) raw() (text []byte, escaped bool, err error) {
	if err := s.expect('"'); err != nil {
		return nil, false, err
	}
	start, quote := s.i, s.i-1
	for {
		if s.i > quote { // else it is still the next one
			n := bytes.IndexByte(s.b[min(s.i, len(s.b)):], '"')
			if n < 0 {
				return nil, false, errSyntax
			}
			quote = s.i + n
		}
		escape := bytes.IndexByte(s.b[s.i:quote], '\\')
		if escape < 0 {
			s.i = quote + 1
			return s.b[start:quote], escaped, nil
		}
		escaped = true
		s.i += escape + 2 // the byte behind a backslash ends nothing
	}
}

// text reads a string as valid UTF-8. Without escapes it aliases the body.
func (s *scanner) text() ([]byte, error) {
	raw, escaped, err := s.raw()
	if err != nil {
		return nil, err
	}
	for _, c := range raw {
		if c < 0x20 {
			return nil, errSyntax
		}
	}
	if !utf8.Valid(raw) {
		return nil, errSyntax
	}
	if !escaped {
		return raw, nil
	}
	return unescape(raw)
}

func unescape(raw []byte) ([]byte, error) {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			continue
		}
		i++
		switch c := raw[i]; c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, ok := hex4(raw[i+1:])
			if !ok {
				return nil, errSyntax
			}
			i += 4
			if utf16.IsSurrogate(r) {
				low, ok := rune(0), false
				if i+2 < len(raw) && raw[i+1] == '\\' && raw[i+2] == 'u' {
					low, ok = hex4(raw[i+3:])
				}
				if r = utf16.DecodeRune(r, low); ok && r != utf8.RuneError {
					i += 6
				} else {
					r = utf8.RuneError
				}
			}
			out = utf8.AppendRune(out, r)
		default:
			return nil, errSyntax
		}
	}
	return out, nil
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	v, err := strconv.ParseUint(string(b[:4]), 16, 32)
	return rune(v), err == nil
}

// blob decodes a base64 string in place: the result aliases the body. The error is a text for the client.
func (s *scanner) blob() (data []byte, problem string, err error) {
	if s.peek() == '"' {
		if data, size, ok := decodeToQuote(s.b[s.i+1:]); ok {
			s.i += size + 2
			return data, "", nil
		}
	}
	return s.anyBlob()
}

// anyBlob is blob for whatever stands there.
func (s *scanner) anyBlob() (data []byte, problem string, err error) {
	raw, escaped, err := s.raw()
	if err != nil {
		return nil, "", err
	}
	if escaped {
		if raw, err = unescape(raw); err != nil {
			return nil, "", err
		}
	}
	if len(raw)%4 != 0 {
		return nil, "'" + clip(raw) + "' can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 bytes but found: " + itoa(len(raw)), nil
	}
	if at := max(bytes.IndexByte(raw, '\r'), bytes.IndexByte(raw, '\n')); at >= 0 { // the base64 package would skip line ends
		return nil, "'" + clip(raw) + "' can not be converted to a Blob: Invalid Base64 character: '" + string(rune(raw[at])) + "'", nil
	}
	var first [8]byte
	copy(first[:], raw)
	n, err := decodeBase64(raw)
	if err != nil {
		// What was decoded so far has overwritten the beginning: encode it back. What failed may be damaged too, but only
		// where it is among the first characters.
		shown := append(base64.StdEncoding.AppendEncode(nil, raw[:n/3*3]), raw[n/3*4:]...)
		if n <= 3 {
			copy(shown, first[:])
		}
		return nil, "'" + clip(shown) + "' can not be converted to a Blob: " + badBase64(shown), nil
	}
	return raw[:n:n], "", nil
}

// badBase64 says what is wrong with text that cannot be decoded: a character that has no place in it, or not there, or
// else the last one before the padding, some of whose bits stand for nothing and must be zero.
func badBase64(text []byte) string {
	for i, c := range text {
		if c != '=' && base64Bits[0][c] == notBase64 || c == '=' && i+1 < len(text) && text[i+1] != '=' {
			return "Invalid Base64 character: '" + string(rune(c)) + "'"
		}
	}
	return "Invalid last non-pad Base64 character dectected" // spelt as the service spells it
}

// clip keeps messages short: the data of a record is not repeated in them.
func clip(b []byte) string {
	const most = 32
	if len(b) > most {
		b = b[:most]
	}
	return string(bytes.ToValidUTF8(b, []byte("\ufffd")))
}

// number skips a number and returns its text.
func (s *scanner) number() ([]byte, error) {
	s.peek()
	start := s.i
	digits := func() bool {
		from := s.i
		for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
			s.i++
		}
		return s.i > from
	}
	is := func(set string) bool {
		if s.i < len(s.b) && bytes.IndexByte([]byte(set), s.b[s.i]) >= 0 {
			s.i++
			return true
		}
		return false
	}
	is("-")
	if zero := is("0"); !zero && !digits() {
		return nil, errSyntax
	}
	if is(".") && !digits() {
		return nil, errSyntax
	}
	if is("eE") {
		is("+-")
		if !digits() {
			return nil, errSyntax
		}
	}
	return s.b[start:s.i], nil
}

// integer reads a number as an integer within [least, most]: fractions are cut off, and what lies outside saturates.
func (s *scanner) integer(least, most int64) (int64, error) {
	text, err := s.number()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		f, _ := strconv.ParseFloat(string(text), 64) // beyond its range: an infinity, which is what is wanted
		switch f = math.Trunc(f); {
		case f >= float64(math.MaxInt64):
			n = math.MaxInt64
		case f <= float64(math.MinInt64):
			n = math.MinInt64
		default:
			n = int64(f)
		}
	}
	return max(least, min(most, n)), nil
}

// literal skips true, false or null.
func (s *scanner) literal() (string, error) {
	s.peek()
	for _, word := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(s.b[s.i:], []byte(word)) {
			s.i += len(word)
			return word, nil
		}
	}
	return "", errSyntax
}

// skip reads over one value, checking it, and returns its text.
func (s *scanner) skip() ([]byte, error) {
	s.peek()
	start := s.i
	var err error
	switch c := s.peek(); {
	case c == '{' || c == '[':
		err = s.elements(c == '{', func([]byte) error {
			_, err := s.skip()
			return err
		})
	case c == '"':
		_, err = s.text()
	case c == '-' || c >= '0' && c <= '9':
		_, err = s.number()
	default:
		_, err = s.literal()
	}
	if err != nil {
		return nil, err
	}
	return s.b[start:s.i], nil
}
