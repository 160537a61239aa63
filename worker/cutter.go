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

// cut opens and filters the records of a page. The result aliases it where nothing had to be opened or left out.
func (c *cutter) cut(page *record.Page) []record.Record {
	records := page.Records
	for len(records) > 0 && records[0].SequenceNumber.Compare(c.done.Sequence()) < 0 {
		records = records[1:]
	}
	if !c.mustOpen(records, page.Plain) {
		c.advance(records)
		return records
	}
	out := make([]record.Record, 0, 2*len(records))
	for i := range records {
		out = c.open(out, &records[i])
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

// mustOpen reports whether the records cannot be handed on as they are: one is done already, which only the first can be,
// or there may be aggregates among them.
func (c *cutter) mustOpen(records []record.Record, plain bool) bool {
	if len(records) > 0 && records[0].Position().Compare(c.done) <= 0 {
		return true
	}
	for i := range records {
		if !plain && record.IsAggregate(records[i].Data) {
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
