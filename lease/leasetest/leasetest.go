// Package leasetest is what every lease.Store must do, as a test to call:
//
//	func TestStore(t *testing.T) {
//		leasetest.Run(t, func(t *testing.T) lease.Store { return newStore(t) })
//	}
package leasetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

// Run tests the stores that open gives, each of which must be empty and its own. It waits for nothing but the stores.
func Run(t *testing.T, open func(t *testing.T) lease.Store) {
	for name, test := range map[string]func(t *testing.T, s lease.Store){
		"open can be repeated":                       testOpenAgain,
		"rows come back as they were created":        testRoundTrip,
		"create":                                     testCreate,
		"list reads all pages":                       testList,
		"changes":                                    testChanges,
		"every condition":                            testConditions,
		"one of many wins":                           testRace,
		"an ended context":                           testContext,
		"invalid rows and changes":                   testInvalid,
		"a hand-over from beginning to end":          testHandOver,
		"a keeper settles each lost answer":          testKeeper,
		"rows of several streams stay apart":         testStreams,
		"describe leaves heartbeats undisturbed":     testDescribe,
		"a survey sees rows and members":             testSurvey,
		"members":                                    testMembers,
		"who owns what":                              testOwned,
		"the leader's lock":                          testLock,
		"one of many leads":                          testElection,
		"migrations":                                 testMigrations,
		"invalid things of a fleet":                  testFleetInvalid,
		"an ended context of a fleet":                testFleetContext,
		"each write of a fleet may fail in two ways": testFleetFaults,
		"the first item of a migration":              testFirstMigration,
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			if err := s.Open(t.Context()); err != nil {
				t.Fatalf("Open: %v", err)
			}
			test(t, s)
		})
	}
}

func seq(n int) record.Position { return record.At(record.SequenceNumber(fmt.Sprint(n)), 0) }

// put makes the row key as l says, by the writes of a Store alone. The counter of l is the number of writes.
func put(t *testing.T, s lease.Store, l lease.Lease) lease.Lease {
	t.Helper()
	owner, holder := l.Owner, l.Holder()
	l.Owner, l.CheckpointOwner = "", ""
	if l.Shard == "" {
		l.Shard = l.Key
	}
	if l.Checkpoint.IsZero() {
		l.Checkpoint = record.TrimHorizon
	}
	if err := s.Create(t.Context(), l); err != nil {
		t.Fatalf("Create: %v", err)
	}
	row := get(t, s, l.Key)
	var err error
	if holder != "" {
		if row, err = s.Take(t.Context(), row, holder); err != nil {
			t.Fatalf("Take: %v", err)
		}
	}
	if owner != holder {
		if row, err = s.Ask(t.Context(), row, owner); err != nil {
			t.Fatalf("Ask: %v", err)
		}
	}
	return row
}

func get(t *testing.T, s lease.Store, key string) lease.Lease {
	t.Helper()
	l, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return l
}

// same fails the test unless the rows are equal; the order of parents and children does not count.
func same(t *testing.T, what string, got, want lease.Lease) {
	t.Helper()
	if !equal(got, want) {
		t.Errorf("%s:\n got %s\nwant %s", what, show(got), show(want))
	}
}

func equal(a, b lease.Lease) bool {
	members := func(x, y []string) bool {
		return slices.Equal(slices.Sorted(slices.Values(x)), slices.Sorted(slices.Values(y)))
	}
	return a.Key == b.Key && a.Stream == b.Stream && a.Shard == b.Shard && a.Owner == b.Owner &&
		a.CheckpointOwner == b.CheckpointOwner && a.Counter == b.Counter && a.OwnerSwitches == b.OwnerSwitches &&
		a.Checkpoint == b.Checkpoint && a.StartTime.Equal(b.StartTime) && a.Pending == b.Pending &&
		bytes.Equal(a.PendingState, b.PendingState) && members(a.Parents, b.Parents) && members(a.Children, b.Children) &&
		(a.Range == nil) == (b.Range == nil) && (a.Range == nil || *a.Range == *b.Range) &&
		(a.ThroughputKBps == nil) == (b.ThroughputKBps == nil) && (a.ThroughputKBps == nil || *a.ThroughputKBps == *b.ThroughputKBps)
}

func show(l lease.Lease) string {
	kbps, hashes := "?", "?"
	if l.ThroughputKBps != nil {
		kbps = fmt.Sprint(*l.ThroughputKBps)
	}
	if l.Range != nil {
		hashes = l.Range.String()
	}
	return fmt.Sprintf("%q of %q/%q, owner %q (%q), counter %d, switches %d, at %v from %v, pending %v %d bytes, parents %v, children %v, hashes %s, KB/s %s",
		l.Key, l.Stream, l.Shard, l.Owner, l.CheckpointOwner, l.Counter, l.OwnerSwitches, l.Checkpoint, l.StartTime,
		l.Pending, len(l.PendingState), l.Parents, l.Children, hashes, kbps)
}

func testOpenAgain(t *testing.T, s lease.Store) {
	want := put(t, s, lease.Lease{Key: "a"})
	if err := s.Open(t.Context()); err != nil {
		t.Fatalf("Open again: %v", err)
	}
	same(t, "after it the row", get(t, s, "a"), want)
}

func full() lease.Lease {
	kbps := 12.345678
	return lease.Lease{
		Key: "123456789012:quakes:1700000000:shardId-000000000007", Stream: "123456789012:quakes:1700000000",
		Shard: "shardId-000000000007", Checkpoint: record.At("49600000000000000000000000000000000000000000000000000001", 17),
		Pending:      record.At("49600000000000000000000000000000000000000000000000000002", 3),
		PendingState: []byte{0, 1, 255}, Parents: []string{"shardId-000000000001", "shardId-000000000002"},
		Children: []string{"shardId-000000000008"}, Range: &record.HashKeyRange{Start: record.HashKey{Hi: 1 << 63}, End: record.MaxHashKey},
		ThroughputKBps: &kbps,
	}
}

func testRoundTrip(t *testing.T, s lease.Store) {
	rows := []lease.Lease{full(), {Key: "plain", Shard: "plain", Checkpoint: record.TrimHorizon}}
	rows = append(rows, lease.Lease{Key: "late", Shard: "late", Checkpoint: record.Latest, StartTime: time.UnixMilli(1_700_000_000_123)})
	rows = append(rows, lease.Lease{Key: "done", Shard: "done", Checkpoint: record.ShardEnd, Range: &record.FullRange})
	for _, want := range rows {
		if err := s.Create(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		same(t, "the row", get(t, s, want.Key), want)
	}
	listed, err := s.List(t.Context())
	if err != nil || len(listed) != len(rows) {
		t.Fatalf("List gave %d rows and %v, want %d", len(listed), err, len(rows))
	}
	for _, want := range rows {
		i := slices.IndexFunc(listed, func(l lease.Lease) bool { return l.Key == want.Key })
		if i < 0 {
			t.Fatalf("%s is not listed", want.Key)
		}
		same(t, "the listed row", listed[i], want)
	}
	// The moment of AT_TIMESTAMP is not stored with it.
	if err := s.Create(t.Context(), lease.Lease{Key: "at", Shard: "at", Checkpoint: record.AtTimestamp(time.UnixMilli(5))}); err != nil {
		t.Fatal(err)
	}
	if l := get(t, s, "at"); l.Checkpoint.Kind() != record.KindAtTimestamp {
		t.Errorf("AT_TIMESTAMP came back as %v", l.Checkpoint)
	}
}

func testCreate(t *testing.T, s lease.Store) {
	l := lease.Lease{Key: "a", Shard: "a", Checkpoint: record.Latest, Counter: 7, OwnerSwitches: 3}
	if err := s.Create(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if got := get(t, s, "a"); got.Counter != 0 || got.OwnerSwitches != 0 {
		t.Errorf("a new row has counter %d and %d switches, want 0", got.Counter, got.OwnerSwitches)
	}
	l.Checkpoint = record.TrimHorizon
	if err := s.Create(t.Context(), l); !errors.Is(err, lease.ErrExists) {
		t.Errorf("Create again = %v, want ErrExists", err)
	}
	if got := get(t, s, "a"); got.Checkpoint != record.Latest {
		t.Errorf("Create again changed the row to %v", got.Checkpoint)
	}
	if _, err := s.Get(t.Context(), "b"); !errors.Is(err, lease.ErrNotFound) {
		t.Errorf("Get of no row = %v, want ErrNotFound", err)
	}
}

func testList(t *testing.T, s lease.Store) {
	if rows, err := s.List(t.Context()); err != nil || len(rows) != 0 {
		t.Fatalf("List of nothing = %d rows, %v", len(rows), err)
	}
	const n = 24 // of 100 KiB: more than two pages of a DynamoDB scan
	for i := range n {
		l := lease.Lease{Key: fmt.Sprint("s", i), Shard: fmt.Sprint("s", i), Checkpoint: record.TrimHorizon}
		l.Pending, l.PendingState = seq(i+1), bytes.Repeat([]byte{byte(i)}, 100<<10)
		if err := s.Create(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, l := range rows {
		seen[l.Key] = true
	}
	if len(rows) != n || len(seen) != n {
		t.Errorf("List gave %d rows, %d different ones, want %d", len(rows), len(seen), n)
	}
}

func testChanges(t *testing.T, s lease.Store) {
	kbps := 7.25
	started := lease.Lease{Key: "a", Checkpoint: record.Latest, StartTime: time.UnixMilli(5_000), Owner: "me"}
	prepared := lease.Lease{Key: "a", Checkpoint: seq(3), Pending: seq(5), PendingState: []byte("old"), Owner: "me", Parents: []string{"p"}}
	for i, test := range []struct {
		name   string
		before lease.Lease
		change lease.Change
	}{
		{"a plain renewal", started, lease.Change{}},
		{"a first checkpoint", started, lease.Change{Checkpoint: record.At("4", 2)}},
		{"a checkpoint removes a prepared one", prepared, lease.Change{Checkpoint: seq(5)}},
		{"a prepared checkpoint", started, lease.Change{Pending: record.At("9", 1), PendingState: []byte("x")}},
		{"a prepared checkpoint replaces another", prepared, lease.Change{Pending: seq(6), PendingState: []byte("new")}},
		{"a prepared checkpoint without state replaces one with", prepared, lease.Change{Pending: seq(6)}},
		{"a renewal leaves the prepared checkpoint", prepared, lease.Change{ThroughputKBps: &kbps}},
		{"the end", prepared, lease.Change{Checkpoint: record.ShardEnd, Children: []string{"c", "d"}, ThroughputKBps: &kbps}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.before.Key = fmt.Sprint(test.before.Key, i)
			before := put(t, s, test.before)
			want := test.change.Apply(before)
			want.Counter++
			got, err := s.Renew(t.Context(), before, "me", test.change)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "the row returned", got, want)
			same(t, "the row stored", get(t, s, before.Key), want)
		})
	}
}

func testRace(t *testing.T, s lease.Store) {
	seen := put(t, s, lease.Lease{Key: "a"})
	const n = 16
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { _, errs[i] = s.Take(t.Context(), seen, fmt.Sprint("w", i)) })
	}
	wg.Wait()
	var winner string
	for i, err := range errs {
		switch {
		case err == nil && winner == "":
			winner = fmt.Sprint("w", i)
		case err == nil:
			t.Errorf("%s and w%d both took the lease", winner, i)
		case !errors.Is(err, lease.ErrConflict):
			t.Errorf("w%d failed with %v, want ErrConflict", i, err)
		}
	}
	if l := get(t, s, "a"); l.Owner != winner || winner == "" || l.Counter != 1 {
		t.Errorf("%q took it, and the row is %s", winner, show(l))
	}
}

func testContext(t *testing.T, s lease.Store) {
	row := put(t, s, lease.Lease{Key: "a", Owner: "me"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"List":   func() error { _, err := s.List(ctx); return err },
		"Get":    func() error { _, err := s.Get(ctx, "a"); return err },
		"Create": func() error { return s.Create(ctx, lease.Lease{Key: "b", Shard: "b", Checkpoint: record.Latest}) },
		"Renew":  func() error { _, err := s.Renew(ctx, row, "me", lease.Change{}); return err },
		"Delete": func() error { return s.Delete(ctx, row) },
	} {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with an ended context = %v, want context.Canceled", name, err)
		}
	}
	same(t, "the row", get(t, s, "a"), row)
}

func testInvalid(t *testing.T, s lease.Store) {
	for name, l := range map[string]lease.Lease{
		"no key":         {Shard: "a", Checkpoint: record.Latest},
		"no shard":       {Key: "a", Checkpoint: record.Latest},
		"no checkpoint":  {Key: "a", Shard: "a"},
		"bad checkpoint": {Key: "a", Shard: "a", Checkpoint: record.At("x", 0)},
	} {
		if err := s.Create(t.Context(), l); !errors.Is(err, lease.ErrInvalid) {
			t.Errorf("Create with %s = %v, want ErrInvalid", name, err)
		}
	}
	row := put(t, s, lease.Lease{Key: "a", Owner: "me"})
	for name, c := range map[string]lease.Change{
		"both checkpoints":         {Checkpoint: seq(1), Pending: seq(2)},
		"state without a position": {PendingState: []byte("x")},
		"a bad checkpoint":         {Checkpoint: record.At("01", 0)},
	} {
		if _, err := s.Renew(t.Context(), row, "me", c); !errors.Is(err, lease.ErrInvalid) {
			t.Errorf("Renew with %s = %v, want ErrInvalid", name, err)
		}
	}
	same(t, "the row", get(t, s, "a"), row)
}

func testHandOver(t *testing.T, s lease.Store) {
	row := put(t, s, lease.Lease{Key: "a", Owner: "old"})
	asked, err := s.Ask(t.Context(), row, "new")
	if err != nil {
		t.Fatal(err)
	}
	want := row.Clone()
	want.Owner, want.CheckpointOwner = "new", "old"
	same(t, "asked for", asked, want)
	// The old owner renews with what it knew before, finds the hand-over in the answer, and still checkpoints.
	renewed, err := s.Renew(t.Context(), row, "old", lease.Change{})
	if err != nil {
		t.Fatalf("Renew during the hand-over: %v", err)
	}
	want.Counter++
	same(t, "renewed", renewed, want)
	if renewed, err = s.Renew(t.Context(), renewed, "old", lease.Change{Checkpoint: seq(9)}); err != nil {
		t.Fatal(err)
	}
	given, err := s.Release(t.Context(), renewed, "old", "somebody else")
	if err != nil {
		t.Fatal(err)
	}
	want.CheckpointOwner, want.Checkpoint, want.Counter = "", seq(9), want.Counter+2
	same(t, "given", given, want)
	if _, err := s.Renew(t.Context(), renewed, "old", lease.Change{Checkpoint: seq(10)}); !errors.Is(err, lease.ErrConflict) {
		t.Errorf("the old owner checkpoints after the hand-over: %v", err)
	}
}

func testStreams(t *testing.T, s lease.Store) {
	for _, stream := range []string{"1:a:1", "1:b:1"} {
		put(t, s, lease.Lease{Key: stream + ":s", Stream: stream, Shard: "s"})
	}
	rows, err := s.List(t.Context())
	if err != nil || len(rows) != 2 || rows[0].Stream == rows[1].Stream {
		t.Errorf("List = %+v, %v", rows, err)
	}
	if l := get(t, s, "1:b:1:s"); l.Stream != "1:b:1" || l.Shard != "s" {
		t.Errorf("the row is %s", show(l))
	}
}

func testDescribe(t *testing.T, s lease.Store) {
	want := put(t, s, lease.Lease{Key: "a", Owner: "me"})
	r := record.HashKeyRange{Start: record.HashKey{Lo: 5}, End: record.HashKey{Hi: 9}}
	steps := []struct {
		children []string
		r        *record.HashKeyRange
	}{{nil, &r}, {[]string{"c", "d"}, nil}, {nil, nil}}
	for _, step := range steps {
		if err := s.Describe(t.Context(), "a", step.children, step.r); err != nil {
			t.Fatal(err)
		}
		if step.r != nil {
			want.Range = step.r
		}
		if step.children != nil {
			want.Children = step.children
		}
		same(t, "the row", get(t, s, "a"), want)
	}
	if err := s.Describe(t.Context(), "b", []string{"c"}, nil); !errors.Is(err, lease.ErrNotFound) {
		t.Errorf("Describe of no row = %v, want ErrNotFound", err)
	}
	if _, err := s.Get(t.Context(), "b"); !errors.Is(err, lease.ErrNotFound) {
		t.Errorf("it has made a row: %v", err)
	}
	if _, err := s.Renew(t.Context(), want, "me", lease.Change{}); err != nil {
		t.Errorf("Renew after Describe: %v", err)
	}
}
