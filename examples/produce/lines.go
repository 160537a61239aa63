package main

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/shoal-stream/shoal/record"
)

// maxLine is the longest line: the most that a record may hold.
const maxLine = 1 << 20

// lines reads records from a text, one a line.
type lines struct {
	scanner *bufio.Scanner
	key     []string // the path to the field; none makes each line its own key
	read    int      // lines read so far
}

func newLines(in io.Reader, field string) *lines {
	l := &lines{scanner: bufio.NewScanner(in)}
	if field != "" {
		l.key = strings.Split(field, ".")
	}
	l.scanner.Buffer(make([]byte, 0, 64<<10), maxLine+1)
	return l
}

// next is the record of the next line that is not empty, io.EOF at the end.
func (l *lines) next() (record.Record, error) {
	for l.scanner.Scan() {
		l.read++
		line := bytes.Clone(bytes.TrimSpace(l.scanner.Bytes()))
		if len(line) == 0 {
			continue
		}
		key, err := l.keyOf(line)
		if err != nil {
			return record.Record{}, fmt.Errorf("line %d: %w", l.read, err)
		}
		return record.Record{PartitionKey: key, Data: line}, nil
	}
	switch err := l.scanner.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return record.Record{}, fmt.Errorf("line %d is longer than the %d bytes that a record may have", l.read+1, maxLine)
	case err != nil:
		return record.Record{}, fmt.Errorf("read line %d: %w", l.read+1, err)
	default:
		return record.Record{}, io.EOF
	}
}

// keyOf is the value of the key's field in a JSON object, as text. Without a field it is the hash of the line.
func (l *lines) keyOf(line []byte) (string, error) {
	if l.key == nil {
		return fmt.Sprintf("%x", md5.Sum(line)), nil
	}
	for _, field := range l.key {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(line, &object); err != nil {
			return "", fmt.Errorf("look for field %q: want a JSON object: %w", field, err)
		}
		line = object[field]
	}
	key := string(line)
	if len(line) > 0 && line[0] == '"' {
		if err := json.Unmarshal(line, &key); err != nil {
			return "", fmt.Errorf("field %q: %w", strings.Join(l.key, "."), err)
		}
	}
	if n := len([]rune(key)); n < 1 || n > 256 || key == "null" {
		return "", fmt.Errorf("field %q is missing or has %d characters; want a key of 1 to 256", strings.Join(l.key, "."), n)
	}
	return key, nil
}
