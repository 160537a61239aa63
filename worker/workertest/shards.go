package workertest

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/shoal-stream/shoal/record"
)

// open are the shards that take records, by their ranges.
func (h *history) open() []record.Shard {
	shards, _, err := h.stream.Shards(context.Background(), record.Latest)
	if err != nil {
		panic("workertest: " + err.Error()) // only processes meet trouble
	}
	slices.SortFunc(shards, func(a, b record.Shard) int { return a.Range.Start.Compare(b.Range.Start) })
	return shards
}

func (h *history) split(s record.Shard) {
	at := record.HashKey{Hi: s.Range.Start.Hi/2 + s.Range.End.Hi/2, Lo: 1}
	lower, upper, err := h.stream.Split(s.ID, at)
	if err != nil {
		panic("workertest: " + err.Error())
	}
	h.book.happens(fmt.Sprintf("%s is split into %s and %s", s.ID, lower, upper), s.ID, lower, upper)
}

func (h *history) merge(arg uint64) {
	open := h.open()
	if len(open) < 2 {
		return
	}
	i := int(arg % uint64(len(open)-1))
	child, err := h.stream.Merge(open[i].ID, open[i+1].ID)
	if err != nil {
		panic("workertest: " + err.Error())
	}
	h.count("merges")
	h.book.happens(fmt.Sprintf("%s and %s are merged into %s", open[i].ID, open[i+1].ID, child), open[i].ID, open[i+1].ID, child)
}

// puts stores the next n records.
func (h *history) puts(n int) {
	var group []Record
	var in record.Shard
	for range n {
		r := h.o.Record(h.put)
		h.put++
		r.ID = cmp.Or(r.ID, string(r.Data))
		if !h.o.Aggregated {
			h.storeOne(r)
			continue
		}
		hash := record.HashOf(r.Key)
		if len(group) > 0 && (len(group) == 6 || !in.Range.Contains(hash)) {
			h.storeGroup(group)
			group = nil
		}
		if len(group) == 0 {
			in = h.open()[slices.IndexFunc(h.open(), func(s record.Shard) bool { return s.Range.Contains(hash) })]
		}
		group = append(group, r)
	}
	h.storeGroup(group)
}

// storeOne stores a record as it is.
func (h *history) storeOne(r Record) {
	shard, seq, err := h.stream.Put(r.Key, r.Data)
	if err != nil {
		h.refuse(err)
		return
	}
	h.book.put(r, shard, record.At(seq, 0))
}

// storeGroup stores records of one shard in an aggregate.
func (h *history) storeGroup(group []Record) {
	if len(group) < 2 {
		for _, r := range group {
			h.storeOne(r)
		}
		return
	}
	var a record.Aggregate
	for _, r := range group {
		a.Add(&record.Record{PartitionKey: r.Key, Data: r.Data})
	}
	h.count("aggregates")
	shard, seq, err := h.stream.PutTo(record.HashOf(group[0].Key), group[0].Key, a.Encode())
	if err != nil {
		h.refuse(err)
		return
	}
	for i, r := range group {
		h.book.put(r, shard, record.At(seq, uint64(i)))
	}
}

func (h *history) refuse(err error) {
	h.book.problem(Problem{Kind: "records", Count: 1, Text: "  " + err.Error()})
	h.broken = true
}
