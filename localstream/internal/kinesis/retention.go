package kinesis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/localstream/internal/storage"
	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// trimInterval is how often expired records are deleted. Readers do not see them from the moment they expire.
const trimInterval = time.Minute

type retentionInput struct {
	streamRef
	RetentionPeriodHours *int32 `required:"true"`
}

func (s *Service) increaseRetention(ctx context.Context, in *retentionInput) (any, error) {
	return nil, s.setRetention(ctx, in, func(st *stream, hours int32) error {
		if hours < st.Retention {
			return wire.Errorf(invalidArgument, "Requested retention period (%d hours) for stream %s can not be shorter than existing retention period (%d hours). Use DecreaseRetentionPeriod API.", hours, st.Name, st.Retention)
		}
		return nil
	})
}

func (s *Service) decreaseRetention(ctx context.Context, in *retentionInput) (any, error) {
	return nil, s.setRetention(ctx, in, func(st *stream, hours int32) error {
		if hours > st.Retention {
			return wire.Errorf(invalidArgument, "Requested retention period (%d hours) for stream %s can not be longer than existing retention period (%d hours). Use IncreaseRetentionPeriod API.", hours, st.Name, st.Retention)
		}
		return nil
	})
}

func (s *Service) setRetention(ctx context.Context, in *retentionInput, check func(st *stream, hours int32) error) error {
	hours := *in.RetentionPeriodHours
	switch {
	case hours < defaultRetention:
		return wire.Errorf(invalidArgument, "Minimum allowed retention period is %d hours. Requested retention period (%d hours) is too short.", defaultRetention, hours)
	case hours > maxRetention:
		return wire.Errorf(invalidArgument, "Maximum allowed retention period is %d hours. Requested retention period (%d hours) is too long.", maxRetention, hours)
	}
	return s.amend(ctx, &in.streamRef, func(next *stream, now time.Time) error {
		if err := check(next, hours); err != nil {
			return err
		}
		next.Expired = next.horizon(now) // what has expired stays so
		next.Retention = hours
		next.Status, next.Until = active, 0 // it takes effect at once
		return nil
	})
}

// Run deletes what has expired, now and then, and carries out reshards when their time has come, until ctx ends; then
// it returns nil.
func (s *Service) Run(ctx context.Context) error {
	trim := s.now().Add(trimInterval)
	for {
		changed := s.changed.wait() // before looking, so that nothing is missed
		next := trim
		if at, ok := s.pending(); ok && at.Before(next) {
			next = at
		}
		timer := s.o.Clock.NewTimer(next.Sub(s.now()))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-changed:
			timer.Stop()
			continue
		case <-timer.C:
		}
		err := s.settle(ctx)
		if !s.now().Before(trim) {
			err = errors.Join(err, s.Trim(ctx))
			trim = s.now().Add(trimInterval)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Error("background work failed", zap.Error(err))
			_ = s.o.Clock.Sleep(ctx, time.Second) // what ends it is seen above
		}
	}
}

// Trim deletes expired records, closed shards all of whose records have expired, and streams whose deletion is over.
func (s *Service) Trim(ctx context.Context) error {
	var failed []error
	for name, st := range s.streams() {
		if err := s.trimStream(ctx, st); err != nil {
			failed = append(failed, fmt.Errorf("trimming stream %s: %w", name, err))
		}
	}
	return errors.Join(failed...)
}

func (s *Service) trimStream(ctx context.Context, st *stream) error {
	now := s.now()
	if st.state(now) == "" {
		return s.purge(ctx, st)
	}
	horizon, forget := st.horizon(now), false
	for i := range st.Shards {
		sh := &st.Shards[i]
		forget = forget || sh.gone(horizon)
		first, err := s.firstSince(st, sh, horizon)
		if err != nil {
			return err
		}
		if first <= sh.tail.floor.Load() || first == 1 {
			continue
		}
		if err := s.trimShard(ctx, st, sh, first); err != nil {
			return err
		}
	}
	if !forget {
		return nil
	}
	return s.forget(ctx, st)
}

// trimShard deletes a shard's records below a counter.
func (s *Service) trimShard(ctx context.Context, st *stream, sh *shard, first uint64) error {
	return s.store.Update(ctx, func(tx *storage.Tx) error {
		if current, ok := s.latest[st.Name]; !ok || current.ID != st.ID {
			return nil
		}
		tx.Drop(chunkKey(st.ID, sh.Index, 0), chunkKey(st.ID, sh.Index, first))
		tx.Set(floorKey(st.ID, sh.Index), floor{first, sh.tail.written.arrival}.encode())
		tx.OnCommit(func() { sh.tail.floor.Store(first) })
		return nil
	})
}

// forget removes the closed shards that are listed no more from the stream's description.
func (s *Service) forget(ctx context.Context, old *stream) error {
	return s.store.Update(ctx, func(tx *storage.Tx) error {
		st, ok := s.latest[old.Name]
		if !ok || st.ID != old.ID {
			return nil
		}
		next, horizon := st.clone(), st.horizon(s.now())
		next.Shards = slices.DeleteFunc(next.Shards, func(sh shard) bool {
			if !sh.gone(horizon) {
				return false
			}
			tx.Drop(shardBounds(st.ID, sh.Index))
			tx.Delete(floorKey(st.ID, sh.Index))
			return true
		})
		s.put(tx, st.Name, next)
		return nil
	})
}

// purge removes a stream whose deletion is over.
func (s *Service) purge(ctx context.Context, old *stream) error {
	return s.store.Update(ctx, func(tx *storage.Tx) error {
		if st, ok := s.latest[old.Name]; !ok || st.ID != old.ID {
			return nil
		}
		s.erase(tx, old)
		s.put(tx, old.Name, nil)
		return nil
	})
}
