package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/shoal-stream/shoal/integration/invariant"
	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/memory"
	"github.com/shoal-stream/shoal/record"
)

// A table is the way of one life to the table that the fleet shares.
type table struct{ *life }

var _ lease.Store = table{}

func refusedWrite(err error) bool {
	return errors.Is(err, lease.ErrConflict) || errors.Is(err, lease.ErrNotFound) || errors.Is(err, lease.ErrExists)
}

var errCapacity = fmt.Errorf("simulated: %w", lease.ErrThrottled)

// write and read carry one request.
func write[T any](ctx context.Context, l *life, op, key string, do func() (T, error)) (T, error) {
	return send(ctx, request{life: l, to: toTable, op: op, key: key, write: true}, errCapacity, do)
}

func read[T any](ctx context.Context, l *life, op, key string, do func() (T, error)) (T, error) {
	return send(ctx, request{life: l, to: toTable, op: op, key: key}, errCapacity, do)
}

type nothing struct{}

func writeOnly(ctx context.Context, l *life, op, key string, do func() error) error {
	_, err := write(ctx, l, op, key, func() (nothing, error) { return nothing{}, do() })
	return err
}

// background is the context of what happens at the service: it has arrived, whatever its sender does.
var background = context.Background()

func (t table) Open(ctx context.Context) error {
	_, err := read(ctx, t.life, memory.OpOpen, "", func() (nothing, error) { return nothing{}, nil })
	return err
}

func (t table) List(ctx context.Context) ([]lease.Lease, error) {
	rows, err := read(ctx, t.life, memory.OpList, "", func() ([]lease.Lease, error) { return t.world.store.List(background) })
	if err != nil {
		return nil, err
	}
	return t.view(rows)
}

func (t table) Survey(ctx context.Context) ([]lease.Lease, []lease.Member, error) {
	type both struct {
		rows    []lease.Lease
		members []lease.Member
	}
	b, err := read(ctx, t.life, memory.OpSurvey, "", func() (b both, err error) {
		b.rows, b.members, err = t.world.store.Survey(background)
		return b, err
	})
	if err != nil {
		return nil, nil, err
	}
	rows, err := t.view(b.rows)
	return rows, b.members, err
}

// view is a listing as an eventually consistent read shows it, without the damaged rows.
func (t table) view(rows []lease.Lease) ([]lease.Lease, error) {
	rows = t.world.stale(t.life, rows)
	damaged := t.world.damagedRows()
	if len(damaged) == 0 {
		return rows, nil
	}
	n := len(rows)
	rows = slices.DeleteFunc(rows, func(l lease.Lease) bool { return damaged[l.Key] })
	if len(rows) == n {
		return rows, nil
	}
	return rows, fmt.Errorf("simulated: %w", lease.ErrDamaged)
}

func (t table) Owned(ctx context.Context, worker string) ([]string, error) {
	keys, err := read(ctx, t.life, memory.OpOwned, worker, func() ([]string, error) { return t.world.store.Owned(background, worker) })
	if err != nil {
		return nil, err
	}
	return t.world.staleOwned(t.life, keys, worker), nil
}

func (t table) Get(ctx context.Context, key string) (lease.Lease, error) {
	row, err := read(ctx, t.life, memory.OpGet, key, func() (lease.Lease, error) { return t.world.store.Get(background, key) })
	if err == nil && t.world.damagedRows()[key] {
		return lease.Lease{}, fmt.Errorf("simulated: lease %s: %w", key, lease.ErrDamaged)
	}
	return row, err
}

func (t table) Create(ctx context.Context, l lease.Lease) error {
	return writeOnly(ctx, t.life, memory.OpCreate, l.Key, func() error { return t.world.store.Create(background, l) })
}

func (t table) Renew(ctx context.Context, held lease.Lease, worker string, c lease.Change) (lease.Lease, error) {
	return write(ctx, t.life, memory.OpRenew, held.Key, func() (lease.Lease, error) { return t.world.store.Renew(background, held, worker, c) })
}

func (t table) Take(ctx context.Context, seen lease.Lease, worker string) (lease.Lease, error) {
	r := request{life: t.life, to: toTable, op: memory.OpTake, key: seen.Key, owner: worker, write: true}
	return send(ctx, r, errCapacity, func() (lease.Lease, error) { return t.world.store.Take(background, seen, worker) })
}

func (t table) Ask(ctx context.Context, seen lease.Lease, worker string) (lease.Lease, error) {
	return write(ctx, t.life, memory.OpAsk, seen.Key, func() (lease.Lease, error) { return t.world.store.Ask(background, seen, worker) })
}

func (t table) Release(ctx context.Context, held lease.Lease, worker, next string) (lease.Lease, error) {
	return write(ctx, t.life, memory.OpRelease, held.Key, func() (lease.Lease, error) {
		return t.world.store.Release(background, held, worker, next)
	})
}

func (t table) Describe(ctx context.Context, key string, children []string, r *record.HashKeyRange) error {
	return writeOnly(ctx, t.life, memory.OpDescribe, key, func() error { return t.world.store.Describe(background, key, children, r) })
}

func (t table) Delete(ctx context.Context, seen lease.Lease) error {
	return writeOnly(ctx, t.life, memory.OpDelete, seen.Key, func() error { return t.world.store.Delete(background, seen) })
}

func (t table) Assign(ctx context.Context, seen lease.Lease, worker string) (lease.Lease, error) {
	return write(ctx, t.life, memory.OpAssign, seen.Key, func() (lease.Lease, error) { return t.world.store.Assign(background, seen, worker) })
}

func (t table) PutMember(ctx context.Context, m lease.Member) error {
	return writeOnly(ctx, t.life, memory.OpPutMember, m.Worker, func() error { return t.world.store.PutMember(background, m) })
}

func (t table) DeleteMember(ctx context.Context, seen lease.Member) error {
	return writeOnly(ctx, t.life, memory.OpDeleteMember, seen.Worker, func() error { return t.world.store.DeleteMember(background, seen) })
}

func (t table) Leader(ctx context.Context) (lease.Lock, error) {
	return read(ctx, t.life, memory.OpLeader, "", func() (lease.Lock, error) { return t.world.store.Leader(background) })
}

func (t table) PutLeader(ctx context.Context, seen, next lease.Lock) error {
	return writeOnly(ctx, t.life, memory.OpPutLeader, "", func() error {
		err := t.world.store.PutLeader(background, seen, next)
		if err == nil {
			t.world.ledBy(next.Owner)
		}
		return err
	})
}

func (t table) Beat(ctx context.Context, held, next lease.Lock) error {
	return writeOnly(ctx, t.life, memory.OpBeat, "", func() error { return t.world.store.Beat(background, held, next) })
}

func (t table) DeleteLeader(ctx context.Context, held lease.Lock) error {
	return writeOnly(ctx, t.life, memory.OpDeleteLeader, "", func() error { return t.world.store.DeleteLeader(background, held) })
}

func (t table) Migration(ctx context.Context, key lease.MigrationKey) (lease.Migration, error) {
	return read(ctx, t.life, memory.OpMigration, string(key), func() (lease.Migration, error) { return t.world.store.Migration(background, key) })
}

func (t table) PutMigration(ctx context.Context, seen, next lease.Migration) error {
	return writeOnly(ctx, t.life, memory.OpPutMigration, string(next.Key), func() error { return t.world.store.PutMigration(background, seen, next) })
}

// staleness is how old an eventually consistent read may be.
const staleness = 2 * time.Second

// A former is a row as it was until a moment.
type former struct {
	until time.Time
	row   lease.Lease
}

// A sender is whose request a write is; late says that it was given up before it was carried out.
type sender struct {
	request
	late bool
}

// sender is that of the write that is being made.
func (w *world) sender() sender { return sender{w.writer, w.writerLate} }

// written hears of each write that was applied, in their order.
func (w *world) written(op string, before, after lease.Lease) {
	w.writtenBy(w.sender(), op, before, after)
}

func (w *world) writtenBy(r sender, op string, before, after lease.Lease) {
	e := invariant.Event{Kind: invariant.Write, Op: op, Before: before, After: after, Sent: r.sent}
	if r.life != nil {
		e.Worker, e.Life = r.life.name, r.life.id
	} else {
		e.Op = invariant.ByHand
	}
	if r.late {
		e.Note = Late
	}
	row := after
	if row.Key == "" {
		row = before
	}
	e.Stream, e.Shard = w.streamOf(row.Stream), row.Shard
	w.add(e)
	w.mu.Lock()
	if after.Key == "" || after.Finished() {
		delete(w.watching.unfinished, row.Key)
	} else {
		w.watching.unfinished[row.Key] = true
	}
	w.mu.Unlock()
	if w.plan.on[Stale] {
		w.mu.Lock()
		w.formers[row.Key] = append(w.formers[row.Key], former{time.Now(), before})
		w.mu.Unlock()
	}
	w.watch(e, r.request)
}

// stale replaces rows by what they were a moment ago, and drops or adds those that came or went since.
func (w *world) stale(l *life, rows []lease.Lease) []lease.Lease {
	then, ok := w.then(l)
	if !ok {
		return rows
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	changed := false
	for key, formers := range w.formers {
		i := slices.IndexFunc(formers, func(f former) bool { return f.until.After(then) })
		if i < 0 {
			continue
		}
		changed = true
		rows = slices.DeleteFunc(rows, func(l lease.Lease) bool { return l.Key == key })
		if formers[i].row.Key != "" {
			rows = append(rows, formers[i].row.Clone())
		}
	}
	if changed {
		w.met[Stale]++
		slices.SortFunc(rows, func(a, b lease.Lease) int { return cmp.Compare(a.Key, b.Key) })
	}
	return rows
}

func (w *world) staleOwned(l *life, keys []string, worker string) []string {
	then, ok := w.then(l)
	if !ok {
		return keys
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, formers := range w.formers {
		i := slices.IndexFunc(formers, func(f former) bool { return f.until.After(then) })
		if i < 0 {
			continue
		}
		was, is := formers[i].row.Key != "" && formers[i].row.Owner == worker, slices.Contains(keys, key)
		switch {
		case was && !is:
			keys = append(keys, key)
		case is && !was:
			keys = slices.DeleteFunc(keys, func(k string) bool { return k == key })
		}
	}
	slices.Sort(keys)
	return keys
}

// then is the moment that a stale read shows; ok is false if it shows the present.
func (w *world) then(l *life) (t time.Time, ok bool) {
	if !w.plan.on[Stale] || l.dice.chance(0.5) {
		return t, false
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.calm {
		return t, false
	}
	for key, formers := range w.formers {
		i := slices.IndexFunc(formers, func(f former) bool { return now.Sub(f.until) < staleness })
		switch {
		case i < 0:
			delete(w.formers, key)
		case i > 0:
			w.formers[key] = formers[i:]
		}
	}
	return now.Add(-l.dice.upTo(staleness)), len(w.formers) > 0
}

func (w *world) damagedRows() map[string]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.damaged
}
