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
	dst = append(dst, '{', '"')
	dst = append(dst, v.Kind.String()...)
	dst = append(dst, '"', ':')
	switch v.Kind {
	case S, N:
		dst = AppendQuoted(dst, v.Str)
	case B:
		dst = appendBinary(dst, v.Str)
	case BOOL, NULL:
		dst = appendTruth(dst, v)
	case M:
		dst = v.Map.AppendJSON(dst)
	case L:
		dst = appendArray(dst, v.List, func(dst []byte, e Value) []byte { return e.appendJSON(dst) })
	case SS, NS:
		dst = appendArray(dst, v.Set, AppendQuoted)
	case BS:
		dst = appendArray(dst, v.Set, appendBinary)
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

func appendArray[E any](dst []byte, elements []E, one func([]byte, E) []byte) []byte {
	dst = append(dst, '[')
	for i, e := range elements {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = one(dst, e)
	}
	return append(dst, ']')
}

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
