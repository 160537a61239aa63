package kinesis

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/localstream/internal/storage"
	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// Bounds of one answer of GetRecords.
const (
	maxPageRecords = 10_000
	maxPageBytes   = 10 << 20
)

type getRecordsInput struct {
	ShardIterator *string `required:"true" len:"1..512"`
	Limit         *int32  `range:"1..10000"`
	StreamARN     *string `len:"1..2048" pattern:"arn:aws.*:kinesis:.*:\\d{12}:stream/\\S+"`
	StreamId      *string `len:"1..24" pattern:"[a-z0-9]{20}-[a-z0-9]{3}"`
	DryRun        *bool
}

func (s *Service) getRecords(_ context.Context, in *getRecordsInput) (any, error) {
	it, err := s.openIterator(*in.ShardIterator)
	if err != nil {
		return nil, err
	}
	now := s.now()
	st, ok := s.streams()[it.name]
	if !ok || st.ID != it.stream || st.state(now) == "" {
		return nil, s.noSuchShard(it.name, shardID(it.shard))
	}
	if in.StreamARN != nil && *in.StreamARN != s.arn(st.Name) {
		return nil, wire.Errorf(invalidArgument, "StreamARN %s does not match the stream of the ShardIterator.", *in.StreamARN)
	}
	sh, ok := st.shard(it.shard)
	if !ok {
		return nil, s.noSuchShard(it.name, shardID(it.shard))
	}
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	limits := s.o.Limits.read()
	if !sh.tail.reads.take(now, 1, 0, limits) {
		return nil, wire.Errorf(throughput, "%s", s.throttled(st.Name, sh.id()))
	}
	limit := maxPageRecords
	if in.Limit != nil {
		limit = int(*in.Limit)
	}
	p := &page{shard: sh, limit: limit, next: it.counter, tip: sh.tail.visible.Load().next}
	if err := s.read(st, p, now); err != nil {
		return nil, fmt.Errorf("reading %s of %s: %w", sh.id(), st.Name, err)
	}
	sh.tail.reads.add(p.size, limits)
	return &recordsReply{out: s.answer(st, p, now), page: p}, nil
}

// answer makes the output of a page, without its records. At the end of a closed shard, and only there, children take the
// place of the next iterator.
func (s *Service) answer(st *stream, p *page, now time.Time) *kinesis.GetRecordsOutput {
	out := &kinesis.GetRecordsOutput{MillisBehindLatest: new(int64)}
	if p.next < p.tip {
		*out.MillisBehindLatest = max(0, now.UnixMilli()-p.unread)
	}
	if p.shard.Closed == 0 || p.next < p.tip {
		text := s.sealIterator(iterator{st.ID, p.shard.Index, p.next, st.Name})
		out.NextShardIterator = &text
		return out
	}
	out.ChildShards = []types.ChildShard{}
	for _, child := range st.children(p.shard.Index) {
		id := child.id()
		out.ChildShards = append(out.ChildShards, types.ChildShard{ShardId: &id, ParentShards: child.parents(), HashKeyRange: hashKeyRange(child.Range)})
	}
	return out
}

// read fills p from the store, oldest first. If there is no error the caller releases it.
func (s *Service) read(st *stream, p *page, now time.Time) error {
	p.s = s
	if p.next >= p.tip {
		return nil
	}
	it, err := s.store.Iter(shardBounds(st.ID, p.shard.Index))
	if err != nil {
		return err
	}
	defer it.Close()
	err = s.gather(st, p, it, now)
	if err == nil && p.count > 0 {
		p.bodies, err = it.Finish()
	}
	if err != nil {
		p.release()
	}
	return err
}

func (s *Service) gather(st *stream, p *page, it *storage.Iter, now time.Time) error {
	horizon := st.horizon(now)
	c, ok, err := seek(it, st.ID, p.shard.Index, p.next)
	if err == nil && ok && c.arrival < horizon {
		// The place has expired: go on at the horizon.
		var first uint64
		if first, err = firstSince(it, st.ID, p.shard, horizon, p.tip); err == nil {
			p.next = max(p.next, first)
			c, ok, err = seek(it, st.ID, p.shard.Index, p.next)
		}
	}
	for ; err == nil && ok && c.first < p.tip; c, ok, err = following(it) {
		full, err := s.fill(p, it, c)
		if full || err != nil {
			return err
		}
	}
	if err == nil {
		p.next = max(p.next, p.tip) // nothing more: what is missing was deleted
	}
	return err
}

// seek positions it on the chunk that holds the record with that counter, or the first chunk behind it.
func seek(it *storage.Iter, stream uint64, shard uint32, counter uint64) (chunk, bool, error) {
	if it.SeekLT(chunkKey(stream, shard, counter+1)) {
		c, err := openChunk(it.Key(), it.Note())
		if err != nil || counter < c.end() {
			return c, err == nil, err
		}
		return following(it)
	}
	if !it.First() {
		return chunk{}, false, it.Error()
	}
	c, err := openChunk(it.Key(), it.Note())
	return c, err == nil, err
}

func following(it *storage.Iter) (chunk, bool, error) {
	if !it.Next() {
		return chunk{}, false, it.Error()
	}
	c, err := openChunk(it.Key(), it.Note())
	return c, err == nil, err
}

// firstSince finds the counter of the first record that arrived at or after a moment, in milliseconds, or that behind
// the last record. Arrivals never fall within a shard, so it halves its way.
func (s *Service) firstSince(st *stream, sh *shard, since int64) (uint64, error) {
	it, err := s.store.Iter(shardBounds(st.ID, sh.Index))
	if err != nil {
		return 0, err
	}
	defer it.Close()
	return firstSince(it, st.ID, sh, since, sh.tail.visible.Load().next)
}

func firstSince(it *storage.Iter, stream uint64, sh *shard, since int64, tip uint64) (uint64, error) {
	low, high := sh.tail.floor.Load(), tip // the record is in [low, high]
	for low < high {
		middle := low + (high-low)/2
		c, ok, err := seek(it, stream, sh.Index, middle)
		switch {
		case err != nil:
			return 0, err
		case !ok || c.first >= high:
			high = middle
		case c.arrival >= since:
			high = min(middle, c.first) // a chunk has one arrival
		default:
			low = c.end()
		}
	}
	return min(low, tip), nil
}
