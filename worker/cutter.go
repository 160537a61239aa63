package worker

import (
	"github.com/shoal-stream/shoal/record"
)

// A cutter cuts pages into batches: it leaves out what lies at or before the position that is done already, opens KPL
// aggregates, and keeps to the limits of a batch.
type cutter struct {
	maxRecords, maxBytes int
	keys                 record.HashKeyRange
	dropForeign          bool
	done                 record.Position // deliver only what lies beyond
	foreign              int64           // sub-records outside keys
}

// cut opens and filters the records of a page. The result aliases page where nothing had to be opened or left out.
func (c *cutter) cut(page []record.Record) []record.Record {
	start := 0
	for start < len(page) && page[start].SequenceNumber.Compare(c.done.Sequence()) < 0 {
		start++
	}
	page = page[start:]
	if !c.mustOpen(page) {
		c.advance(page)
		return page
	}
	out := make([]record.Record, 0, 2*len(page))
	for i := range page {
		out = c.open(out, &page[i])
	}
	c.advance(out)
	return out
}

// advance moves the done position to the end of what is handed on.
func (c *cutter) advance(out []record.Record) {
	if n := len(out); n > 0 {
		c.done = out[n-1].Position()
	}
}

// mustOpen reports whether the page cannot be handed on as it is.
func (c *cutter) mustOpen(page []record.Record) bool {
	for i := range page {
		if record.IsAggregate(page[i].Data) || page[i].Position().Compare(c.done) <= 0 {
			return true
		}
	}
	return false
}

// open appends r, or the sub-records in it, to out.
func (c *cutter) open(out []record.Record, r *record.Record) []record.Record {
	subs, ok := record.Deaggregate(*r)
	if !ok {
		if r.Position().Compare(c.done) > 0 {
			out = append(out, *r)
		}
		return out
	}
	if c.countForeign(subs) && c.dropForeign {
		return out
	}
	for i := range subs {
		if subs[i].Position().Compare(c.done) > 0 {
			out = append(out, subs[i])
		}
	}
	return out
}

// countForeign counts the sub-records outside the shard's hash key range and reports whether there are any.
func (c *cutter) countForeign(subs []record.Record) bool {
	n := c.foreign
	for i := range subs {
		if !c.keys.Contains(subs[i].HashKey()) {
			c.foreign++
		}
	}
	return c.foreign > n
}

// next splits the first batch off records: as many as the limits allow, at least one.
func (c *cutter) next(records []record.Record) (batch, rest []record.Record) {
	bytes := 0
	for i := range records {
		bytes += records[i].Size()
		if i > 0 && (i >= c.maxRecords || bytes > c.maxBytes) {
			return records[:i:i], records[i:]
		}
	}
	return records, nil
}
