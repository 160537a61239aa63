package lease

import (
	"fmt"
	"slices"
	"time"

	"github.com/shoal-stream/shoal/record"
)

// A Change is what an owner writes into its row beside the counter. Its zero value is a plain renewal.
type Change struct {
	// Checkpoint is the new checkpoint; zero leaves the old one. A checkpoint removes a pending one and StartTime, and
	// sets OwnerSwitches to 0.
	Checkpoint record.Position
	// Pending is a prepared checkpoint to store with PendingState beside the checkpoint; zero leaves what is there.
	// It must not come together with Checkpoint.
	Pending      record.Position
	PendingState []byte
	// Children are the shards that follow, recorded with the end of the shard; nil leaves what is there.
	Children []string
	// ThroughputKBps is the average of what the shard delivered, nil leaves what is there.
	ThroughputKBps *float64
}

// Validate returns an error that wraps ErrInvalid and names the field unless c can be written.
func (c *Change) Validate() error {
	if !c.Checkpoint.IsZero() && !c.Pending.IsZero() {
		return fmt.Errorf("%w: Checkpoint %v and Pending %v in one change; want at most one of them", ErrInvalid, c.Checkpoint, c.Pending)
	}
	if len(c.PendingState) > 0 && c.Pending.IsZero() {
		return fmt.Errorf("%w: PendingState of %d bytes without Pending", ErrInvalid, len(c.PendingState))
	}
	for _, p := range []struct {
		field string
		at    record.Position
	}{{"Checkpoint", c.Checkpoint}, {"Pending", c.Pending}} {
		if p.at.IsZero() {
			continue
		}
		if err := p.at.Validate(); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrInvalid, p.field, err)
		}
	}
	return nil
}

// Apply returns l as it is after c was written, but for the counter.
func (c *Change) Apply(l Lease) Lease {
	l = l.Clone()
	switch {
	case !c.Checkpoint.IsZero():
		l.Checkpoint, l.StartTime, l.OwnerSwitches = c.Checkpoint, time.Time{}, 0
		l.Pending, l.PendingState = record.Position{}, nil
	case !c.Pending.IsZero():
		l.Pending, l.PendingState = c.Pending, slices.Clone(c.PendingState)
	}
	if len(c.Children) > 0 {
		l.Children = slices.Clone(c.Children)
	}
	if c.ThroughputKBps != nil {
		kbps := *c.ThroughputKBps
		l.ThroughputKBps = &kbps
	}
	return l
}
