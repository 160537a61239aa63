package fleet

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/shoal-stream/shoal/integration/check"
)

// An Outcome is what became of a fleet's records: all that the stream holds, and all that the workers were handed.
type Outcome struct {
	Stream  check.Stream
	Log     []check.Batch
	Verdict check.Verdict
	// Acknowledged are the records that were acknowledged, by shard ID/number, and Missing counts those of them that the
	// stream does not hold.
	Acknowledged map[string]bool
	Missing      int
}

// Lost is how many records were acknowledged and reached no processor.
func (o Outcome) Lost() int { return o.Verdict.Lost + o.Missing }

// OutOfOrder counts deliveries that break the order of a shard or of parents and children, or are of no record.
func (o Outcome) OutOfOrder() int {
	return o.Verdict.OutOfOrder + o.Verdict.ChildrenBeforeParents + o.Verdict.Unknown
}

// LongestGap is the longest time from a moment on for which a shard stood still.
func (o Outcome) LongestGap(from time.Time) check.Gap {
	return check.LongestGap(o.Stream, o.Log, from, time.Now())
}

// drainLimit is how long workers get to process what was put.
const drainLimit = 30 * time.Second

// Finish ends the flow of records, waits until the workers that still run have processed everything, stops them, and
// judges. An error says that the harness could not; records that are not processed in time are lost.
func (f *Fleet) Finish(ctx context.Context) (Outcome, error) {
	var o Outcome
	if err := f.read(ctx, &o); err != nil {
		return o, err
	}
	if err := f.drained(ctx, o.Stream); err != nil {
		f.say("%v", err)
	}
	f.mu.Lock()
	workers := f.workers
	f.mu.Unlock()
	var errs []error
	for _, w := range workers {
		errs = append(errs, w.drop(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return o, err
	}
	var err error
	if o.Log, err = f.log(); err != nil {
		return o, err
	}
	o.Verdict = check.Check(o.Stream, o.Log)
	return o, nil
}

// read ends the flow of records, and reads back what all streams hold.
func (f *Fleet) read(ctx context.Context, o *Outcome) error {
	var errs []error
	for _, p := range f.flows() {
		errs = append(errs, p.end())
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	o.Acknowledged = map[string]bool{}
	for _, p := range f.flows() {
		holds, err := p.readBack(ctx)
		if err != nil {
			return err
		}
		o.Stream.Shards = append(o.Stream.Shards, holds.Shards...)
		maps.Copy(o.Acknowledged, p.acknowledged)
	}
	o.Missing = missing(o.Acknowledged, o.Stream)
	return nil
}

// readBack reads what the stream holds; its shards go by the keys of their leases.
func (p *producer) readBack(ctx context.Context) (check.Stream, error) {
	holds, err := check.Read(ctx, p.client, p.stream)
	for i := range holds.Shards {
		s := &holds.Shards[i]
		s.ID = p.lease(s.ID)
		for n, parent := range s.Parents {
			s.Parents[n] = p.lease(parent)
		}
	}
	return holds, err
}

// drained waits until each lease is at the end of its shard.
func (f *Fleet) drained(ctx context.Context, stream check.Stream) error {
	closed := map[string]bool{}
	for _, s := range stream.Shards {
		for _, p := range s.Parents {
			closed[p] = true
		}
	}
	return f.WaitRows(ctx, "everything is processed", drainLimit, func(rows []Row) bool {
		at := map[string]string{}
		for _, r := range rows {
			at[r.Key] = r.Checkpoint
		}
		for _, s := range stream.Shards {
			got, there := at[s.ID]
			switch {
			case closed[s.ID]:
				if there && got != shardEnd {
					return false
				}
			case len(s.Records) > 0 && got != string(s.Records[len(s.Records)-1].SequenceNumber):
				return false
			}
		}
		return true
	})
}

// missing counts acknowledged records that a stream does not hold.
func missing(acknowledged map[string]bool, stream check.Stream) int {
	missing := len(acknowledged)
	for _, s := range stream.Shards {
		for i := range s.Records {
			if acknowledged[s.ID+"/"+string(s.Records[i].SequenceNumber)] {
				missing--
			}
		}
	}
	return missing
}
