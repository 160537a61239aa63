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

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// The most that one PutRecords takes: 500 records and 5 MiB, partition keys included.
const (
	maxBatchRecords = 500
	maxBatchBytes   = 5 << 20
)

// readAhead is how many lines wait at most, so that keys that come often do not make every request small.
const readAhead = 20_000

// maxLine is the longest line: the most that a record may hold.
const maxLine = 1 << 20

// A queue reads lines and gives them out in batches that keep the order of each key.
//
// PutRecords may refuse some records of a request and take others behind them. So that no record is overtaken by a
// later one of its key, a batch holds at most one record of a key: the oldest that is not acknowledged.
type queue struct {
	lines   *bufio.Scanner
	key     []string // the path to the field; none makes each line its own key
	read    int      // lines read so far
	end     bool
	waiting int                 // lines given to byKey and not acknowledged
	byKey   map[string][][]byte // waiting lines of each key, oldest first
	turn    []string            // keys with waiting lines, in the order of their turns
}

func newQueue(in io.Reader, field string) *queue {
	q := &queue{lines: bufio.NewScanner(in), byKey: map[string][][]byte{}}
	if field != "" {
		q.key = strings.Split(field, ".")
	}
	q.lines.Buffer(make([]byte, 0, 64<<10), maxLine+1)
	return q
}

// fill reads lines until enough wait or the input ends.
func (q *queue) fill() error {
	for !q.end && q.waiting < readAhead {
		if !q.lines.Scan() {
			q.end = true
			if err := q.lines.Err(); errors.Is(err, bufio.ErrTooLong) {
				return fmt.Errorf("line %d is longer than the %d bytes that a record may have", q.read+1, maxLine)
			} else if err != nil {
				return fmt.Errorf("read line %d: %w", q.read+1, err)
			}
			return nil
		}
		q.read++
		line := bytes.Clone(bytes.TrimSpace(q.lines.Bytes()))
		if len(line) == 0 {
			continue
		}
		key, err := q.keyOf(line)
		if err != nil {
			return fmt.Errorf("line %d: %w", q.read, err)
		}
		if len(q.byKey[key]) == 0 {
			q.turn = append(q.turn, key)
		}
		q.byKey[key] = append(q.byKey[key], line)
		q.waiting++
	}
	return nil
}

// batch is what to put next, at most so many records; none if all is put. What became of it is told to done.
func (q *queue) batch(most int) ([]types.PutRecordsRequestEntry, error) {
	if q.waiting < readAhead/2 {
		if err := q.fill(); err != nil {
			return nil, err
		}
	}
	var entries []types.PutRecordsRequestEntry
	size := 0
	for i := range q.turn[:min(len(q.turn), most, maxBatchRecords)] {
		key := &q.turn[i]
		line := q.byKey[*key][0]
		if size += len(line) + len(*key); size > maxBatchBytes && i > 0 {
			break
		}
		entries = append(entries, types.PutRecordsRequestEntry{PartitionKey: key, Data: line})
	}
	return entries, nil
}

// done notes which entries of the last batch were acknowledged. The rest come first in the next one. It
// returns how many were.
func (q *queue) done(acknowledged []bool) (put int) {
	var again, later []string
	for i, ok := range acknowledged {
		key := q.turn[i]
		if !ok {
			again = append(again, key)
			continue
		}
		put++
		q.byKey[key] = q.byKey[key][1:]
		if len(q.byKey[key]) == 0 {
			delete(q.byKey, key)
		} else {
			later = append(later, key)
		}
	}
	q.turn = append(append(again, q.turn[len(acknowledged):]...), later...)
	q.waiting -= put
	return put
}

// keyOf is the value of the key's field in a JSON object, as text. Without a field it is the hash of the line.
func (q *queue) keyOf(line []byte) (string, error) {
	if q.key == nil {
		return fmt.Sprintf("%x", md5.Sum(line)), nil
	}
	for _, field := range q.key {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(line, &object); err != nil {
			return "", fmt.Errorf("look for field %q: want a JSON object: %w", field, err)
		}
		line = object[field]
	}
	key := string(line)
	if len(line) > 0 && line[0] == '"' {
		if err := json.Unmarshal(line, &key); err != nil {
			return "", fmt.Errorf("field %q: %w", strings.Join(q.key, "."), err)
		}
	}
	if n := len([]rune(key)); n < 1 || n > 256 || key == "null" {
		return "", fmt.Errorf("field %q is missing or has %d characters; want a key of 1 to 256", strings.Join(q.key, "."), n)
	}
	return key, nil
}
