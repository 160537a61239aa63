// Package record holds the values that every part of Shoal shares: records and their sequence numbers, positions in a
// shard, shards with their lineage, hash keys, and the reading of KPL aggregates. It does no I/O and imports nothing of
// Shoal.
package record

import (
	"bytes"
	"strings"
	"time"
)

// A Record is one data record of a stream, or one user record out of an aggregated (KPL) record.
type Record struct {
	// SequenceNumber is the record's number in its shard; sub-records of one aggregate share it.
	SequenceNumber SequenceNumber
	// SubSequenceNumber counts the sub-records of an aggregate from 0; it is 0 for an ordinary record.
	SubSequenceNumber uint64
	// PartitionKey is the key that the producer gave: 1 to 256 characters.
	PartitionKey string
	// ExplicitHashKey is the decimal hash key that a KPL producer stored with a sub-record, else "".
	ExplicitHashKey string
	// Data is the payload, at most 1 MiB (10 MiB on streams set so). It aliases the page that it came in: read it,
	// keep it as long as you like, do not change it. See Clone.
	Data []byte
	// ArrivalTime is when the service took the record, to the millisecond.
	ArrivalTime time.Time
	// EncryptionType is "KMS" on an encrypted stream, else "" or "NONE".
	EncryptionType string
	// Aggregated tells that the record came out of an aggregate.
	Aggregated bool
}

// Position is the place of r in its shard: the checkpoint that says r and all before it are done.
func (r *Record) Position() Position { return At(r.SequenceNumber, r.SubSequenceNumber) }

// Clone copies r with all it refers to, so that keeping the copy does not keep the whole page in memory.
func (r *Record) Clone() Record {
	c := *r
	c.SequenceNumber = SequenceNumber(strings.Clone(string(r.SequenceNumber)))
	c.PartitionKey = strings.Clone(r.PartitionKey)
	c.ExplicitHashKey = strings.Clone(r.ExplicitHashKey)
	c.Data = bytes.Clone(r.Data)
	return c
}

// Size is what r counts for in limits and budgets: its data and partition key, in bytes.
func (r *Record) Size() int { return len(r.Data) + len(r.PartitionKey) }

// A Page is what one read of a shard gave.
type Page struct {
	// Records are in ascending order, aggregates still closed.
	Records []Record
	// Plain tells that none of Records is an aggregate. Who does not know says no, and Records are looked at.
	Plain bool
	// Behind is how far the end of the page lies behind the newest record of the shard, 0 at the tip
	// (MillisBehindLatest).
	Behind time.Duration
	// End tells that the shard is closed and this was its last page.
	End bool
	// Children are the shards that follow, given with the last page.
	Children []Shard
}
