package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/dynamo"
	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/record"
)

// A localTable is the table of layer 2: a real one on the server, over the AWS SDK. It tells of each write that was
// applied, also of those whose answer did not come: it then asks for the row. Writes must come one at a time.
type localTable struct {
	*dynamo.Store
	sender  func() sender // of the write that is being made
	written func(by sender, op string, before, after lease.Lease)

	mu     sync.Mutex // guards what follows
	rows   map[string]lease.Lease
	unsure map[string]doubt // by the key of a row
}

// A doubt is a write that may have changed a row.
type doubt struct {
	op string
	by sender
}

const tableName = "simulated"

func newLocalTable(l *local, from func() sender, written func(by sender, op string, before, after lease.Lease)) *localTable {
	store := dynamo.NewWith(dynamodb.NewFromConfig(l.config()), dynamo.Config{Table: tableName})
	return &localTable{Store: store, sender: from, written: written, rows: map[string]lease.Lease{}, unsure: map[string]doubt{}}
}

// Row is the row as it was last seen.
func (t *localTable) Row(key string) lease.Lease {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.rows[key]
	return l.Clone()
}

// known gives all rows as they were last seen.
func (t *localTable) known() []lease.Lease {
	t.mu.Lock()
	defer t.mu.Unlock()
	rows := make([]lease.Lease, 0, len(t.rows))
	for _, row := range t.rows {
		rows = append(rows, row.Clone())
	}
	slices.SortFunc(rows, func(a, b lease.Lease) int { return cmp.Compare(a.Key, b.Key) })
	return rows
}

// Create puts a new row.
func (t *localTable) Create(ctx context.Context, l lease.Lease) error {
	return t.settle(memory.OpCreate, l.Key, t.Store.Create(ctx, l))
}

// Renew writes c for the holder of a row.
func (t *localTable) Renew(ctx context.Context, held lease.Lease, worker string, c lease.Change) (lease.Lease, error) {
	row, err := t.Store.Renew(ctx, held, worker, c)
	return row, t.settle(memory.OpRenew, held.Key, err)
}

// Take makes worker the owner of a row.
func (t *localTable) Take(ctx context.Context, seen lease.Lease, worker string) (lease.Lease, error) {
	row, err := t.Store.Take(ctx, seen, worker)
	return row, t.settle(memory.OpTake, seen.Key, err)
}

// Ask begins a hand-over.
func (t *localTable) Ask(ctx context.Context, seen lease.Lease, worker string) (lease.Lease, error) {
	row, err := t.Store.Ask(ctx, seen, worker)
	return row, t.settle(memory.OpAsk, seen.Key, err)
}

// Assign moves a lease by force.
func (t *localTable) Assign(ctx context.Context, seen lease.Lease, worker string) (lease.Lease, error) {
	row, err := t.Store.Assign(ctx, seen, worker)
	return row, t.settle(memory.OpAssign, seen.Key, err)
}

// Release gives a held row away.
func (t *localTable) Release(ctx context.Context, held lease.Lease, worker, next string) (lease.Lease, error) {
	row, err := t.Store.Release(ctx, held, worker, next)
	return row, t.settle(memory.OpRelease, held.Key, err)
}

// Describe records a shard's children and range.
func (t *localTable) Describe(ctx context.Context, key string, children []string, r *record.HashKeyRange) error {
	return t.settle(memory.OpDescribe, key, t.Store.Describe(ctx, key, children, r))
}

// Delete removes a row.
func (t *localTable) Delete(ctx context.Context, seen lease.Lease) error {
	return t.settle(memory.OpDelete, seen.Key, t.Store.Delete(ctx, seen))
}

// settle finds out what a write of a row did, and returns err.
func (t *localTable) settle(op, key string, err error) error {
	if refusedWrite(err) || errors.Is(err, lease.ErrInvalid) || errors.Is(err, errNetwork) {
		return err
	}
	t.mu.Lock()
	t.unsure[key] = doubt{op, t.sender()}
	t.mu.Unlock()
	t.look(key)
	return err
}

// lookTimes bounds how often a row is asked for whose answers are lost: the power may be off.
const lookTimes = 50

// look asks for a row that a write may have changed. Without an answer it stays unsure.
func (t *localTable) look(key string) {
	for range lookTimes {
		row, err := t.Store.Get(background, key)
		if err == nil || errors.Is(err, lease.ErrNotFound) {
			t.note(key, row)
			return
		}
		if errors.Is(err, errNetwork) {
			return
		}
	}
}

// note takes in what a row is now.
func (t *localTable) note(key string, row lease.Lease) {
	t.mu.Lock()
	before, made := t.rows[key], t.unsure[key]
	delete(t.unsure, key)
	if row.Key == "" {
		delete(t.rows, key)
	} else {
		t.rows[key] = row.Clone()
	}
	t.mu.Unlock()
	if !reflect.DeepEqual(before, row) {
		t.written(made.by, made.op, before, row)
	}
}

// lookAgain asks for the rows that are unsure, once the power is on again.
func (t *localTable) lookAgain() {
	t.mu.Lock()
	keys := make([]string, 0, len(t.unsure))
	for key := range t.unsure {
		keys = append(keys, key)
	}
	t.mu.Unlock()
	slices.Sort(keys)
	for _, key := range keys {
		t.look(key)
	}
}

// compare reads all rows and returns those that are not as they were last seen: acknowledged writes that a power cut took.
func (t *localTable) compare() ([]string, error) {
	rows, err := t.Store.List(background)
	if err != nil {
		return nil, fmt.Errorf("read the rows: %w", err)
	}
	var wrong []string
	there := map[string]bool{}
	for _, row := range rows {
		there[row.Key] = true
		if was := t.Row(row.Key); !reflect.DeepEqual(was, row) {
			wrong = append(wrong, fmt.Sprintf("%s is %v, was %v", row.Key, row, was))
		}
	}
	for _, row := range t.known() {
		if !there[row.Key] {
			wrong = append(wrong, row.Key+" is missing")
		}
	}
	return wrong, nil
}
