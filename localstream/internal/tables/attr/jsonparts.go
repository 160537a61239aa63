package attr

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
)

// A part is an entry of a map or an element of a set in the reader's out: where its bytes begin and end. What orders it
// is the text with which it begins.
type part struct{ from, to int32 }

// key is what orders a part.
func (p *jsonReader) key(e part) []byte {
	n, size := binary.Uvarint(p.out[e.from:e.to])
	return p.out[int(e.from)+size:][:n]
}

// room makes sure that the elements that follow, up to the closing bracket of their collection, fit into parts without
// its growing: it counts the commas that are theirs.
func (p *jsonReader) room() {
	depth, n, quoted := 0, 1, false
	for i := 0; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ',' && depth == 1:
			n++
		}
		if depth == 0 && !quoted && i > 0 {
			break
		}
	}
	if cap(p.parts)-len(p.parts) < n {
		p.parts = append(make([]part, 0, len(p.parts)+n), p.parts...)
	}
}

// mapping reads a map of attributes. Its entries are put in the order of their names; of several of one name the last
// counts.
func (p *jsonReader) mapping(depth int) (Value, error) {
	if err := p.openMap(); err != nil {
		return Value{}, err
	}
	p.room()
	start, first, invalid := len(p.out), len(p.parts), ""
	err := p.members(func(name string) error {
		from := len(p.out)
		p.out = appendText(p.out, name)
		wrong, err := p.nested(depth + 1)
		if invalid != "" || wrong != "" {
			p.out = p.out[:from]
		} else {
			p.parts = append(p.parts, part{int32(from), int32(len(p.out))})
		}
		if invalid == "" {
			invalid = wrong
		}
		return err
	})
	parts := p.parts[first:]
	p.parts = p.parts[:first]
	if invalid != "" {
		return Value{Kind: Invalid, Str: invalid}, err
	}
	slices.SortStableFunc(parts, p.order)
	kept := parts[:0]
	for i, e := range parts {
		if i+1 == len(parts) || p.order(e, parts[i+1]) != 0 {
			kept = append(kept, e)
		}
	}
	p.arrange(start, kept)
	return Value{Kind: M}, err
}

// order compares parts by the bytes of their keys.
func (p *jsonReader) order(a, b part) int {
	return bytes.Compare(p.key(a), p.key(b))
}

// arrange leaves the parts alone in out from start on, in their order, behind their number.
func (p *jsonReader) arrange(start int, parts []part) {
	end := start
	for _, e := range parts {
		if int(e.from) != end {
			break
		}
		end = int(e.to)
	}
	if end != len(p.out) {
		p.other = append(p.other[:0], p.out[start:]...)
		p.out = p.out[:start]
		for _, e := range parts {
			p.out = append(p.out, p.other[int(e.from)-start:int(e.to)-start]...)
		}
	}
	p.counted(start, len(parts))
}

func (p *jsonReader) set(kind Kind) (Value, error) {
	if err := p.collection(); err != nil {
		return Value{}, err
	}
	p.room()
	start, first, invalid := len(p.out), len(p.parts), ""
	err := p.elements(func() error {
		e, err := p.element(kind)
		if e.Kind == Invalid {
			if invalid == "" {
				invalid = e.Str
			}
			return err
		}
		from := len(p.out)
		p.out = appendText(p.out, e.Str)
		p.parts = append(p.parts, part{int32(from), int32(len(p.out))})
		return err
	})
	parts := p.parts[first:]
	p.parts = p.parts[:first]
	if invalid != "" || err != nil {
		return Value{Kind: Invalid, Str: invalid}, err
	}
	if wrong := p.checkSet(kind, parts); wrong != "" {
		return Value{Kind: Invalid, Str: wrong}, nil
	}
	p.arrange(start, parts)
	return Value{Kind: kind}, nil
}

// element reads an element of a set.
func (p *jsonReader) element(kind Kind) (Value, error) {
	if kind == BS {
		raw, err := p.binary()
		return Value{Kind: B, Str: raw}, err
	}
	text, err := p.plain("String")
	if err == nil && kind == NS {
		return number(text), nil
	}
	return Value{Kind: S, Str: text}, err
}

// checkSet sorts the elements of a set, and says what is wrong if there are none, or duplicates.
func (p *jsonReader) checkSet(kind Kind, parts []part) (invalid string) {
	if len(parts) == 0 {
		return msgInvalid + map[Kind]string{
			SS: "An string set  may not be empty",
			NS: "An number set  may not be empty",
			BS: "Binary sets should not be empty",
		}[kind]
	}
	order := p.order
	if kind == NS {
		order = func(a, b part) int {
			return CompareNumbers(string(p.key(a)), string(p.key(b)))
		}
	}
	slices.SortFunc(parts, order)
	duplicates := false
	for i := range parts[1:] {
		duplicates = duplicates || p.order(parts[i], parts[i+1]) == 0
	}
	switch {
	case !duplicates:
		return ""
	case kind == NS:
		return "Input collection contains duplicates"
	}
	slices.SortFunc(parts, func(a, b part) int { return int(a.from - b.from) }) // as they were given
	return p.duplicates(kind, parts)
}

// duplicates is the message that repeats a set.
func (p *jsonReader) duplicates(kind Kind, parts []part) string {
	var b strings.Builder
	size := 200
	for _, e := range parts {
		size += 2 + base64.StdEncoding.EncodedLen(len(p.key(e)))
	}
	b.Grow(size)
	b.WriteString(msgInvalid + "Input collection [")
	for i, e := range parts {
		if i > 0 {
			b.WriteString(", ")
		}
		if kind == BS {
			p.other = base64.StdEncoding.AppendEncode(p.other[:0], p.key(e))
			b.Write(p.other)
		} else {
			b.Write(p.key(e))
		}
	}
	if b.WriteByte(']'); kind == BS {
		b.WriteString("of type BS contains duplicates.")
	} else {
		b.WriteString(" contains duplicates.")
	}
	return b.String()
}
