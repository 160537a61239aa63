package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/shoal-stream/shoal/integration/proxy"
	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/record"
)

// A table is the history of the lease table as the proxies saw it, whether or not the workers did.
type table struct {
	mu        sync.Mutex
	writes    []write
	open      []write    // those of which no answer came, because the server was killed; after is the key alone
	snapshots []snapshot // after each restart of the server
	damaged   []error    // what could not be understood
}

// A write is one of a row.
type write struct {
	sent, at time.Time
	life     int         // of the worker that sent it, 0 if that is not known
	op       string      // the operation of lease.Store, as memory.OpCreate
	after    lease.Lease // if the row is gone, its key alone
	gone     bool
}

// A snapshot is all rows at one moment.
type snapshot struct {
	at   time.Time
	rows map[string]lease.Lease
}

// An item is one of DynamoDB's, in its JSON form.
type item map[string]value

type value struct {
	S, N string
	SS   []string
}

// seen takes in a call to the server.
func (t *table) seen(life int, c proxy.Call) {
	_, op, ok := strings.Cut(c.Header.Get("X-Amz-Target"), "DynamoDB_20120810.")
	if !ok || c.Status != 200 && c.Status != 0 {
		return
	}
	w, row, err := readWrite(op, c)
	if _, isLease := row["leaseCounter"]; err == nil && !isLease && !strings.HasPrefix(row["leaseKey"].S, "shardId-") {
		return // of another kind, or a read
	}
	if err == nil {
		w.after, err = row.lease()
	}
	w.sent, w.at, w.life = c.Sent, c.At, life
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err != nil:
		t.damaged = append(t.damaged, fmt.Errorf("%s of life %d: %w", op, life, err))
	case c.Status == 0:
		t.open = append(t.open, w)
	default:
		t.writes = append(t.writes, w)
	}
}

// readWrite reads which row a call has written, and how it is now; without an answer its key alone.
func readWrite(op string, c proxy.Call) (w write, row item, err error) {
	var request struct {
		Key, Item        item
		UpdateExpression string
	}
	var answer struct{ Attributes item }
	switch op {
	case "UpdateItem", "PutItem", "DeleteItem":
	default:
		return w, nil, nil
	}
	if err := json.Unmarshal(c.Body, &request); err != nil {
		return w, nil, err
	}
	switch op {
	case "PutItem":
		return write{op: memory.OpCreate}, request.Item, nil
	case "DeleteItem":
		return write{op: memory.OpDelete, gone: true}, request.Key, nil
	}
	w.op = operation(request.UpdateExpression)
	if c.Status == 0 {
		return w, request.Key, nil
	}
	err = json.Unmarshal(c.Answer, &answer)
	return w, answer.Attributes, err
}

// operation tells by what an update changes which of the operations of a lease.Store it is.
func operation(expression string) string {
	what := map[string]string{} // the clause of each attribute
	clause := ""
	for _, word := range strings.Fields(expression) {
		switch {
		case word == "SET" || word == "REMOVE" || word == "ADD":
			clause = word
		case strings.HasPrefix(word, "#"):
			what[strings.Trim(word, "#,")] = clause
		}
	}
	owner, counter, asked := what["leaseOwner"], what["leaseCounter"], what["checkpointOwner"]
	switch {
	case counter == "ADD":
		return memory.OpAssign
	case asked == "SET":
		return memory.OpAsk
	case owner == "SET" && asked == "REMOVE":
		return memory.OpTake
	case owner != "" || asked == "REMOVE":
		return memory.OpRelease
	case counter == "SET":
		return memory.OpRenew
	default:
		return memory.OpDescribe
	}
}

// lease reads a row, without Shoal's own code.
func (it item) lease() (l lease.Lease, err error) {
	l = lease.Lease{
		Key: it["leaseKey"].S, Shard: it["leaseKey"].S, Owner: it["leaseOwner"].S, CheckpointOwner: it["checkpointOwner"].S,
		Parents: it["parentShardId"].SS, Children: it["childShardIds"].SS,
	}
	number := func(attr string) int64 {
		n, e := strconv.ParseInt(cmp.Or(it[attr].N, "0"), 10, 64)
		if e != nil {
			err = fmt.Errorf("row %s: %s: %w", l.Key, attr, e)
		}
		return n
	}
	l.Counter, l.OwnerSwitches = number("leaseCounter"), number("ownerSwitchesSinceCheckpoint")
	if sub, at := number("checkpointSubSequenceNumber"), it["checkpoint"].S; at != "" && err == nil {
		l.Checkpoint, err = record.ParsePosition(at, uint64(sub))
	}
	if from, to := it["startingHashKey"].S, it["endingHashKey"].S; from != "" && to != "" && err == nil {
		l.Range = &record.HashKeyRange{}
		if l.Range.Start, err = record.ParseHashKey(from); err == nil {
			l.Range.End, err = record.ParseHashKey(to)
		}
	}
	return l, err
}

// restarted takes in the rows as they are after a restart of the server.
func (t *table) restarted(items []map[string]types.AttributeValue) error {
	s := snapshot{at: time.Now(), rows: map[string]lease.Lease{}}
	for _, it := range items {
		if _, ok := it["checkpoint"]; !ok {
			continue // the leader, members, and so on
		}
		row := item{}
		for attr, v := range it {
			switch v := v.(type) {
			case *types.AttributeValueMemberS:
				row[attr] = value{S: v.Value}
			case *types.AttributeValueMemberN:
				row[attr] = value{N: v.Value}
			case *types.AttributeValueMemberSS:
				row[attr] = value{SS: v.Value}
			}
		}
		l, err := row.lease()
		if err != nil {
			return err
		}
		s.rows[l.Key] = l
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.snapshots = append(t.snapshots, s)
	return nil
}
