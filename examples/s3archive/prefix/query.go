package prefix

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/itchyny/gojq"
)

// A Query takes values out of a record's JSON by a jq expression that makes an object of them, such as
//
//	{origin: .origin, month: (.date | .[0:7])}
type Query struct {
	text string
	code *gojq.Code
}

// ParseQuery reads a jq expression. It gets no variables, environment or input but the record.
func ParseQuery(text string) (*Query, error) {
	parsed, err := gojq.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("query %q: %w", text, err)
	}
	code, err := gojq.Compile(parsed, gojq.WithEnvironLoader(func() []string { return nil }))
	if err != nil {
		return nil, fmt.Errorf("query %q: %w", text, err)
	}
	return &Query{text, code}, nil
}

// String is the expression as it was written.
func (q *Query) String() string { return q.text }

// queryLimit ends a query that does not end by itself. The error wraps context.DeadlineExceeded and says nothing about
// the record: a slow machine gives it, too.
const queryLimit = time.Second

// Values are the named values in data. Text, numbers and booleans will do; a value that is missing, null, empty, or of
// another kind is an error, which depends on data alone.
func (q *Query) Values(data []byte, names []string) ([]string, error) {
	results, err := q.Run(data)
	if err != nil {
		return nil, err
	}
	if len(results) != 1 {
		return nil, fmt.Errorf("query %q gives %d results; want one object", q.text, len(results))
	}
	object, ok := results[0].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("query %q gives no object", q.text)
	}
	values := make([]string, len(names))
	for i, name := range names {
		v, err := valueOf(object[name])
		if err != nil {
			return nil, fmt.Errorf("query %q: %s %w", q.text, name, err)
		}
		values[i] = v
	}
	return values, nil
}

// Run gives the results of the query over one JSON document.
func (q *Query) Run(data []byte) ([]any, error) {
	var in any
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	if err := dec.Decode(&in); err != nil {
		return nil, fmt.Errorf("record is not JSON: %w", err)
	}
	if dec.More() {
		return nil, fmt.Errorf("record is more than one JSON document")
	}
	ctx, cancel := context.WithTimeout(context.Background(), queryLimit)
	defer cancel()
	var out []any
	for results := q.code.RunWithContext(ctx, in); ; {
		v, more := results.Next()
		if !more {
			return out, nil
		}
		if err, failed := v.(error); failed {
			return nil, fmt.Errorf("query %q: %w", q.text, err)
		}
		out = append(out, v)
	}
}

// valueOf is a value as a part of a key.
func valueOf(v any) (string, error) {
	var text string
	switch v := v.(type) {
	case nil:
		return "", fmt.Errorf("is missing or null")
	case string:
		text = v
	case bool:
		text = strconv.FormatBool(v)
	default:
		if _, list := v.([]any); list {
			return "", fmt.Errorf("is a list")
		}
		if _, object := v.(map[string]any); object {
			return "", fmt.Errorf("is an object")
		}
		text = fmt.Sprint(v)
	}
	if text == "" {
		return "", fmt.Errorf("is empty")
	}
	if text = escape(text); len(text) > maxValue {
		return "", fmt.Errorf("has %d bytes as a piece of a path; want at most %d", len(text), maxValue)
	}
	return text, nil
}

// maxValue leaves room in a key of 1,024 bytes, and in a name of 255 bytes on stores that are file systems.
const maxValue = 200

// escape makes text one piece of a path: slashes, control characters and percent signs become %XX, as Hive writes them.
func escape(text string) string {
	if text == "." || text == ".." {
		return strings.ReplaceAll(text, ".", "%2E")
	}
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == 0x7f || strings.IndexByte(`/%\:*?"<>|#`, c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
