package dynamo

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

// The attributes of a lease item, with the names and types of Java KCL 3.5.1 (DynamoDBLeaseSerializer.java,
// DynamoDBMultiStreamLeaseSerializer.java). Absent attributes stand for empty values: DynamoDB items of leases never
// hold empty strings or sets.
const (
	attrKey             = "leaseKey"                           // S, the partition key
	attrOwner           = "leaseOwner"                         // S
	attrCounter         = "leaseCounter"                       // N
	attrSwitches        = "ownerSwitchesSinceCheckpoint"       // N
	attrCheckpoint      = "checkpoint"                         // S, a sequence number or a sentinel
	attrCheckpointSub   = "checkpointSubSequenceNumber"        // N
	attrPending         = "pendingCheckpoint"                  // S
	attrPendingSub      = "pendingCheckpointSubSequenceNumber" // N
	attrPendingState    = "pendingCheckpointState"             // B
	attrParents         = "parentShardId"                      // SS, despite its name
	attrChildren        = "childShardIds"                      // SS
	attrStartHash       = "startingHashKey"                    // S, decimal
	attrEndHash         = "endingHashKey"                      // S, decimal
	attrThroughput      = "throughputKBps"                     // N, 6 decimals
	attrCheckpointOwner = "checkpointOwner"                    // S
	attrEntityType      = "entityType"                         // S; absent in rows from before KCL 3.5
	attrStream          = "streamName"                         // S, the stream's identifier; several streams only
	attrShard           = "shardId"                            // S; several streams only
	attrStartTime       = "startTimestamp"                     // N, ms since 1970; Shoal's own, which KCL ignores

	entityLease = "LEASE"
)

type item = map[string]types.AttributeValue

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number[N int64 | uint64](n N) types.AttributeValue {
	if n < 0 {
		return &types.AttributeValueMemberN{Value: strconv.FormatInt(int64(n), 10)}
	}
	return &types.AttributeValueMemberN{Value: strconv.FormatUint(uint64(n), 10)}
}

func set(members []string) types.AttributeValue { return &types.AttributeValueMemberSS{Value: members} }

// decimal is a number with the 6 decimals that KCL writes.
func decimal(v float64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatFloat(v, 'f', 6, 64)}
}

// encode is the item of a new lease.
func encode(l *lease.Lease) item {
	it := item{
		attrKey:           text(l.Key),
		attrEntityType:    text(entityLease),
		attrCounter:       number(int64(0)),
		attrSwitches:      number(int64(0)),
		attrCheckpoint:    text(l.Checkpoint.Sentinel()),
		attrCheckpointSub: number(l.Checkpoint.Sub()),
	}
	for attr, s := range map[string]string{attrOwner: l.Owner, attrCheckpointOwner: l.CheckpointOwner, attrStream: l.Stream} {
		if s != "" {
			it[attr] = text(s)
		}
	}
	if l.Stream != "" {
		it[attrShard] = text(l.Shard)
	}
	for attr, members := range map[string][]string{attrParents: l.Parents, attrChildren: l.Children} {
		if len(members) > 0 {
			it[attr] = set(members)
		}
	}
	if !l.Pending.IsZero() {
		it[attrPending], it[attrPendingSub] = text(l.Pending.Sentinel()), number(l.Pending.Sub())
		if len(l.PendingState) > 0 {
			it[attrPendingState] = &types.AttributeValueMemberB{Value: l.PendingState}
		}
	}
	if l.Range != nil {
		it[attrStartHash], it[attrEndHash] = text(l.Range.Start.String()), text(l.Range.End.String())
	}
	if l.ThroughputKBps != nil {
		it[attrThroughput] = decimal(*l.ThroughputKBps)
	}
	if !l.StartTime.IsZero() {
		it[attrStartTime] = number(l.StartTime.UnixMilli())
	}
	return it
}

// kindOf tells leases from the other things that KCL 3.5 keeps in the same table. Rows without a type are leases.
func kindOf(it item) string {
	kind, ok := it[attrEntityType].(*types.AttributeValueMemberS)
	if !ok {
		return entityLease
	}
	return kind.Value
}

// decode reads an item. Its error wraps lease.ErrDamaged and names the row and the attribute.
func decode(it item) (lease.Lease, error) {
	d := decoder{item: it}
	l := lease.Lease{
		Key:             d.text(attrKey, true),
		Stream:          d.text(attrStream, false),
		Shard:           d.text(attrShard, false),
		Owner:           d.text(attrOwner, false),
		CheckpointOwner: d.text(attrCheckpointOwner, false),
		Counter:         d.integer(attrCounter, true),
		OwnerSwitches:   d.integer(attrSwitches, false),
		Checkpoint:      d.position(attrCheckpoint, attrCheckpointSub, true),
		Pending:         d.position(attrPending, attrPendingSub, false),
		Parents:         d.set(attrParents),
		Children:        d.set(attrChildren),
		Range:           d.hashRange(),
		ThroughputKBps:  d.float(attrThroughput),
	}
	if l.Shard == "" {
		l.Shard = l.Key
	}
	if _, ok := it[attrStartTime]; ok {
		l.StartTime = time.UnixMilli(d.integer(attrStartTime, true))
	}
	if state, ok := it[attrPendingState].(*types.AttributeValueMemberB); ok {
		l.PendingState = state.Value
	}
	if d.err != nil {
		return lease.Lease{}, fmt.Errorf("%w: %q: %w", lease.ErrDamaged, l.Key, d.err)
	}
	return l, nil
}

// A decoder reads attributes and remembers the first that was bad.
type decoder struct {
	item item
	err  error
}

func (d *decoder) bad(attr, want string) {
	if d.err == nil {
		d.err = fmt.Errorf("attribute %s: want %s", attr, want)
	}
}

// text is a copy of a string: the item may lie in memory that is used again.
func (d *decoder) text(attr string, must bool) string { return strings.Clone(d.borrow(attr, must)) }

// borrow is a string that is used during the decoding alone.
func (d *decoder) borrow(attr string, must bool) string {
	v, ok := d.item[attr]
	if !ok {
		if must {
			d.bad(attr, "a string, and there is none")
		}
		return ""
	}
	s, ok := v.(*types.AttributeValueMemberS)
	if !ok {
		d.bad(attr, "a string (S)")
		return ""
	}
	return s.Value
}

func (d *decoder) number(attr string, must bool) (digits string, ok bool) {
	v, ok := d.item[attr]
	if !ok {
		if must {
			d.bad(attr, "a number, and there is none")
		}
		return "", false
	}
	n, ok := v.(*types.AttributeValueMemberN)
	if !ok {
		d.bad(attr, "a number (N)")
		return "", false
	}
	return n.Value, true
}

func (d *decoder) integer(attr string, must bool) int64 {
	digits, ok := d.number(attr, must)
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		d.bad(attr, fmt.Sprintf("an integer, not %q", digits))
	}
	return n
}

func (d *decoder) float(attr string) *float64 {
	digits, ok := d.number(attr, false)
	if !ok {
		return nil
	}
	v, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		d.bad(attr, fmt.Sprintf("a number, not %q", digits))
	}
	return &v
}

func (d *decoder) position(attr, subAttr string, must bool) record.Position {
	at, sub := d.text(attr, must), d.integer(subAttr, false)
	if at == "" {
		return record.Position{}
	}
	if sub < 0 {
		d.bad(subAttr, fmt.Sprintf("0 or more, not %d", sub))
		return record.Position{}
	}
	p, err := record.ParsePosition(at, uint64(sub))
	if err != nil {
		d.bad(attr, err.Error())
	}
	return p
}

func (d *decoder) set(attr string) []string {
	v, ok := d.item[attr]
	if !ok {
		return nil
	}
	ss, ok := v.(*types.AttributeValueMemberSS)
	if !ok {
		d.bad(attr, "a string set (SS)")
		return nil
	}
	return ss.Value
}

// hashRange is nil unless both ends are there.
func (d *decoder) hashRange() *record.HashKeyRange {
	from, to := d.borrow(attrStartHash, false), d.borrow(attrEndHash, false)
	if from == "" || to == "" {
		return nil
	}
	start, err := record.ParseHashKey(from)
	if err != nil {
		d.bad(attrStartHash, err.Error())
	}
	end, err := record.ParseHashKey(to)
	if err != nil {
		d.bad(attrEndHash, err.Error())
	}
	return &record.HashKeyRange{Start: start, End: end}
}
