package kinesis

import (
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
	"github.com/shoal-stream/shoal/record"
)

type splitShardInput struct {
	streamRef
	ShardToSplit       *string `required:"true" len:"1..128" pattern:"[a-zA-Z0-9_.-]+"`
	NewStartingHashKey *string `required:"true" pattern:"0|([1-9]\\d{0,38})"`
}

func (s *Service) splitShard(ctx context.Context, in *splitShardInput) (any, error) {
	index, ok := shardIndex(*in.ShardToSplit)
	if !ok {
		return nil, s.unparsable(&in.streamRef, *in.ShardToSplit)
	}
	return nil, s.reshard(ctx, &in.streamRef, func(st *stream, now time.Time) (*resharding, error) {
		sh, err := s.eligible(st, index, now)
		if err != nil {
			return nil, err
		}
		if err := s.roomFor(now, 1); err != nil {
			return nil, err
		}
		key, err := record.ParseHashKey(*in.NewStartingHashKey)
		if err != nil || key.Compare(sh.Range.Start.Next()) <= 0 || sh.Range.Start == record.MaxHashKey || key.Compare(sh.Range.End) >= 0 {
			return nil, wire.Errorf(invalidArgument, "NewStartingHashKey %s used in SplitShard() on shard %s in stream %s under account %s is not both greater than one plus the shard's StartingHashKey %s and less than the shard's EndingHashKey %s.",
				*in.NewStartingHashKey, sh.id(), st.Name, s.o.Account, sh.Range.Start, sh.Range.End)
		}
		return &resharding{Shard: index, Key: &key, More: 1}, nil
	})
}

type mergeShardsInput struct {
	streamRef
	ShardToMerge         *string `required:"true" len:"1..128" pattern:"[a-zA-Z0-9_.-]+"`
	AdjacentShardToMerge *string `required:"true" len:"1..128" pattern:"[a-zA-Z0-9_.-]+"`
}

func (s *Service) mergeShards(ctx context.Context, in *mergeShardsInput) (any, error) {
	first, ok := shardIndex(*in.ShardToMerge)
	if !ok {
		return nil, s.unparsable(&in.streamRef, *in.ShardToMerge)
	}
	second, ok := shardIndex(*in.AdjacentShardToMerge)
	if !ok {
		return nil, s.unparsable(&in.streamRef, *in.AdjacentShardToMerge)
	}
	return nil, s.reshard(ctx, &in.streamRef, func(st *stream, now time.Time) (*resharding, error) {
		one, err := s.eligible(st, first, now)
		if err != nil {
			return nil, err
		}
		other, err := s.eligible(st, second, now)
		if err != nil {
			return nil, err
		}
		if one.Range.End == record.MaxHashKey || one.Range.End.Next() != other.Range.Start {
			return nil, wire.Errorf(invalidArgument, "Shards %s and %s in stream %s under account %s are not an adjacent pair of shards eligible for merging", one.id(), other.id(), st.Name, s.o.Account)
		}
		return &resharding{Shard: first, With: &second, More: -1}, nil
	})
}

type updateShardCountInput struct {
	streamRef
	TargetShardCount *int32  `required:"true" range:"1.."`
	ScalingType      *string `required:"true" enum:"UNIFORM_SCALING"`
}

func (s *Service) updateShardCount(ctx context.Context, in *updateShardCountInput) (any, error) {
	var out kinesis.UpdateShardCountOutput
	err := s.reshard(ctx, &in.streamRef, func(st *stream, now time.Time) (*resharding, error) {
		current, target := len(st.open()), int(*in.TargetShardCount)
		switch {
		case target == current:
			return nil, wire.Errorf(invalidArgument, "TargetShardCount %d of stream %s under account %s is its current shard count.", target, st.Name, s.o.Account)
		case target > 2*current:
			return nil, wire.Errorf(limitExceeded, "UpdateShardCount cannot scale up over double your current open shard count. Current open shard count: %d Target shard count: %d", current, target)
		case 2*target < current:
			return nil, wire.Errorf(limitExceeded, "UpdateShardCount cannot scale down below half your current open shard count. Current open shard count: %d Target shard count: %d", current, target)
		case target > maxStreamShards:
			return nil, wire.Errorf(limitExceeded, "UpdateShardCount cannot scale a stream over %d shards. Current open shard count: %d Target shard count: %d", maxStreamShards, current, target)
		}
		if err := s.roomFor(now, target-current); err != nil {
			return nil, err
		}
		scalings, err := s.today(st, "UpdateShardCount", st.Scalings, maxScalings, now)
		if err != nil {
			return nil, err
		}
		st.Scalings = scalings
		arn, before, after := s.arn(st.Name), int32(current), int32(target)
		out = kinesis.UpdateShardCountOutput{StreamName: &st.Name, StreamARN: &arn, CurrentShardCount: &before, TargetShardCount: &after}
		return &resharding{Into: uint32(target), More: target - current}, nil
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// reshard asks f what to do with a copy of a stream that may be resharded. It is done at once, or when the stream has
// been UPDATING for its time.
func (s *Service) reshard(ctx context.Context, ref *streamRef, f func(next *stream, now time.Time) (*resharding, error)) error {
	return s.amend(ctx, ref, func(next *stream, now time.Time) error {
		if next.Mode == onDemand {
			return wire.Errorf(validation, "Request is invalid. Stream %s under account %s is in On-Demand mode.", next.Name, s.o.Account)
		}
		r, err := f(next, now)
		switch {
		case err != nil:
			return err
		case s.o.Transition == 0:
			r.apply(next, now)
		default:
			next.Pending = r
		}
		return nil
	})
}

// unparsable is the answer to an id that cannot be a shard's, which comes before the stream is looked for.
func (s *Service) unparsable(ref *streamRef, id string) error {
	name, err := s.name(ref)
	if err != nil {
		return err
	}
	return s.couldNotFindShard(name, id)
}

// eligible finds an open shard.
func (s *Service) eligible(st *stream, index uint32, now time.Time) (*shard, error) {
	sh, ok := st.shard(index)
	if !ok || sh.gone(st.horizon(now)) {
		return nil, s.couldNotFindShard(st.Name, shardID(index))
	}
	if sh.Closed != 0 {
		return nil, wire.Errorf(invalidArgument, "Shard %s in stream %s under account %s has already been merged or split, and thus is not eligible for merging or splitting.", sh.id(), st.Name, s.o.Account)
	}
	return sh, nil
}

// close ends a shard at a moment no earlier than its newest record. It returns a copy, since adding shards moves them.
func (st *stream) close(now time.Time, index uint32) *shard {
	sh, _ := st.shard(index)
	sh.Closed = max(now.UnixMilli(), sh.tail.written.arrival)
	closed := *sh
	return &closed
}

// split closes a shard and opens two: [start, key-1] and [key, end].
func (st *stream) split(now time.Time, index uint32, key record.HashKey) {
	parent := st.close(now, index)
	st.add(now, record.HashKeyRange{Start: parent.Range.Start, End: key.Prev()}, parent)
	st.add(now, record.HashKeyRange{Start: key, End: parent.Range.End}, parent)
}

// merge closes two shards, the second of which begins where the first ends, and opens one that covers both.
func (st *stream) merge(now time.Time, one, other uint32) {
	a, b := st.close(now, one), st.close(now, other)
	st.add(now, record.HashKeyRange{Start: a.Range.Start, End: b.Range.End}, a, b)
}

// rescale splits and merges until the open shards are n even ranges: first it cuts at all their bounds, then it joins
// what lies between two. Shards may open and close again on the way, as on the service.
func (st *stream) rescale(now time.Time, n uint32) {
	ranges := divide(n)
	pieces := st.cut(now, ranges[1:])
	for _, r := range ranges {
		count := slices.IndexFunc(pieces, func(p piece) bool { return !r.Contains(p.Start) })
		if count < 0 {
			count = len(pieces)
		}
		joined := pieces[0].index
		for _, p := range pieces[1:count] {
			st.merge(now, joined, p.index)
			joined = st.Next - 1
		}
		pieces = pieces[count:]
	}
}

// A piece is an open shard on the way to other ranges.
type piece struct {
	index uint32
	record.HashKeyRange
}

// cut splits the open shards where the ranges start, which are in order, and returns the pieces in order.
func (st *stream) cut(now time.Time, ranges []record.HashKeyRange) []piece {
	var pieces []piece
	for _, sh := range st.open() {
		pieces = append(pieces, piece{sh.Index, sh.Range})
	}
	for i := 0; i < len(pieces) && len(ranges) > 0; i++ {
		key := ranges[0].Start
		if key.Compare(pieces[i].End) > 0 {
			continue
		}
		ranges = ranges[1:]
		if key == pieces[i].Start {
			i-- // the next range may start in the same piece
			continue
		}
		whole := pieces[i]
		st.split(now, whole.index, key)
		pieces[i] = piece{st.Next - 2, record.HashKeyRange{Start: whole.Start, End: key.Prev()}}
		pieces = slices.Insert(pieces, i+1, piece{st.Next - 1, record.HashKeyRange{Start: key, End: whole.End}})
	}
	return pieces
}
