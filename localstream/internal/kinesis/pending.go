package kinesis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shoal-stream/shoal/localstream/internal/storage"
	"github.com/shoal-stream/shoal/record"
)

// A resharding is a split of a shard at a key, a merge of one with another, or a rescaling into so many. It is stored
// with a stream that is UPDATING for it: its shards take records until it happens.
type resharding struct {
	Shard uint32          `json:",omitempty"`
	Key   *record.HashKey `json:",omitempty"`
	With  *uint32         `json:",omitempty"`
	Into  uint32          `json:",omitempty"`
	More  int             // how many open shards it adds
}

// apply changes a copy of the writer's stream.
func (r *resharding) apply(st *stream, now time.Time) {
	switch {
	case r.Key != nil:
		st.split(now, r.Shard, *r.Key)
	case r.With != nil:
		st.merge(now, r.Shard, *r.With)
	default:
		st.rescale(now, r.Into)
	}
}

// pending tells when the next pending reshard happens; ok is false if there is none.
func (s *Service) pending() (next time.Time, ok bool) {
	for _, st := range s.streams() {
		if until := time.UnixMilli(st.Until); st.Pending != nil && (!ok || until.Before(next)) {
			next, ok = until, true
		}
	}
	return next, ok
}

// settle carries out the reshards whose time has come.
func (s *Service) settle(ctx context.Context) error {
	var failed []error
	now := s.now()
	for name, st := range s.streams() {
		if st.Pending == nil || now.UnixMilli() < st.Until {
			continue
		}
		err := s.store.Update(ctx, func(tx *storage.Tx) error {
			current, ok := s.latest[name]
			if !ok || current.ID != st.ID || current.Pending == nil {
				return nil // deleted in the meantime
			}
			next := current.clone()
			next.Pending = nil
			current.Pending.apply(next, s.now())
			s.put(tx, name, next)
			return nil
		})
		if err != nil {
			failed = append(failed, fmt.Errorf("resharding stream %s: %w", name, err))
		}
	}
	return errors.Join(failed...)
}
