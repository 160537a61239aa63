package kinesis

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
	"github.com/shoal-stream/shoal/record"
)

// Stir reshards each provisioned stream that is ACTIVE once: it splits one of its shards in the middle, or merges what the
// last split made, so that in the long run there are as many open shards as before. Streams that cannot be resharded now
// are left alone.
func (s *Service) Stir(ctx context.Context) error {
	var failed []error
	for name, st := range s.streams() {
		if st.Mode == onDemand || st.state(s.now()) != active {
			continue
		}
		err := s.reshard(ctx, &streamRef{StreamName: &name}, s.stirred)
		if refused := (*wire.Error)(nil); err != nil && !errors.As(err, &refused) {
			failed = append(failed, fmt.Errorf("resharding stream %s: %w", name, err))
		}
	}
	return errors.Join(failed...)
}

// stirred says what Stir does to a stream.
func (s *Service) stirred(st *stream, now time.Time) (*resharding, error) {
	open := st.open()
	for i := range open[1:] {
		one, other := open[i], open[i+1]
		if one.Parent != nil && other.Parent != nil && one.Adjacent == nil && other.Adjacent == nil && *one.Parent == *other.Parent {
			return &resharding{Shard: one.Index, With: &other.Index, More: -1}, nil
		}
	}
	sh := open[int(s.o.Clock.Float64()*float64(len(open)))]
	key, ok := half(sh.Range)
	if !ok {
		return nil, wire.Errorf(invalidArgument, "Shard %s is too narrow to be split.", sh.id())
	}
	return &resharding{Shard: sh.Index, Key: &key, More: 1}, s.roomFor(now, 1)
}

// half is the hash key in the middle of a range; ok is false if the range is too narrow to be split.
func half(r record.HashKeyRange) (key record.HashKey, ok bool) {
	lo, borrow := bits.Sub64(r.End.Lo, r.Start.Lo, 0)
	hi, _ := bits.Sub64(r.End.Hi, r.Start.Hi, borrow)
	if hi == 0 && lo < 4 {
		return key, false
	}
	lo, hi = lo>>1|hi<<63, hi>>1
	lo, carry := bits.Add64(r.Start.Lo, lo, 1)
	hi, _ = bits.Add64(r.Start.Hi, hi, carry)
	return record.HashKey{Hi: hi, Lo: lo}, true
}
