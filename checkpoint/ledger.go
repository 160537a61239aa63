// Package checkpoint knows, for one tenure of a shard, which records were handed to the processor, which of them it has
// said are done, and so which checkpoints may be stored.
//
// A checkpoint is the processor's word that a record and all before it are done. It goes forward only, it covers only
// records that were handed over, and after an error nothing from the failed batch on until that is delivered again.
package checkpoint

import (
	"errors"
	"fmt"
	"sync"

	"github.com/shoal-stream/shoal/record"
)

// ErrRange is wrapped by the errors of checkpoints that lie outside what may be stored.
var ErrRange = errors.New("checkpoint out of range")

// A RangeError says which checkpoint was refused and which are accepted.
type RangeError struct {
	// Position is what was asked for, Low and High the bounds of what is accepted, both included. High is zero when no
	// record was handed over yet.
	Position, Low, High record.Position
}

// Error names the position and the accepted range.
func (e *RangeError) Error() string {
	switch {
	case !ofRecord(e.Position):
		return fmt.Sprintf("checkpoint at %v: want the sequence number of a record", e.Position)
	case e.Position.Compare(e.Low) < 0:
		return fmt.Sprintf("checkpoint at %v: behind the stored checkpoint; accepted: %v to %v", e.Position, e.Low, e.High)
	case e.High.IsZero() || e.High.Compare(e.Low) <= 0:
		return fmt.Sprintf("checkpoint at %v: no records beyond %v were handed over, or they failed", e.Position, e.Low)
	default:
		return fmt.Sprintf("checkpoint at %v: beyond the records handed over; accepted: %v to %v", e.Position, e.Low, e.High)
	}
}

// Unwrap makes errors.Is(err, ErrRange) true.
func (e *RangeError) Unwrap() error { return ErrRange }

// A Ledger is the book of one tenure. Its methods may be called at once from several goroutines and never wait.
type Ledger struct {
	mu     sync.Mutex
	stored record.Position // the checkpoint in the lease row
	done   record.Position // the last record of the batches that succeeded
	given  record.Position // the last record handed over and not failed; given >= done
	again  record.Position // up to here the stored checkpoint has covered records that come again; zero if none do
	marked record.Position // the newest position said to be done without a write; zero if none
}

// NewLedger opens the book of a tenure that begins at the stored checkpoint.
func NewLedger(stored record.Position) *Ledger { return &Ledger{stored: stored} }

// Give notes that a batch that ends at last is handed over now.
func (l *Ledger) Give(last record.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.given = last
}

// Restart notes that a new processor begins behind the stored checkpoint: nothing was handed to it yet.
func (l *Ledger) Restart() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done, l.given, l.again = l.stored, l.stored, l.stored
}

// Inherit allows a checkpoint at p that an owner before prepared: what it covers was handed over then.
func (l *Ledger) Inherit(p record.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.Compare(l.given) > 0 {
		l.given = p
	}
	if p.Compare(l.done) > 0 {
		l.done = p
	}
}

// Done notes that the batch handed over last was processed without an error.
func (l *Ledger) Done() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = l.given
}

// Fail notes that the batch handed over last failed: nothing of it may be checkpointed any more, nor stay marked. It
// returns the mark that remains, zero if none.
func (l *Ledger) Fail() record.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.given, l.again = l.done, l.stored
	if l.marked.Compare(l.done) > 0 {
		l.marked = l.done
	}
	return l.marked
}

// Bury notes that the record at p, which failed, was taken as a dead letter and so is done. If everything before it was
// said to be done too, it is marked. It returns the mark that stands, zero if none.
func (l *Ledger) Bury(p record.Position) record.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	said := l.stored
	if l.marked.Compare(said) > 0 {
		said = l.marked
	}
	if said.Compare(l.done) >= 0 {
		l.marked = p
	}
	l.given, l.done = p, p
	return l.marked
}

// Check returns whether a checkpoint at p has to be stored: not if it is stored already, or lies behind the stored one
// because the records come again after an error. A position that must not be stored gives a *RangeError.
func (l *Ledger) Check(p record.Position) (store bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.check(p)
}

func (l *Ledger) check(p record.Position) (bool, error) {
	if p.Kind() == record.KindSequence && p == l.stored {
		return false, nil
	}
	if ofRecord(p) && p.Compare(l.stored) < 0 && p.Compare(l.again) <= 0 {
		return false, nil
	}
	if !ofRecord(p) || p.Compare(l.stored) < 0 || p.Compare(l.given) > 0 {
		return false, &RangeError{Position: p, Low: l.stored, High: l.given}
	}
	return true, nil
}

// ofRecord reports whether p can be the position of a record.
func ofRecord(p record.Position) bool { return p.Kind() == record.KindSequence && p.Validate() == nil }

// Mark notes that everything up to p is done, with the same rules as Check.
func (l *Ledger) Mark(p record.Position) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	store, err := l.check(p)
	if err != nil || !store || p.Compare(l.marked) <= 0 {
		return err
	}
	l.marked = p
	return nil
}

// Marked is the newest mark that is not stored yet, zero if none.
func (l *Ledger) Marked() record.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.marked.Compare(l.stored) <= 0 {
		return record.Position{}
	}
	return l.marked
}

// Stored notes that the lease row now holds p.
func (l *Ledger) Stored(p record.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.Compare(l.stored) > 0 {
		l.stored = p
	}
}

// Checkpoint is the stored checkpoint.
func (l *Ledger) Checkpoint() record.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stored
}
