package worker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker/memstream"
)

func TestReshardsUnderLatestLoseNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 2, memstream.Options{})
		f.stream.Put("old", nil)
		pass(3 * time.Second)
		a, b := f.start("a", startAt(record.Latest)), f.start("b", startAt(record.Latest))
		pass(3 * time.Second)
		for second := range 60 {
			switch second {
			case 10:
				f.split(id(0)) // 2 and 3
			case 12:
				f.split(id(2)) // 4 and 5, before anybody has listed 2
			case 25:
				f.merge(id(3), id(1)) // 6
			case 26:
				f.merge(id(5), id(6)) // 7
			case 40:
				f.split(id(7))
			}
			for range 5 {
				f.put(2)
				pass(200 * time.Millisecond)
			}
		}
		f.all(20 * time.Second)
		stop(t, a, b)
		f.once()
		f.nothingElse()
	})
}

func TestAFreshGroupAtLatestReplaysNothingFromBeforeItsStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 2, memstream.Options{})
		old := func(n int) {
			for i := range n {
				f.stream.Put(fmt.Sprint("old-", i), nil)
			}
			time.Sleep(2 * time.Second)
		}
		old(100)
		lower, _ := f.split(id(0))
		old(100)
		f.split(lower)
		old(100)
		f.merge(id(1), id(3))
		old(100)
		a, b := f.start("a", startAt(record.Latest)), f.start("b", startAt(record.Latest))
		pass(3 * time.Second)
		f.put(50)
		f.split(id(6))
		f.put(50)
		f.all(15 * time.Second)
		stop(t, a, b)
		f.once()
		f.nothingElse()
	})
}

// The second worker finds only some of the rows that the first makes for its first listing.
func TestAFreshGroupAtLatestReplaysNothingWhileItsRowsAreBeingMade(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFleet(t, 2, memstream.Options{})
		var made tally
		f.store.Fault = func(_ context.Context, op, key string) (bool, error) {
			if op == "Create" && (key == id(2) || key == id(3)) {
				time.Sleep(time.Duration(1+made.add(key)) * time.Second) // 2 s the first's, 3 s the second's
			}
			return true, nil
		}
		f.stream.Put("old", nil)
		pass(time.Second)
		f.split(id(0))
		for i := range 100 {
			f.stream.Put(fmt.Sprint("old-", i), nil)
		}
		pass(3 * time.Second)
		a := f.start("a", startAt(record.Latest))
		pass(time.Second)
		b := f.start("b", startAt(record.Latest))
		f.put(50) // from here on nothing may be lost
		pass(4 * time.Second)
		f.put(50)
		f.all(15 * time.Second)
		stop(t, a, b)
		f.once()
		f.nothingElse()
	})
}

func TestARestartBeforeTheFirstCheckpointUnderLatestLosesNothing(t *testing.T) {
	for name, meanwhile := range map[string]func(*fleet){
		"records that were handed over and not checkpointed": func(f *fleet) { f.put(30); f.all(5 * time.Second) },
		"records put while nobody runs":                      func(*fleet) {},
		"a split while nobody runs":                          func(f *fleet) { f.put(10); f.split(id(0)) },
		"a merge while nobody runs":                          func(f *fleet) { f.put(10); f.merge(id(0), id(1)) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFleet(t, 2, memstream.Options{})
				f.stream.Put("old", nil)
				pass(3 * time.Second)
				a := f.start("a", config(startAt(record.Latest), f.logOnly("a")))
				pass(3 * time.Second)
				meanwhile(f)
				a.crash()
				f.log.given = nil // as if nobody had ever had them
				f.put(30)
				pass(time.Minute)
				b := f.start("b", startAt(record.Latest))
				f.all(15 * time.Second)
				stop(t, b)
				f.once()
				f.nothingElse()
			})
		})
	}
}
