package main

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// A verdict counts what was done, and what was found.
type verdict struct {
	PowerCuts  int     `json:"power_cuts"`
	Kills      int     `json:"kills"`
	DiskErrors int     `json:"disk_errors"`
	Flips      int     `json:"flips"`      // bits turned, files cut off and removed
	Refused    int     `json:"refused"`    // of them, with the file's name; the others did no harm
	Operations int     `json:"operations"` // that were judged, each once
	Lost       int     `json:"lost"`       // times that something acknowledged was not there
	Wrong      int     `json:"wrong"`      // times that something was there in half, not as written, not explained, or hung
	Seconds    float64 `json:"seconds"`

	began time.Time
	mu    sync.Mutex
	first []string // findings
}

// say prints a line of progress.
func (v *verdict) say(format string, args ...any) {
	fmt.Printf("%6.1fs  %s\n", time.Since(v.began).Seconds(), fmt.Sprintf(format, args...))
}

// found notes what was found. The first of them are printed.
func (v *verdict) found(where string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var f finding
	if errors.As(err, &f) && f.lost {
		v.Lost++
	} else {
		v.Wrong++
	}
	if len(v.first) < 20 {
		v.first = append(v.first, fmt.Sprintf("%s: %v", where, err))
		v.say("FOUND  %s: %v", where, err)
	}
}

// count adds to one of the verdict's numbers and returns it.
func (v *verdict) count(n *int, by int) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	*n += by
	return *n
}
