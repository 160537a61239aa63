// Package prefix reads the prefix language of Firehose, in which the folder of an object is said:
//
//	flights/!{timestamp:yyyy/MM/dd/HH}/origin=!{partitionKeyFromQuery:origin}/
//
// A prefix is evaluated on the first record of an object and depends on nothing else, so that two attempts at the same
// object agree on its name.
package prefix

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Template is a prefix with expressions.
type Template struct {
	text  string
	parts []part
	names []string // of the values that the prefix takes from the query
	errs  bool     // it names the kind of error
}

// A part gives one piece of the prefix.
type part func(f *First) string

// A First is what a prefix is evaluated on: the first record of an object, and what belongs to it by configuration.
type First struct {
	Stream, Shard string
	// Arrival is when the service took the record.
	Arrival time.Time
	// Values are those of Template.Names.
	Values []string
	// ErrorType is why the object's records have failed, for the prefix of dead letters.
	ErrorType string
}

// Parse reads a prefix. Times are told in zone, nil for UTC. Its errors name the expression and say what is wrong with
// it.
func Parse(text string, zone *time.Location) (*Template, error) {
	if zone == nil {
		zone = time.UTC
	}
	t := &Template{text: text}
	for rest := text; rest != ""; {
		before, after, found := strings.Cut(rest, "!{")
		if before != "" {
			t.parts = append(t.parts, func(*First) string { return before })
		}
		if !found {
			break
		}
		expression, after, closed := strings.Cut(after, "}")
		if !closed {
			return nil, fmt.Errorf("prefix %q: expression !{%s is not closed", text, after)
		}
		p, err := t.expression(expression, zone)
		if err != nil {
			return nil, fmt.Errorf("prefix %q: !{%s}: %w", text, expression, err)
		}
		t.parts = append(t.parts, p)
		rest = after
	}
	if strings.HasPrefix(text, "/") {
		return nil, fmt.Errorf("prefix %q: begins with a slash, which would make an empty folder", text)
	}
	return t, nil
}

const expressions = "timestamp:…, shard-id, stream-name, partitionKeyFromQuery:…, firehose:error-output-type"

func (t *Template) expression(text string, zone *time.Location) (part, error) {
	space, value, _ := strings.Cut(text, ":")
	switch {
	case text == "shard-id":
		return func(f *First) string { return f.Shard }, nil
	case text == "stream-name":
		return func(f *First) string { return f.Stream }, nil
	case space == "timestamp":
		return timestamp(value, zone)
	case text == "firehose:error-output-type":
		t.errs = true
		return func(f *First) string { return f.ErrorType }, nil
	case text == "firehose:random-string":
		return nil, fmt.Errorf("does not depend on the object's first record: another attempt would make a second object with the same records; want %s", expressions)
	case space == "partitionKeyFromQuery":
		return t.query(value)
	case space == "partitionKeyFromLambda":
		return nil, fmt.Errorf("there is no Lambda; let the partition query compute the value and say !{partitionKeyFromQuery:%s}", value)
	default:
		return nil, fmt.Errorf("unknown expression; want %s", expressions)
	}
}

func (t *Template) query(name string) (part, error) {
	if name == "" {
		return nil, fmt.Errorf("names no value of the partition query")
	}
	i := slices.Index(t.names, name)
	if i < 0 {
		i = len(t.names)
		t.names = append(t.names, name)
	}
	return func(f *First) string { return f.Values[i] }, nil
}

// String is the prefix as it was written.
func (t *Template) String() string { return t.text }

// Names are the values of the partition query that the prefix uses, each once.
func (t *Template) Names() []string { return t.names }

// HasErrorType reports whether the prefix tells kinds of errors apart.
func (t *Template) HasErrorType() bool { return t.errs }

// HasShard reports whether the prefix names the shard.
func (t *Template) HasShard() bool { return strings.Contains(t.text, "!{shard-id}") }

// Static is what all prefixes begin with: the text before the first expression.
func (t *Template) Static() string {
	before, _, _ := strings.Cut(t.text, "!{")
	return before
}

// Eval is the prefix of the object that begins with f.
func (t *Template) Eval(f *First) string {
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p(f))
	}
	return b.String()
}
