package checkpoint

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/shoal-stream/shoal/record"
)

func at(n string) record.Position { return record.At(record.SequenceNumber(n), 0) }

func TestCheckpointsLieBetweenTheStoredOneAndWhatWasHandedOver(t *testing.T) {
	for _, c := range []struct {
		name  string
		do    func(*Ledger)
		p     record.Position
		store bool
		error string
	}{
		{"before anything was handed over", func(*Ledger) {}, at("11"), false, "no records beyond 10 were handed over"},
		{"the stored one again", func(*Ledger) {}, at("10"), false, ""},
		{"behind the stored one", func(l *Ledger) { l.Give(at("20")) }, at("9"), false, "behind the stored checkpoint; accepted: 10 to 20"},
		{"within a batch in process", func(l *Ledger) { l.Give(at("20")) }, at("15"), true, ""},
		{"a sub-record within it", func(l *Ledger) { l.Give(record.At("20", 7)) }, record.At("20", 3), true, ""},
		{"a sub-record beyond it", func(l *Ledger) { l.Give(record.At("20", 7)) }, record.At("20", 8), false, "beyond the records handed over; accepted: 10 to 20/7"},
		{"beyond a batch", func(l *Ledger) { l.Give(at("20")) }, at("21"), false, "beyond the records handed over"},
		{"numbers are compared as numbers", func(l *Ledger) { l.Give(at("100")) }, at("99"), true, ""},
		{"a batch that failed", func(l *Ledger) { l.Give(at("20")); l.Fail() }, at("15"), false, "no records beyond 10"},
		{"the batch before one that failed", func(l *Ledger) { l.Give(at("20")); l.Done(); l.Give(at("30")); l.Fail() }, at("20"), true, ""},
		{"a batch that failed and is delivered again", func(l *Ledger) { l.Give(at("20")); l.Fail(); l.Give(at("20")) }, at("20"), true, ""},
		{"behind the stored one in a batch that comes again", func(l *Ledger) { l.Give(at("20")); l.Stored(at("15")); l.Fail(); l.Give(at("20")) }, at("12"), false, ""},
		{"beyond what was stored when the batch failed", func(l *Ledger) { l.Give(at("20")); l.Fail(); l.Give(at("20")); l.Stored(at("15")) }, at("12"), false, "behind the stored checkpoint"},
		{"behind the stored one in a new processor", func(l *Ledger) { l.Restart(); l.Give(at("7")) }, at("7"), false, ""},
		{"what the processor before was given", func(l *Ledger) { l.Give(at("20")); l.Done(); l.Restart() }, at("15"), false, "no records beyond 10"},
		{"what the processor before was given, after an error", func(l *Ledger) { l.Give(at("20")); l.Done(); l.Restart(); l.Give(at("12")); l.Fail() }, at("15"), false, "no records beyond 10"},
		{"TRIM_HORIZON", func(l *Ledger) { l.Give(at("20")) }, record.TrimHorizon, false, "want the sequence number of a record"},
		{"SHARD_END", func(l *Ledger) { l.Give(at("20")) }, record.ShardEnd, false, "want the sequence number of a record"},
		{"no position", func(l *Ledger) { l.Give(at("20")) }, record.Position{}, false, "want the sequence number of a record"},
		{"one that a former owner prepared", func(l *Ledger) { l.Inherit(at("50")) }, at("50"), true, ""},
		{"a dead letter", func(l *Ledger) { l.Give(at("11")); l.Fail(); l.Bury(at("11")) }, at("11"), true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := NewLedger(at("10"))
			c.do(l)
			store, err := l.Check(c.p)
			if store != c.store {
				t.Errorf("store = %v, want %v", store, c.store)
			}
			if c.error == "" {
				if err != nil {
					t.Errorf("error %v, want none", err)
				}
				return
			}
			var rangeErr *RangeError
			if !errors.Is(err, ErrRange) || !errors.As(err, &rangeErr) || !strings.Contains(err.Error(), c.error) {
				t.Errorf("error %q, want a RangeError with %q", err, c.error)
			}
		})
	}
}

func TestAFailedBatchTakesItsMarksBack(t *testing.T) {
	l := NewLedger(record.TrimHorizon)
	l.Give(at("20"))
	l.Done()
	l.Give(at("30"))
	if err := l.Mark(at("25")); err != nil {
		t.Fatal(err)
	}
	l.Fail()
	if got := l.Marked(); got != at("20") {
		t.Errorf("marked %v after the failure, want 20, the end of the batch before", got)
	}
	if err := l.Mark(at("25")); !errors.Is(err, ErrRange) {
		t.Errorf("Mark within the failed batch = %v, want ErrRange", err)
	}
}

func TestMarksGoForwardAndEndWhenStored(t *testing.T) {
	l := NewLedger(record.TrimHorizon)
	l.Give(at("30"))
	for _, n := range []string{"12", "20", "15"} {
		if err := l.Mark(at(n)); err != nil {
			t.Fatal(err)
		}
	}
	if got := l.Marked(); got != at("20") {
		t.Errorf("marked %v, want 20", got)
	}
	l.Stored(at("20"))
	if got := l.Marked(); !got.IsZero() {
		t.Errorf("marked %v after it was stored, want none", got)
	}
	l.Stored(at("11"))
	if got := l.Checkpoint(); got != at("20") {
		t.Errorf("checkpoint went back to %v", got)
	}
}

// A buried record is marked only if the processor has said that all before it is done: a processor that buffers would
// lose its buffer otherwise.
func TestADeadLetterIsMarkedOnlyBehindWhatIsDone(t *testing.T) {
	l := NewLedger(record.TrimHorizon)
	l.Give(at("20"))
	l.Done()
	l.Give(at("21"))
	l.Fail()
	if got := l.Bury(at("21")); !got.IsZero() {
		t.Errorf("marked %v though 20 was never checkpointed", got)
	}
	l.Stored(at("21"))
	l.Give(at("22"))
	l.Fail()
	if got := l.Bury(at("22")); got != at("22") {
		t.Errorf("marked %v, want 22: all before it is stored", got)
	}
}

func TestPreparedCommitsItself(t *testing.T) {
	var committed *Prepared
	p := NewPrepared(at("7"), []byte("s"), func(_ context.Context, p *Prepared) error { committed = p; return nil })
	if err := p.Checkpoint(t.Context()); err != nil || committed != p {
		t.Errorf("Checkpoint = %v, committed %v", err, committed)
	}
}
