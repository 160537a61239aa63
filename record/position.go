package record

import (
	"cmp"
	"fmt"
	"time"
)

// Kind tells the kinds of Position apart.
type Kind uint8

const (
	// KindNone is the kind of the zero Position: no position at all.
	KindNone Kind = iota
	// KindAtTimestamp is the first record that arrived at or after a moment.
	KindAtTimestamp
	// KindTrimHorizon is before the oldest record that the stream still keeps.
	KindTrimHorizon
	// KindLatest is after the newest record at the moment of asking.
	KindLatest
	// KindSequence is a record, or a user record within an aggregated one.
	KindSequence
	// KindShardEnd is behind the last record of a shard that was closed by a reshard.
	KindShardEnd
)

// A Position is a place in a shard: a sentinel, a moment, or a record. As a checkpoint it means that everything up to
// and including it is done. Positions are comparable with ==; the zero Position is none.
//
// The order of Compare is Java KCL's (ExtendedSequenceNumber.java): AT_TIMESTAMP, TRIM_HORIZON, LATEST, numbers,
// SHARD_END.
type Position struct {
	kind Kind
	seq  SequenceNumber
	sub  uint64
	ms   int64
}

// The sentinels.
var (
	TrimHorizon = Position{kind: KindTrimHorizon}
	Latest      = Position{kind: KindLatest}
	ShardEnd    = Position{kind: KindShardEnd}
)

// At is the position of the record seq and, within an aggregated record, of its sub-record sub (counted from 0). A
// record that is not aggregated has sub 0.
func At(seq SequenceNumber, sub uint64) Position {
	return Position{kind: KindSequence, seq: seq, sub: sub}
}

// AtTimestamp is the first record that arrived at or after t, to the millisecond.
func AtTimestamp(t time.Time) Position { return Position{kind: KindAtTimestamp, ms: t.UnixMilli()} }

// Kind tells what sort of position p is.
func (p Position) Kind() Kind { return p.kind }

// IsZero reports whether p is no position at all.
func (p Position) IsZero() bool { return p.kind == KindNone }

// Sequence is p's sequence number, "" unless p is of KindSequence.
func (p Position) Sequence() SequenceNumber { return p.seq }

// Sub is p's sub-sequence number, 0 unless p lies within an aggregated record.
func (p Position) Sub() uint64 { return p.sub }

// Time is the moment of a position of KindAtTimestamp, else the zero time.
func (p Position) Time() time.Time {
	if p.kind != KindAtTimestamp {
		return time.Time{}
	}
	return time.UnixMilli(p.ms)
}

// Compare orders positions of one shard: -1, 0 or +1. The zero Position is below all others.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.kind, q.kind), p.seq.Compare(q.seq), cmp.Compare(p.sub, q.sub), cmp.Compare(p.ms, q.ms))
}

// Validate returns an error unless p can be stored or read from: the zero Position and malformed sequence numbers
// cannot.
func (p Position) Validate() error {
	switch p.kind {
	case KindNone:
		return fmt.Errorf("position: none given; want a sequence number, TRIM_HORIZON, LATEST, AT_TIMESTAMP or SHARD_END")
	case KindSequence:
		return p.seq.Validate()
	default:
		return nil
	}
}

// Sentinel is the text of p's kind as stored by Java KCL (SentinelCheckpoint.java), or the sequence number.
func (p Position) Sentinel() string {
	switch p.kind {
	case KindAtTimestamp:
		return "AT_TIMESTAMP"
	case KindTrimHorizon:
		return "TRIM_HORIZON"
	case KindLatest:
		return "LATEST"
	case KindShardEnd:
		return "SHARD_END"
	case KindSequence:
		return string(p.seq)
	default:
		return ""
	}
}

// String is p for people: the sequence number with "/sub" where that is not 0, or the sentinel, with its moment for
// AT_TIMESTAMP.
func (p Position) String() string {
	switch {
	case p.kind == KindNone:
		return "none"
	case p.kind == KindAtTimestamp:
		return "AT_TIMESTAMP(" + p.Time().UTC().Format("2006-01-02T15:04:05.000Z") + ")"
	case p.kind == KindSequence && p.sub > 0:
		return fmt.Sprintf("%s/%d", p.seq, p.sub)
	default:
		return p.Sentinel()
	}
}

// ParsePosition is the inverse of Sentinel, with the sub-sequence number stored beside it: it reads the two attributes
// of a stored checkpoint. AT_TIMESTAMP comes back without its moment, which KCL does not store.
func ParsePosition(text string, sub uint64) (Position, error) {
	switch text {
	case "AT_TIMESTAMP":
		return Position{kind: KindAtTimestamp}, nil
	case "TRIM_HORIZON":
		return TrimHorizon, nil
	case "LATEST":
		return Latest, nil
	case "SHARD_END":
		return ShardEnd, nil
	}
	p := At(SequenceNumber(text), sub)
	if err := p.Validate(); err != nil {
		return Position{}, fmt.Errorf("position %q: want a sequence number, TRIM_HORIZON, LATEST, AT_TIMESTAMP or SHARD_END", text)
	}
	return p, nil
}
