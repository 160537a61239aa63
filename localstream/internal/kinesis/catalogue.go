package kinesis

import (
	"fmt"
	"maps"
	"sort"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/record"
)

// A catalogue is all streams by name. Like the streams in it, it never changes once made: a change makes new ones.
type catalogue map[string]*stream

// with is the catalogue with st in it, or without the stream of that name if st is nil.
func (c catalogue) with(name string, st *stream) catalogue {
	c = maps.Clone(c)
	if c == nil {
		c = catalogue{}
	}
	if st == nil {
		delete(c, name)
	} else {
		c[name] = st
	}
	return c
}

// Status of a stream.
type status string

const (
	creating status = "CREATING"
	active   status = "ACTIVE"
	updating status = "UPDATING"
	deleting status = "DELETING"
)

// A stream as stored. Its shards' tails live outside of it.
type stream struct {
	ID      uint64
	Name    string
	Created int64 // milliseconds since the epoch
	// Status holds until the moment Until (milliseconds); then a stream that is deleting is gone and any other active.
	Status status
	Until  int64
	// Pending is what the stream is UPDATING for if that is a reshard, which then happens at Until.
	Pending *resharding `json:",omitempty"`
	// Unborn says that the stream is deleted before it was ACTIVE.
	Unborn bool `json:",omitempty"`
	Mode   string
	// Retention is in hours. What arrived before Expired has expired even if Retention was raised since.
	Retention int32
	Expired   int64
	MaxRecord int // KiB
	// Warm is the warm throughput in MiB/s, WarmBefore what it was until the stream's last change is complete.
	Warm         int32  `json:",omitempty"`
	WarmBefore   int32  `json:",omitempty"`
	Distribution string `json:",omitempty"` // "" is byKey
	// KeyID is the encryption key, "" for none. From KeySince (milliseconds) records are as it says, before the opposite.
	KeyID    string              `json:",omitempty"`
	KeySince int64               `json:",omitempty"`
	Metrics  []types.MetricsName `json:",omitempty"`
	// Tags are the stream's own; ConsumerTags and Policies are by consumer, "" for the stream's policy. No map is changed
	// once it is here.
	Tags         map[string]string
	ConsumerTags map[string]map[string]string `json:",omitempty"`
	Policies     map[string]string            `json:",omitempty"`
	// Moments of the last day's calls: UpdateShardCount, UpdateStreamMode, StartStreamEncryption, StopStreamEncryption.
	Scalings    []int64
	ModeChanges []int64    `json:",omitempty"`
	Starts      []int64    `json:",omitempty"`
	Stops       []int64    `json:",omitempty"`
	Next        uint32     // index of the next shard
	Shards      []shard    // by index
	Consumers   []consumer `json:",omitempty"`

	sorted []*shard // what open returns, once the version is complete
}

// A shard as stored.
type shard struct {
	Index    uint32
	Creation int64 // the creation time in its sequence numbers, seconds
	Opened   int64 // milliseconds
	Closed   int64 // milliseconds, 0 while open
	Parent   *uint32
	Adjacent *uint32
	Range    record.HashKeyRange

	tail *tail
}

// A tail is the moving end of a shard, shared by all versions of its stream. The fields of written belong to the
// store's writer; visible is what is on disk, for readers.
type tail struct {
	written end
	visible atomic.Pointer[end]
	floor   atomic.Uint64 // records below this counter are deleted

	writes, reads, iterators bucket

	arrived bell // rings when visible moves
}

// An end says where the next record goes.
type end struct {
	next    uint64 // its counter
	arrival int64  // of the newest record: none comes before it
}

func newTail(e end) *tail {
	t := &tail{written: e}
	t.visible.Store(&e)
	return t
}

// clone is a copy of st to be changed.
func (st *stream) clone() *stream {
	c := *st
	c.sorted = nil
	c.Shards = append(make([]shard, 0, len(st.Shards)+4), st.Shards...)
	return &c
}

// state is the stream's status at a moment, "" when it is gone.
func (st *stream) state(now time.Time) status {
	switch {
	case now.UnixMilli() < st.Until:
		return st.Status
	case st.Status == deleting:
		return ""
	case st.Pending != nil:
		return updating
	default:
		return active
	}
}

// horizon is the moment before which records have expired, in milliseconds.
func (st *stream) horizon(now time.Time) int64 {
	return max(st.Expired, now.Add(-time.Duration(st.Retention)*time.Hour).UnixMilli())
}

// shard finds a shard by its index.
func (st *stream) shard(index uint32) (*shard, bool) {
	i := sort.Search(len(st.Shards), func(i int) bool { return st.Shards[i].Index >= index })
	if i < len(st.Shards) && st.Shards[i].Index == index {
		return &st.Shards[i], true
	}
	return nil, false
}

// open lists the open shards by hash key range. They cover the whole space.
func (st *stream) open() []*shard {
	if st.sorted != nil {
		return st.sorted
	}
	var open []*shard
	for i := range st.Shards {
		if st.Shards[i].Closed == 0 {
			open = append(open, &st.Shards[i])
		}
	}
	sort.Slice(open, func(i, j int) bool { return open[i].Range.Start.Compare(open[j].Range.Start) < 0 })
	return open
}

// complete marks the version as one that changes no more.
func (st *stream) complete() { st.sorted = st.open() }

// children lists the shards that were split or merged from the shard.
func (st *stream) children(index uint32) []*shard {
	var children []*shard
	for i := range st.Shards {
		sh := &st.Shards[i]
		if sh.Parent != nil && *sh.Parent == index || sh.Adjacent != nil && *sh.Adjacent == index {
			children = append(children, sh)
		}
	}
	return children
}

// gone tells a closed shard all of whose records have expired: it is listed no more.
func (sh *shard) gone(horizon int64) bool { return sh.Closed != 0 && sh.Closed < horizon }

func (sh *shard) id() string { return shardID(sh.Index) }

func shardID(index uint32) string { return fmt.Sprintf("shardId-%012d", index) }

// number is the sequence number of the record with that counter and arrival; its time is never before the shard's
// creation, which may be a second ahead.
func (sh *shard) number(counter uint64, arrival int64) sequence {
	return sequence{creation: sh.Creation, counter: counter, second: max(arrival/1000, sh.Creation), shard: sh.Index}
}

// first and last are the shard's first and last possible sequence numbers.
func (sh *shard) first() sequence { return sh.number(0, sh.Creation*1000) }
func (sh *shard) last() sequence  { return sh.number(lastCounter, sh.Closed) }

// Creation times in sequence numbers differ from the clock as the service's do: those of a new stream's shards lie a
// little before the call, those of children a second after the reshard.
const (
	createdBefore = 2 // seconds
	createdAfter  = 1
)

// add appends a new open shard that covers r to st, which must be a clone of the writer's.
func (st *stream) add(now time.Time, r record.HashKeyRange, parents ...*shard) *shard {
	sh := shard{Index: st.Next, Creation: now.Unix() - createdBefore, Opened: now.UnixMilli(), Range: r, tail: newTail(end{next: 1})}
	for i, p := range parents {
		sh.Creation = max(sh.Creation, now.Unix()+createdAfter, p.Creation+1)
		sh.tail.written.arrival = max(sh.tail.written.arrival, p.tail.written.arrival)
		index := p.Index
		if i == 0 {
			sh.Parent = &index
		} else {
			sh.Adjacent = &index
		}
	}
	st.Next++
	st.Shards = append(st.Shards, sh)
	return &st.Shards[len(st.Shards)-1]
}
