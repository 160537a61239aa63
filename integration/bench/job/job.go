// Package job is what the contenders of the benchmark and the program that runs them say to each other. A contender is a
// process: its arguments say what to do, its last line of output is what it found.
package job

import (
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// What localstream takes as credentials.
const (
	Region = "us-east-1"
	KeyID  = "AKIDLOCAL"
	Secret = "secret"
)

// A Job says what a contender is to do. What a contender has no use for is zero.
type Job struct {
	URL    string `json:"url"`    // of the server
	Stream string `json:"stream"` // that it reads or writes
	App    string `json:"app"`    // a name that nobody had before

	Shards  int           `json:"shards"`  // of the stream
	Records int           `json:"records"` // to read or write, or in an answer
	Keys    int           `json:"keys"`    // partition keys of the records; 0 is one for each
	Size    int           `json:"size"`    // bytes of a record
	Window  time.Duration `json:"window"`  // for how long to measure
	Lease   time.Duration `json:"lease"`   // how long leases last; 0 is the default
	Rate    int           `json:"rate"`    // records per second
	Memory  int64         `json:"memory"`  // the contender's GOMEMLIMIT in bytes; 0 is none
}

// Key is the partition key of a record.
func (j Job) Key(n int) string {
	if j.Keys > 0 {
		n %= j.Keys
	}
	return "key-" + strconv.Itoa(n)
}

// Figures are what a contender found, by name.
type Figures map[string]float64

// Parse reads a Job from an argument.
func Parse(text string) (Job, error) {
	var j Job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return j, fmt.Errorf("read the job: %w", err)
	}
	return j, nil
}

// String is the argument that Parse reads.
func (j Job) String() string {
	text, err := json.Marshal(j)
	if err != nil {
		panic(err) // it has strings and numbers only
	}
	return string(text)
}

// A Tally counts records as they come until all have. It is safe for concurrent use.
type Tally struct {
	want    int
	started time.Time
	all     chan struct{}

	mu    sync.Mutex
	first time.Time
	head  int // records of the first call
	count int
	last  time.Time
}

// NewTally counts to want, from now on.
func NewTally(want int) *Tally {
	return &Tally{want: want, started: time.Now(), all: make(chan struct{})}
}

// Add counts n records.
func (t *Tally) Add(n int) {
	if n == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count == 0 {
		t.first, t.head = time.Now(), n
	}
	before := t.count
	t.count += n
	if before < t.want && t.count >= t.want {
		t.last = time.Now()
		close(t.all)
	}
}

// All is closed once all have come.
func (t *Tally) All() <-chan struct{} { return t.all }

// Figures are the whole rate; the rate from the first records on, without those, so that nobody's start counts, which
// says something if there are many more; and when the first and the last came. It is an error if not just as many came as
// were wanted.
func (t *Tally) Figures() (Figures, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count != t.want {
		return nil, fmt.Errorf("%d records came, want %d", t.count, t.want)
	}
	return Figures{
		"whole_per_s":   float64(t.count) / t.last.Sub(t.started).Seconds(),
		"records_per_s": float64(t.count-t.head) / t.last.Sub(t.first).Seconds(),
		"first_s":       t.first.Sub(t.started).Seconds(),
		"all_s":         t.last.Sub(t.started).Seconds(),
	}, nil
}
