package kinesis

import (
	"context"
	"time"

	"github.com/shoal-stream/shoal/localstream/internal/storage"
)

// amend runs f on a copy of the stream, which must be ACTIVE, and keeps the copy unless f returns an error. The copy
// is UPDATING already: the change is complete at its Until. f runs on the store's writer.
func (s *Service) amend(ctx context.Context, ref *streamRef, f func(next *stream, now time.Time) error) error {
	name, err := s.name(ref)
	if err != nil {
		return err
	}
	return s.change(ctx, name, func(tx *storage.Tx, st *stream, now time.Time) (*stream, error) {
		if err := s.settled(st, now); err != nil {
			return nil, err
		}
		if err := tx.Space(); err != nil {
			return nil, err
		}
		next := st.clone()
		next.WarmBefore = next.Warm
		next.Status, next.Until = updating, now.Add(s.o.Transition).UnixMilli()
		if err := f(next, now); err != nil {
			return nil, err
		}
		return next, nil
	})
}
