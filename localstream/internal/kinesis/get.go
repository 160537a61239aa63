package kinesis

import (
	"cmp"
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
	return newRecordsReply(s.answer(st, p, now), p)
}

// answer makes the output of a page, without its records. At the end of a closed shard, and only there, children take the place of the
// next iterator.
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

// A page gathers the records of one answer.
type page struct {
	shard  *shard
	limit  int
	most   int    // bytes of records, but a larger one comes alone; 0 is maxPageBytes
	next   uint64 // counter of the next record to read
	tip    uint64 // counter at which reading stops: what is on disk
	unread int64  // arrival of the next record, if there is one

	size  int
	items []item
	kept  []*[]byte // the chunks that items alias
}

// load reads the chunk at it into memory of the page's.
func (p *page) load(it *storage.Iter, c *chunk) error {
	kept, _ := keptChunks.Get().(*[]byte)
	if kept == nil {
		kept = new([]byte)
	}
	var err error
	*kept, err = it.Body((*kept)[:0])
	p.kept = append(p.kept, kept)
	c.records = *kept
	return err
}

type item struct {
	counter   uint64
	arrival   int64
	encrypted bool
	key, data []byte
}

// read fills p from the store, oldest first.
func (s *Service) read(st *stream, p *page, now time.Time) error {
	if p.next >= p.tip {
		return nil
	}
	it, err := s.store.Iter(shardBounds(st.ID, p.shard.Index))
	if err != nil {
		return err
	}
	defer it.Close()
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
		full, err := p.fill(it, c)
		if full || err != nil {
			return err
		}
	}
	if err == nil {
		p.next = max(p.next, p.tip) // nothing more: what is missing was deleted
	}
	return err
}

// fill takes what fits of a chunk into the page and reports whether the page is full.
func (p *page) fill(it *storage.Iter, c chunk) (full bool, err error) {
	if len(p.items) == p.limit || p.size >= cmp.Or(p.most, maxPageBytes) {
		p.unread = c.arrival
		return true, nil
	}
	if err := p.load(it, &c); err != nil {
		return false, err
	}
	for c.count > 0 {
		counter := c.first
		key, data, err := c.next()
		if err != nil {
			return false, err
		}
		if counter < p.next {
			continue
		}
		size := len(key) + len(data)
		if len(p.items) == p.limit || len(p.items) > 0 && p.size+size > cmp.Or(p.most, maxPageBytes) {
			p.unread = c.arrival
			return true, nil
		}
		p.add(item{counter, c.arrival, c.encrypted, key, data})
	}
	return false, nil
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

// records makes the SDK's records, with few allocations for many of them.
func (p *page) records() []types.Record {
	n := len(p.items)
	records := make([]types.Record, n)
	arrivals := make([]time.Time, n)
	texts := make([]string, 2*n)
	var all []byte
	for i := range p.items {
		all = p.shard.number(p.items[i].counter, p.items[i].arrival).appendTo(all)
		all = append(all, p.items[i].key...)
	}
	rest := string(all)
	for i := range p.items {
		number, key := &texts[2*i], &texts[2*i+1]
		*number, rest = rest[:sequenceDigits], rest[sequenceDigits:]
		*key, rest = rest[:len(p.items[i].key)], rest[len(p.items[i].key):]
		arrivals[i] = time.UnixMilli(p.items[i].arrival)
		records[i] = types.Record{SequenceNumber: number, PartitionKey: key, Data: p.items[i].data, ApproximateArrivalTimestamp: &arrivals[i]}
		if p.items[i].encrypted {
			records[i].EncryptionType = types.EncryptionTypeKms
		}
	}
	return records
}
