package format

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/shoal-stream/shoal/record"
)

// A column is declared as name:type, and optionally =source and ! for one that may not be null:
//
//	delay:int64                       the field delay of the record's JSON, null if it is missing
//	airport:string=route.origin!      a field within a field; a record without it cannot be stored
//	position:string=$sequence         of the record itself: $sequence, $subsequence, $partition-key, $arrival, $data
type column struct {
	name     string
	kind     kind
	source   []string // the path of a field
	meta     string   // or what of the record, with its $
	required bool
}

// metas are what a record says about itself, with the kind that a column of it has.
var metas = map[string]kind{
	"$sequence": kindString, "$subsequence": kindInt, "$partition-key": kindString, "$arrival": kindTimestamp, "$data": kindString,
}

func parseColumn(text string) (column, error) {
	text, required := strings.CutSuffix(strings.TrimSpace(text), "!")
	declared, source, from := strings.Cut(text, "=")
	name, kindName, typed := strings.Cut(declared, ":")
	c := column{name: strings.TrimSpace(name), kind: kind(strings.TrimSpace(kindName)), required: required}
	source = strings.TrimSpace(source)
	if !typed || c.name == "" || from && source == "" {
		return c, fmt.Errorf("column %q: want name:type or name:type=source", text)
	}
	switch c.kind {
	case kindString, kindInt, kindDouble, kindBoolean, kindTimestamp:
	default:
		return c, fmt.Errorf("column %q: type %q: want string, int64, double, boolean or timestamp", text, c.kind)
	}
	if strings.HasPrefix(source, "$") {
		want, ok := metas[source]
		if !ok {
			return c, fmt.Errorf("column %q: source %q: want a field, $sequence, $subsequence, $partition-key, $arrival or $data", text, source)
		}
		if c.kind != want {
			return c, fmt.Errorf("column %q: %s is a %s", text, source, want)
		}
		c.meta = source
		return c, nil
	}
	if !from {
		source = c.name
	}
	c.source = strings.Split(source, ".")
	return c, nil
}

// node is the column's type in a schema.
func (c *column) node() parquet.Node {
	var n parquet.Node
	switch c.kind {
	case kindString:
		n = parquet.String()
	case kindInt:
		n = parquet.Int(64)
	case kindDouble:
		n = parquet.Leaf(parquet.DoubleType)
	case kindBoolean:
		n = parquet.Leaf(parquet.BooleanType)
	default:
		n = parquet.Timestamp(parquet.Millisecond)
	}
	if c.required {
		return n
	}
	return parquet.Optional(n)
}

// A document is a record, whose JSON is read when a column asks for it.
type document struct {
	record *record.Record
	fields map[string]any
}

// field is the value at a path, nil if there is none.
func (d *document) field(path []string) (any, error) {
	if d.fields == nil {
		dec := json.NewDecoder(bytes.NewReader(d.record.Data))
		dec.UseNumber()
		if err := dec.Decode(&d.fields); err != nil {
			return nil, fmt.Errorf("the record is no JSON object: %w", err)
		}
		if dec.More() || d.fields == nil {
			return nil, fmt.Errorf("the record is not one JSON object")
		}
	}
	var v any = d.fields
	for _, name := range path {
		object, ok := v.(map[string]any)
		if !ok {
			return nil, nil
		}
		v = object[name]
	}
	return v, nil
}

// value is the column's part of a row.
func (c *column) value(d *document) ([]byte, error) {
	if c.meta != "" {
		return c.ofRecord(d.record), nil
	}
	v, err := d.field(c.source)
	if err != nil {
		return nil, err
	}
	if v == nil {
		if c.required {
			return nil, fmt.Errorf("%s is missing", strings.Join(c.source, "."))
		}
		return []byte{0}, nil
	}
	return c.kind.convert(v)
}

func (c *column) ofRecord(r *record.Record) []byte {
	out := []byte{1}
	switch c.meta {
	case "$sequence":
		return appendText(out, string(r.SequenceNumber))
	case "$subsequence":
		return binary.BigEndian.AppendUint64(out, r.SubSequenceNumber)
	case "$partition-key":
		return appendText(out, r.PartitionKey)
	case "$arrival":
		return binary.BigEndian.AppendUint64(out, uint64(r.ArrivalTime.UnixMilli()))
	default:
		return appendText(out, string(r.Data))
	}
}

// convert makes a value of what JSON has. It never rounds: a number that does not fit is an error.
func (k kind) convert(v any) ([]byte, error) {
	out := []byte{1}
	switch v := v.(type) {
	case string:
		switch k {
		case kindString:
			return appendText(out, v), nil
		case kindTimestamp:
			t, err := parseTime(v)
			if err != nil {
				return nil, err
			}
			return binary.BigEndian.AppendUint64(out, uint64(t.UnixMilli())), nil
		}
	case bool:
		if k == kindBoolean {
			return appendBool(out, v), nil
		}
	case json.Number:
		switch k {
		case kindInt, kindTimestamp:
			n, err := v.Int64()
			if err != nil {
				return nil, fmt.Errorf("%s is no int64", v)
			}
			return binary.BigEndian.AppendUint64(out, uint64(n)), nil
		case kindDouble:
			n, err := v.Float64()
			if err != nil {
				return nil, fmt.Errorf("%s is no double", v)
			}
			return binary.BigEndian.AppendUint64(out, math.Float64bits(n)), nil
		case kindString:
			return appendText(out, v.String()), nil
		}
	default:
		if k == kindString { // lists and objects as their JSON
			text, err := json.Marshal(v)
			return appendText(out, string(text)), err
		}
	}
	return nil, fmt.Errorf("%v is no %s", v, k)
}

// parseTime reads the forms of a moment that JSON from databases and programs has; without a zone it is UTC.
func parseTime(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02", "2006/01/02 15:04:05", "2006/01/02 15:04"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time; want RFC 3339, or milliseconds since 1970", text)
}
