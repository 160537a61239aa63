package format

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"

	"github.com/shoal-stream/shoal/record"
)

// parquetFormat is a row a record, in columns that are declared. The content of a record is its row: for each column in
// the order of their names one byte, 0 for null, and behind a 1 the value: 8 bytes of a number or time, one of a
// boolean, or a length and a text.
type parquetFormat struct {
	columns []column // by name, as parquet has them
	schema  *parquet.Schema
	codec   compress.Codec
}

func newParquet(declared []string, c Compression) (Format, error) {
	if len(declared) == 0 {
		return nil, errors.New("parquet wants columns, such as delay:int64, origin:string")
	}
	f := &parquetFormat{codec: &parquet.Uncompressed}
	switch c {
	case Gzip:
		f.codec = &parquet.Gzip
	case Zstd:
		f.codec = &parquet.Zstd
	}
	group := parquet.Group{}
	for _, text := range declared {
		col, err := parseColumn(text)
		if err != nil {
			return nil, err
		}
		if group[col.name] != nil {
			return nil, fmt.Errorf("column %q is declared twice", col.name)
		}
		group[col.name] = col.node()
		f.columns = append(f.columns, col)
	}
	slices.SortFunc(f.columns, func(a, b column) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	f.schema = parquet.NewSchema("record", group)
	return f, nil
}

func (f *parquetFormat) Name() string      { return "parquet" }
func (f *parquetFormat) Extension() string { return ".parquet" }

func (f *parquetFormat) Content(r *record.Record) ([]byte, error) {
	doc := document{record: r}
	var row []byte
	for i := range f.columns {
		c := &f.columns[i]
		v, err := c.value(&doc)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.name, err)
		}
		row = append(row, v...)
	}
	return row, nil
}

// rowsAtOnce is how many rows are handed to the library at a time.
const rowsAtOnce = 256

func (f *parquetFormat) Encode(w io.Writer, contents iter.Seq2[[]byte, error]) error {
	out := parquet.NewWriter(w, f.schema, parquet.Compression(f.codec))
	rows := make([]parquet.Row, 0, rowsAtOnce)
	flush := func() error {
		_, err := out.WriteRows(rows)
		rows = rows[:0]
		return err
	}
	for content, err := range contents {
		if err != nil {
			return fmt.Errorf("encode parquet: %w", err)
		}
		row, err := f.row(content)
		if err != nil {
			return fmt.Errorf("encode parquet: %w", err)
		}
		if rows = append(rows, row); len(rows) == rowsAtOnce {
			if err := flush(); err != nil {
				return fmt.Errorf("encode parquet: %w", err)
			}
		}
	}
	if err := flush(); err != nil {
		return fmt.Errorf("encode parquet: %w", err)
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("encode parquet: %w", err)
	}
	return nil
}

// row reads a content. Its texts are copied: the library keeps them.
func (f *parquetFormat) row(content []byte) (parquet.Row, error) {
	row := make(parquet.Row, len(f.columns))
	for i := range f.columns {
		c := &f.columns[i]
		if len(content) == 0 {
			return nil, io.ErrUnexpectedEOF
		}
		defined := int(content[0])
		content = content[1:]
		if defined == 0 {
			row[i] = parquet.NullValue().Level(0, 0, i)
			continue
		}
		v, n, err := c.kind.read(content)
		if err != nil {
			return nil, err
		}
		content = content[n:]
		if c.required {
			defined = 0
		}
		row[i] = v.Level(0, defined, i)
	}
	return row, nil
}

func (f *parquetFormat) Decode(r io.ReaderAt, size int64) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		file, err := parquet.OpenFile(r, size)
		if err == nil && !sameColumns(file.Schema(), f.schema) {
			err = fmt.Errorf("its columns are %v, not %v", file.Schema().Columns(), f.schema.Columns())
		}
		if err != nil {
			yield(nil, fmt.Errorf("decode parquet: %w", err))
			return
		}
		for _, group := range file.RowGroups() {
			if !f.decodeGroup(group, yield) {
				return
			}
		}
	}
}

func sameColumns(a, b *parquet.Schema) bool {
	return slices.EqualFunc(a.Columns(), b.Columns(), slices.Equal)
}

func (f *parquetFormat) decodeGroup(group parquet.RowGroup, yield func([]byte, error) bool) bool {
	rows := group.Rows()
	defer rows.Close()
	buf := make([]parquet.Row, rowsAtOnce)
	for {
		n, err := rows.ReadRows(buf)
		for _, row := range buf[:n] {
			if !yield(f.content(row), nil) {
				return false
			}
		}
		if err == io.EOF {
			return true
		}
		if err != nil {
			yield(nil, fmt.Errorf("decode parquet: %w", err))
			return false
		}
	}
}

// content is the inverse of row.
func (f *parquetFormat) content(row parquet.Row) []byte {
	var out []byte
	for i := range f.columns {
		if v := row[i]; v.IsNull() {
			out = append(out, 0)
		} else {
			out = f.columns[i].kind.append(append(out, 1), v)
		}
	}
	return out
}

// A kind is the type of a column.
type kind string

// The kinds.
const (
	kindString    kind = "string"
	kindInt       kind = "int64"
	kindDouble    kind = "double"
	kindBoolean   kind = "boolean"
	kindTimestamp kind = "timestamp" // milliseconds since 1970, UTC
)

// read takes a value from the front of content.
func (k kind) read(content []byte) (parquet.Value, int, error) {
	switch k {
	case kindString:
		n, size := binary.Uvarint(content)
		if size <= 0 || n > uint64(len(content)-size) {
			return parquet.Value{}, 0, io.ErrUnexpectedEOF
		}
		return parquet.ByteArrayValue(slices.Clone(content[size : size+int(n)])), size + int(n), nil
	case kindBoolean:
		if len(content) < 1 {
			return parquet.Value{}, 0, io.ErrUnexpectedEOF
		}
		return parquet.BooleanValue(content[0] != 0), 1, nil
	}
	if len(content) < 8 {
		return parquet.Value{}, 0, io.ErrUnexpectedEOF
	}
	bits := binary.BigEndian.Uint64(content)
	if k == kindDouble {
		return parquet.DoubleValue(math.Float64frombits(bits)), 8, nil
	}
	return parquet.Int64Value(int64(bits)), 8, nil
}

// append is the inverse of read.
func (k kind) append(out []byte, v parquet.Value) []byte {
	switch k {
	case kindString:
		return appendText(out, string(v.ByteArray()))
	case kindBoolean:
		return appendBool(out, v.Boolean())
	case kindDouble:
		return binary.BigEndian.AppendUint64(out, math.Float64bits(v.Double()))
	default:
		return binary.BigEndian.AppendUint64(out, uint64(v.Int64()))
	}
}

func appendBool(out []byte, v bool) []byte {
	if v {
		return append(out, 1)
	}
	return append(out, 0)
}
