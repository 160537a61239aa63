package check

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/shoal-stream/shoal/record"
)

// A Log gathers batches in memory. Its zero value is ready; it is safe for concurrent use.
type Log struct {
	mu      sync.Mutex
	batches []Batch
}

// Add appends b.
func (l *Log) Add(b Batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.batches = append(l.batches, b)
}

// Batches is what was added so far.
func (l *Log) Batches() []Batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.batches)
}

// A File appends batches to a text file, one line each, so that a process that is killed leaves all that it was handed
// readable but perhaps its last, torn line. It is safe for concurrent use.
//
// A line is a JSON object: {"at":"2018-02-07T01:26:13.84Z","worker":"w1","session":"7","shard":"shardId-000000000000",
// "records":["4959…","4960…/3"]}, a record being its sequence number and, unless it is 0, its sub-sequence number.
type File struct {
	mu sync.Mutex // keeps lines whole; held around one write
	f  *os.File
}

type line struct {
	At      time.Time `json:"at"`
	Worker  string    `json:"worker"`
	Session string    `json:"session"`
	Shard   string    `json:"shard"`
	Records []string  `json:"records"`
}

// OpenFile opens the log at path for appending, making it if need be. A torn line at its end is cut off.
func OpenFile(path string) (*File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open delivery log: %w", err)
	}
	text, err := io.ReadAll(f)
	if err == nil {
		whole := int64(bytes.LastIndexByte(text, '\n') + 1)
		err = f.Truncate(whole)
		if err == nil {
			_, err = f.Seek(whole, io.SeekStart)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open delivery log %s: %w", path, err), f.Close())
	}
	return &File{f: f}, nil
}

// Add appends b in one write. When it has returned nil the line survives the end of the process, though not a power
// cut.
func (l *File) Add(b Batch) error {
	out := line{At: b.At, Worker: b.Worker, Session: b.Session, Shard: b.Shard, Records: make([]string, len(b.Records))}
	for i, p := range b.Records {
		out.Records[i] = p.String()
	}
	text, err := json.Marshal(out)
	if err != nil {
		return fmt.Errorf("append to delivery log: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.f.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("append to delivery log: %w", err)
	}
	return nil
}

// Close closes the file.
func (l *File) Close() error { return l.f.Close() }

// ReadFile reads the log at path. A last line without its end is left out: the process died while it wrote it, and so
// before it could checkpoint those records.
func ReadFile(path string) ([]Batch, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read delivery log: %w", err)
	}
	defer f.Close()
	var log []Batch
	for r := bufio.NewReader(f); ; {
		text, err := r.ReadBytes('\n')
		if err == io.EOF {
			return log, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read delivery log %s: %w", path, err)
		}
		b, err := parseLine(text)
		if err != nil {
			return nil, fmt.Errorf("read delivery log %s: line %d: %w", path, len(log)+1, err)
		}
		log = append(log, b)
	}
}

func parseLine(text []byte) (Batch, error) {
	var in line
	if err := json.Unmarshal(text, &in); err != nil {
		return Batch{}, err
	}
	b := Batch{At: in.At, Worker: in.Worker, Session: in.Session, Shard: in.Shard, Records: make([]record.Position, len(in.Records))}
	for i, r := range in.Records {
		seq, subText, nested := strings.Cut(r, "/")
		var sub uint64
		if nested {
			var err error
			if sub, err = strconv.ParseUint(subText, 10, 64); err != nil {
				return Batch{}, fmt.Errorf("record %q: %w", r, err)
			}
		}
		b.Records[i] = record.At(record.SequenceNumber(seq), sub)
		if err := b.Records[i].Validate(); err != nil {
			return Batch{}, err
		}
	}
	return b, nil
}

// Merge makes one log out of several of the same machine, by time. The order within each is kept.
func Merge(logs ...[]Batch) []Batch {
	var all []Batch
	logs = slices.Clone(logs)
	for {
		next := -1
		for i := range logs {
			if len(logs[i]) > 0 && (next < 0 || logs[i][0].At.Before(logs[next][0].At)) {
				next = i
			}
		}
		if next < 0 {
			return all
		}
		all = append(all, logs[next][0])
		logs[next] = logs[next][1:]
	}
}
