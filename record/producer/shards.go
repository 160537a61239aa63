package producer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/record"
)

// A shardMap is the stream's shards as they were listed. It does not change.
type shardMap struct {
	open []record.Shard                 // in the order of their ranges, which cover the whole space
	keys map[string]record.HashKeyRange // of all shards, closed ones too
	ends []record.HashKey               // of the ranges in open
}

// find is the index in open of the shard that h lies in.
func (m *shardMap) find(h record.HashKey) int {
	i, _ := slices.BinarySearchFunc(m.ends, h, record.HashKey.Compare)
	return i
}

// same reports whether the open shards are those of n.
func (m *shardMap) same(n *shardMap) bool {
	return slices.EqualFunc(m.open, n.open, func(a, b record.Shard) bool { return a.ID == b.ID && a.Range == b.Range })
}

// newShardMap checks that the open shards cover the hash key space, as they do but for moments of a reshard.
func newShardMap(shards []types.Shard) (*shardMap, error) {
	m := &shardMap{keys: make(map[string]record.HashKeyRange, len(shards))}
	for i := range shards {
		s := &shards[i]
		if s.ShardId == nil || s.HashKeyRange == nil {
			return nil, fmt.Errorf("a shard has no id or no hash key range")
		}
		start, err := record.ParseHashKey(aws.ToString(s.HashKeyRange.StartingHashKey))
		if err != nil {
			return nil, fmt.Errorf("shard %s: %w", *s.ShardId, err)
		}
		end, err := record.ParseHashKey(aws.ToString(s.HashKeyRange.EndingHashKey))
		if err != nil {
			return nil, fmt.Errorf("shard %s: %w", *s.ShardId, err)
		}
		r := record.HashKeyRange{Start: start, End: end}
		m.keys[*s.ShardId] = r
		if s.SequenceNumberRange == nil || s.SequenceNumberRange.EndingSequenceNumber == nil {
			m.open = append(m.open, record.Shard{ID: *s.ShardId, Range: r})
		}
	}
	slices.SortFunc(m.open, func(a, b record.Shard) int { return a.Range.Start.Compare(b.Range.Start) })
	for i := range m.open {
		m.ends = append(m.ends, m.open[i].Range.End)
	}
	next := record.HashKey{}
	for i, s := range m.open {
		if s.Range.Start != next || s.Range.End.Compare(s.Range.Start) < 0 {
			return nil, fmt.Errorf("shards leave a gap or overlap at hash key %v", next)
		}
		if next = s.Range.End.Next(); next == (record.HashKey{}) && i < len(m.open)-1 {
			return nil, fmt.Errorf("shards overlap at the end of the hash key space")
		}
	}
	if len(m.open) == 0 || next != (record.HashKey{}) {
		return nil, fmt.Errorf("shards end at hash key %v and not at that of the space", next.Prev())
	}
	return m, nil
}

// Pauses between listings of the shards: after failures, and while each finds the same.
const (
	minListPause = 200 * time.Millisecond
	maxListPause = 5 * time.Second
	minSamePause = time.Second
	maxSamePause = time.Minute
)

// follow lists the shards whenever there is evidence that the map is old, at growing intervals while that brings nothing.
func (p *Producer) follow() {
	for failed, same := 0, 0; ; {
		select {
		case <-p.look:
		case <-p.life.Done():
			return
		}
		m, err := p.list()
		var pause time.Duration
		if err != nil {
			failed++
			pause = p.clock.Backoff(failed, minListPause, maxListPause)
		} else {
			failed = 0
		}
		if p.learn(m, err) {
			same = 0
		}
		if err == nil {
			same++
			pause = p.clock.Backoff(same, minSamePause, maxSamePause)
		}
		if p.clock.Sleep(p.life, pause) != nil {
			return
		}
	}
}

// list asks ListShards for all pages.
func (p *Producer) list() (*shardMap, error) {
	var all []types.Shard
	in := &kinesis.ListShardsInput{StreamName: p.name, StreamARN: p.arn}
	for {
		ctx, cancel := p.clock.WithTimeout(p.life, p.cfg.RequestTimeout, errNoAnswer)
		out, err := p.api.ListShards(ctx, in)
		if err != nil && ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		cancel()
		if err != nil {
			return nil, fmt.Errorf("list the shards of stream %s: %w", p.cfg.name(), err)
		}
		all = append(all, out.Shards...)
		if aws.ToString(out.NextToken) == "" {
			break
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken} // which excludes all that names the stream
	}
	m, err := newShardMap(all)
	if err != nil {
		return nil, fmt.Errorf("list the shards of stream %s: %w", p.cfg.name(), err)
	}
	return m, nil
}

// learn takes in what a listing gave, and reports whether the map has changed.
func (p *Producer) learn(m *shardMap, err error) (changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.listed)
	p.listed = make(chan struct{})
	p.stats.Listings++
	switch {
	case err != nil && p.shards == nil && lasting(err):
		p.failQueued(err)
		p.limbo = &lane{}
		clear(p.chains)
		return false
	case err != nil:
		p.listing = err
		poke(p.look)
		return false
	}
	p.listing = nil
	if p.shards != nil && p.shards.same(m) {
		p.shards = m // with the ranges of shards that were new and are closed again
		return false
	}
	if p.cfg.Order == OrderStrict && p.stats.InFlight > 0 {
		p.next = m // what is in flight may have to come first in its new shard
	} else {
		p.adopt(m)
	}
	poke(p.wake)
	return true
}

// adopt makes m the shard map and sorts what waits into its shards.
func (p *Producer) adopt(m *shardMap) {
	old := append(p.lanes, p.limbo)
	p.lanes, p.turns, p.limbo = make([]*lane, len(m.open)), fifo[*lane]{}, &lane{}
	p.shards, p.next = m, nil
	index := make(map[string]int, len(m.open))
	for i := range m.open {
		index[m.open[i].ID] = i
	}
	var waiting []*chain
	for _, l := range old {
		if l == nil {
			continue
		}
		for l.waiting() > 0 {
			waiting = append(waiting, l.pop())
		}
		l.turn, l.chain = false, nil
		if i, ok := index[l.shard]; ok {
			p.lanes[i] = l // with its pace
		}
	}
	if p.cfg.Order == OrderStrict { // nothing is in flight: all anew, in the order of the Puts
		for e := p.backlog.oldest; e != nil; e = e.newer {
			if e.state == queued {
				p.enqueue(e, p.chainOf(e))
			}
		}
		return
	}
	for _, c := range waiting {
		p.makeReady(c, false)
	}
}

// keysOf waits until the map knows the shard's range. ok is false if it was not to be had before ctx ended.
func (p *Producer) keysOf(ctx context.Context, shard string) (keys record.HashKeyRange, ok bool) {
	for {
		p.mu.Lock()
		keys, ok = p.shards.keys[shard]
		if !ok && p.next != nil {
			keys, ok = p.next.keys[shard]
		}
		listed := p.listed
		p.mu.Unlock()
		if ok {
			return keys, true
		}
		poke(p.look)
		select {
		case <-listed:
		case <-ctx.Done():
			return keys, false
		}
	}
}
