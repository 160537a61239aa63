package attr

import (
	"encoding/base64"
	"slices"
)

// AppendJSON appends the form {"name": {"S": "text"}, …}, names ascending.
func (it Item) AppendJSON(dst []byte) []byte {
	var room [24]string
	names := room[:0]
	for name := range it {
		names = append(names, name)
	}
	slices.Sort(names)
	dst = append(dst, '{')
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = it[name].appendJSON(append(AppendQuoted(dst, name), ':'))
	}
	return append(dst, '}')
}

func (v Value) appendJSON(dst []byte) []byte {
	if v.Kind == None || v.Kind > BS {
		return append(dst, "{}"...)
	}
	if v.Kind.compound() {
		d := decoder{rest: v.Str}
		dst = append(append(append(dst, '{', '"'), v.Kind.String()...), '"', ':')
		dst, _, _ = d.appendContent(dst, v.Kind, 0)
		return append(dst, '}')
	}
	dst = append(dst, '{', '"')
	dst = append(dst, v.Kind.String()...)
	dst = append(dst, '"', ':')
	switch v.Kind {
	case S:
		dst = AppendQuoted(dst, v.Str)
	case N:
		dst = appendNumber(dst, v.Str)
	case B:
		dst = appendBinary(dst, v.Str)
	case BOOL, NULL:
		dst = appendTruth(dst, v)
	}
	return append(dst, '}')
}

// appendTruth writes the content of a BOOL or NULL.
func appendTruth(dst []byte, v Value) []byte {
	if v.Bool || v.Kind == NULL {
		return append(dst, "true"...)
	}
	return append(dst, "false"...)
}

func appendNumber(dst []byte, number string) []byte { return AppendQuoted(dst, Plain(number)) }

func appendBinary(dst []byte, raw string) []byte {
	dst = base64.StdEncoding.AppendEncode(append(dst, '"'), []byte(raw))
	return append(dst, '"')
}

const hexDigits = "0123456789abcdef"

// AppendQuoted writes a JSON string. Texts are UTF-8 already, since they came out of JSON.
func AppendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		if c < 0x20 {
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		} else {
			dst = append(dst, '\\', c)
		}
	}
	return append(append(dst, s[from:]...), '"')
}
