package memstream

import (
	"fmt"
	"math"
	"math/big"
	"sort"
	"time"

	"github.com/shoal-stream/shoal/record"
)

// A shard is one shard with its records. The Stream's mutex guards it.
type shard struct {
	record.Shard
	index           int
	epoch           int64 // its creation in seconds as its sequence numbers have it
	created, closed time.Time
	children        []record.Shard
	counter         uint64          // of the last record put
	gone            uint64          // how many records have expired; the place of records[0]
	records         []record.Record // only ever appended to and cut at the front
}

// add makes an open shard. Its numbers lie above those of shards with a lower epoch.
func (s *Stream) add(now time.Time, epoch int64, keys record.HashKeyRange, parents ...string) *shard {
	sh := &shard{index: len(s.shards), epoch: epoch, created: now}
	sh.Shard = record.Shard{
		ID:      fmt.Sprintf("shardId-%012d", sh.index),
		Parents: parents,
		Range:   keys,
		First:   sh.sequence(0, now),
	}
	s.shards, s.byID[sh.ID] = append(s.shards, sh), sh
	return sh
}

// divide cuts the hash key space into n equal ranges; the last takes the rest.
func divide(n int) []record.HashKeyRange {
	step := new(big.Int).Div(new(big.Int).Lsh(big.NewInt(1), 128), big.NewInt(int64(n)))
	ranges := make([]record.HashKeyRange, n)
	for i := range ranges {
		text := new(big.Int).Mul(step, big.NewInt(int64(i))).String()
		start, err := record.ParseHashKey(text)
		if err != nil {
			panic("memstream: " + err.Error())
		}
		ranges[i].Start = start
		if i > 0 {
			ranges[i-1].End = start.Prev()
		}
	}
	ranges[n-1].End = record.MaxHashKey
	return ranges
}

// sequence is a sequence number in Kinesis's layout of 47 hex digits: version, shard's creation, low digit of its
// index, counter, 00, time, index, version.
func (sh *shard) sequence(counter uint64, t time.Time) record.SequenceNumber {
	text := fmt.Sprintf("2%09x%01x%016x00%09x%08x2", max(0, sh.epoch), sh.index&0xf, counter, max(0, t.Unix()), sh.index)
	n, ok := new(big.Int).SetString(text, 16)
	if !ok {
		panic("memstream: sequence number " + text)
	}
	return record.SequenceNumber(n.String())
}

func (sh *shard) put(now time.Time, partitionKey string, data []byte) record.SequenceNumber {
	sh.counter++
	seq := sh.sequence(sh.counter, now)
	sh.records = append(sh.records, record.Record{SequenceNumber: seq, PartitionKey: partitionKey, Data: data, ArrivalTime: now})
	return seq
}

// dropBefore forgets the records that arrived before a moment.
func (sh *shard) dropBefore(horizon time.Time) {
	n := sh.arrivedBefore(horizon)
	sh.gone += uint64(n)
	sh.records = sh.records[n:]
}

func (sh *shard) arrivedBefore(t time.Time) int {
	return sort.Search(len(sh.records), func(i int) bool { return !sh.records[i].ArrivalTime.Before(t) })
}

// goneBy reports whether the shard has vanished with its last records.
func (sh *shard) goneBy(horizon time.Time) bool { return !sh.Open() && sh.closed.Before(horizon) }

// openAt reports whether the shard took records at a moment; at that of a reshard parents and children both did.
func (sh *shard) openAt(t time.Time) bool {
	return !sh.created.After(t) && (sh.Open() || !sh.closed.Before(t))
}

// Split closes a shard and opens two in its place: one up to at, one from at. at must lie above the first point of the
// shard's range, and within it.
func (s *Stream) Split(shardID string, at record.HashKey) (lower, upper string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	parent, err := s.open(shardID)
	if err != nil {
		return "", "", fmt.Errorf("split: %w", err)
	}
	keys := parent.Range
	if !keys.Contains(at) || at == keys.Start {
		return "", "", fmt.Errorf("split of shard %s at %v: want a hash key above %v and not above %v", shardID, at, keys.Start, keys.End)
	}
	children := s.succeed([]*shard{parent}, record.HashKeyRange{Start: keys.Start, End: at.Prev()}, record.HashKeyRange{Start: at, End: keys.End})
	return children[0].ID, children[1].ID, nil
}

// Merge closes two open shards whose ranges touch and opens one in their place; a is its parent and b its adjacent
// parent.
func (s *Stream) Merge(a, b string) (child string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first, err := s.open(a)
	if err != nil {
		return "", fmt.Errorf("merge: %w", err)
	}
	second, err := s.open(b)
	if err != nil {
		return "", fmt.Errorf("merge: %w", err)
	}
	low, high := first, second
	if high.Range.Start.Compare(low.Range.Start) < 0 {
		low, high = high, low
	}
	if low.Range.End == record.MaxHashKey || low.Range.End.Next() != high.Range.Start {
		return "", fmt.Errorf("merge of shards %s and %s: want two whose hash key ranges touch", a, b)
	}
	children := s.succeed([]*shard{first, second}, record.HashKeyRange{Start: low.Range.Start, End: high.Range.End})
	return children[0].ID, nil
}

// open finds a shard that takes records.
func (s *Stream) open(shardID string) (*shard, error) {
	sh := s.byID[shardID]
	if sh == nil {
		return nil, fmt.Errorf("stream %s has no shard %q", s.name, shardID)
	}
	if !sh.Open() {
		return nil, fmt.Errorf("shard %s of stream %s is closed already", shardID, s.name)
	}
	return sh, nil
}

// succeed closes parents and opens shards of the given ranges as their children.
func (s *Stream) succeed(parents []*shard, ranges ...record.HashKeyRange) []*shard {
	now, _ := s.horizon()
	epoch := now.Unix() + 1
	var ids []string
	for _, p := range parents {
		epoch = max(epoch, p.epoch+1)
		ids = append(ids, p.ID)
	}
	var children []*shard
	var named []record.Shard
	for _, keys := range ranges {
		c := s.add(now, epoch, keys, ids...)
		children = append(children, c)
		named = append(named, record.Shard{ID: c.ID, Parents: ids, Range: keys})
	}
	for _, p := range parents {
		p.closed, p.Last, p.children = now, p.sequence(math.MaxInt64, now), named
	}
	return children
}
