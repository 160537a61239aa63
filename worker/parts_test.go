package worker

import (
	"slices"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/record"
)

func TestBudgetServesTheOldestClaimFirst(t *testing.T) {
	b := newBudget(100)
	b.free = 20
	var order []string
	want := func(name string) *claim {
		return &claim{budget: b, granted: func() { order = append(order, name) }}
	}
	want("large").make(90)
	want("small").make(10)
	if len(order) != 0 {
		t.Fatalf("granted %v while the budget is full", order)
	}
	b.release(75)
	if !slices.Equal(order, []string{"large"}) {
		t.Fatalf("granted %v, want the oldest alone", order)
	}
	b.release(5)
	if !slices.Equal(order, []string{"large", "small"}) || b.free != 0 {
		t.Errorf("granted %v, %d left, want both and nothing", order, b.free)
	}
}

func TestAClaimCanBeTakenBackWhetherItWasGrantedOrNot(t *testing.T) {
	b, granted := newBudget(100), 0
	first := &claim{budget: b, granted: func() { granted++ }}
	second := &claim{budget: b, granted: func() { granted++ }}
	first.make(1000)
	if granted != 1 || first.bytes != 100 {
		t.Fatalf("a claim larger than the budget got %d, want all 100", first.bytes)
	}
	second.make(1)
	second.withdraw()
	first.withdraw()
	first.withdraw()
	if granted != 1 || b.free != 100 || len(b.waiting) != 0 {
		t.Errorf("%d were granted, %d left, %d wait; want 1, all and none", granted, b.free, len(b.waiting))
	}
	first.make(50)
	first.settle(70) // the page is larger than was thought
	if b.free != 30 {
		t.Errorf("%d left beside a page of 70, want 30", b.free)
	}
}

func TestPacerLetsFiveReadsBeginInAnySecond(t *testing.T) {
	p := newPacer(5)
	now := time.Unix(100, 0)
	var begun []time.Time
	for range 20 {
		now = now.Add(p.wait(now))
		p.begin(now)
		begun = append(begun, now)
		now = now.Add(10 * time.Millisecond)
	}
	for i := 5; i < len(begun); i++ {
		if d := begun[i].Sub(begun[i-5]); d < time.Second {
			t.Errorf("six reads began within %v", d)
		}
	}
	if whole := begun[19].Sub(begun[0]); whole > 4*time.Second {
		t.Errorf("20 reads took %v, want no more waiting than needed", whole)
	}
	if p = newPacer(0); p.wait(now) != 0 {
		t.Errorf("a pacer without a limit waits %v", p.wait(now))
	}
}

func TestLagIsThatOfTheOldestPageThatIsNotProcessed(t *testing.T) {
	var l lag
	now := time.Unix(100, 0)
	l.fetched(pageLag{behind: 30 * time.Second, read: now, records: 10})
	l.fetched(pageLag{behind: 10 * time.Second, read: now.Add(time.Second), records: 10})
	if got := l.at(now.Add(5 * time.Second)); got != 35*time.Second {
		t.Errorf("lag %v, want 35s", got)
	}
	l.processed()
	if got := l.at(now.Add(5 * time.Second)); got != 14*time.Second {
		t.Errorf("lag %v after the first page, want 14s", got)
	}
	l.processed()
	l.fetched(pageLag{behind: 0, read: now.Add(6 * time.Second), records: 5})
	l.processed()
	if got := l.at(now.Add(time.Hour)); got != 0 {
		t.Errorf("lag %v at the tip, want 0", got)
	}
}

func TestThroughputAveragesOverIntervals(t *testing.T) {
	var r throughput
	now := time.Unix(100, 0)
	r.start(now, nil)
	r.add(10 << 10)
	if got := r.kbps(now.Add(10 * time.Second)); got != 1 {
		t.Errorf("first interval: %v KiB/s, want 1", got)
	}
	r.add(30 << 10)
	if got := r.kbps(now.Add(20 * time.Second)); got != 2 {
		t.Errorf("second interval: %v KiB/s, want (1+3)/2", got)
	}
	before := 8.0
	var s throughput
	s.start(now, &before)
	if got := s.kbps(now.Add(time.Second)); got != 4 {
		t.Errorf("a new owner begins with %v, want the row's 8 halved by an idle second", got)
	}
}

func TestFailingIsReportedAfterAMinuteAndMovedAfterFive(t *testing.T) {
	var f failing
	now := time.Unix(100, 0)
	for _, c := range []struct {
		after        time.Duration
		report, move bool
	}{
		{0, false, false}, {59 * time.Second, false, false}, {time.Minute, true, false}, {2 * time.Minute, false, false},
		{5 * time.Minute, false, true},
	} {
		if report, move := f.note(now.Add(c.after)); report != c.report || move != c.move {
			t.Errorf("after %v: report %v, move %v", c.after, report, move)
		}
	}
	f.clear()
	if report, move := f.note(now.Add(time.Hour)); report || move {
		t.Errorf("after a success: report %v, move %v", report, move)
	}
}

func TestStatesFollowThePicture(t *testing.T) {
	all := []State{0, WaitingForParents, Starting, Processing, Finishing, Released, Lost}
	allowed := map[State][]State{
		0:                 {WaitingForParents},
		WaitingForParents: {Starting, Released, Lost},
		Starting:          {Processing, Released, Lost},
		Processing:        {Starting, Finishing, Released, Lost},
		Finishing:         {Starting, Released, Lost},
	}
	for _, from := range all {
		for _, to := range all {
			want := false
			for _, s := range allowed[from] {
				want = want || s == to
			}
			if got := from.follows(to); got != want {
				t.Errorf("%v to %v: %v, want %v", from, to, got, want)
			}
		}
	}
}

func page(from, n int) []record.Record {
	records := make([]record.Record, n)
	for i := range records {
		records[i] = record.Record{SequenceNumber: record.SequenceNumber([]byte{'1', byte('0' + (from+i)/10), byte('0' + (from+i)%10)}), Data: []byte("12345"), PartitionKey: "k"}
	}
	return records
}

func TestCutterLeavesOutWhatIsDone(t *testing.T) {
	c := cutter{maxRecords: 10, maxBytes: 1 << 20, keys: record.FullRange, done: record.At("103", 0)}
	got := c.cut(&record.Page{Records: page(1, 5)})
	if len(got) != 2 || got[0].SequenceNumber != "104" {
		t.Fatalf("cut gave %d records beginning with %v, want 104 and 105", len(got), got)
	}
	if c.done != record.At("105", 0) {
		t.Errorf("done is %v, want 105", c.done)
	}
	if got := c.cut(&record.Page{Records: page(1, 5)}); len(got) != 0 {
		t.Errorf("the same page again gave %d records", len(got))
	}
}

func TestCutterKeepsToTheLimitsOfABatch(t *testing.T) {
	c := cutter{maxRecords: 3, maxBytes: 1 << 20}
	batch, rest := c.next(page(0, 7))
	if len(batch) != 3 || len(rest) != 4 {
		t.Errorf("by records: %d and %d", len(batch), len(rest))
	}
	c = cutter{maxRecords: 100, maxBytes: 13} // a record counts 6
	batch, rest = c.next(page(0, 7))
	if len(batch) != 2 || len(rest) != 5 {
		t.Errorf("by bytes: %d and %d", len(batch), len(rest))
	}
	c = cutter{maxRecords: 100, maxBytes: 1}
	if batch, _ = c.next(page(0, 7)); len(batch) != 1 {
		t.Errorf("a record larger than the limit: batch of %d, want it alone", len(batch))
	}
}
