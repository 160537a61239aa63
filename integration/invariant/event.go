// Package invariant holds what a fleet promises as plain code over one log of what happened: puts, writes of the lease
// table, calls of processors, reshards, and what was done to the fleet. A simulation writes the log as it runs; for
// real processes it is put together from the files that they and the server leave. The checkers are the same for both.
package invariant

import (
	"sync"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

// A Kind says what an Event tells.
type Kind uint8

// The kinds, each with the fields that it fills beside At.
const (
	Shard   Kind = iota + 1 // a shard came to be: Stream, Shard, Parents, Range
	Put                     // a record was acknowledged: Stream, Shard, Records (one; of an aggregate: all that a processor is to see)
	Write                   // a row of the table changed: Worker and Life (of the request, if known), Stream, Shard, Op, Before, After; an empty key: no row
	Begin                   // a processor is being made: Worker, Life, Tenure, Stream, Shard, Records (one: its start), Counter
	Deliver                 // a call of a processor begins: Worker, Life, Tenure, Stream, Shard, Records
	Return                  // and ends, as does that of its Finish: Worker, Life, Tenure, Err if it failed
	Finish                  // a processor is told of its end: Worker, Life, Tenure, Note (the reason)
	Start                   // a worker starts: Worker, Life, Note (ActorJava2 or ActorJava3 if it is no Shoal)
	Crash                   // a worker ends without a word: Worker, Life
	Pause                   // a worker stands still: Worker, Life, For
	Stop                    // a worker is asked to stop: Worker, Life
	Ended                   // Run has returned: Worker, Life, Err
	Fault                   // a fault was played: Note (its name), Worker if it met one, For
	Reached                 // a rare situation came to pass: Note (its name)
	Quiet                   // no faults from here on, and at least one worker is healthy
	Said                    // a processor, whose context lives, is about to say that all up to a position is done: Worker, Life, Tenure, Records (one), Note (SaidMark for a mark)
	Trimmed                 // the stream let go of what had arrived more than For ago: Stream, For
	Report                  // a worker told of trouble that it survived: Worker, Life, Stream, Shard, Err
	Stored                  // a record as the stream holds it when all is over: Stream, Shard, Records (one)
)

// What Note and Op say besides names that their writers choose.
const (
	ActorJava2 = "KCL 2.x"     // of a Start
	ActorJava3 = "KCL 3.x"     // of a Start
	ShardEnd   = "shard end"   // of a Finish: worker.ShardEnd
	SaidMark   = "mark"        // of a Said: by Shard.Mark, so a failure of the batch takes it back
	ByKey      = "by key"      // of a Begin: several calls at once, each with one record, and their Returns have it, too; of these
	DeadLetter = "dead letter" // of a Deliver and its Return: it goes to the dead-letter function, and is accepted
	ByHand     = "by hand"     // Op of a Write by nobody of the fleet
)

// An Event is one thing that happened. The events of a log are in the order in which they happened.
type Event struct {
	At      time.Time // by one true clock, not a worker's own
	Sent    time.Time // of a Write: when its request was sent, zero if not known
	Kind    Kind
	Worker  string // its ID
	Life    int    // which start of any worker this is, counted over the run: two lives may share an ID
	Tenure  int    // which processor, counted over the run
	Stream  string
	Shard   string
	Records []record.Position // in the order of delivery
	Parents []string
	Range   record.HashKeyRange
	Counter int64 // the lease's counter as the worker knew it
	Op      string
	Before  lease.Lease
	After   lease.Lease
	Err     string
	Note    string
	For     time.Duration
}

// A Log gathers events. Its zero value is ready; it is safe for concurrent use.
type Log struct {
	mu     sync.Mutex
	events []Event
}

// Add appends e.
func (l *Log) Add(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

// Events is what was added so far, to be read only.
func (l *Log) Events() []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.events[:len(l.events):len(l.events)]
}
