package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-stream/shoal/integration/check"
	"github.com/shoal-stream/shoal/localstream"
)

func TestTheDataIsAWeekInTheOrderOfTime(t *testing.T) {
	events, err := readEvents()
	if err != nil {
		t.Fatal(err)
	}
	networks := map[string]int{}
	for i, e := range events {
		networks[e.Network]++
		if i > 0 && e.Time.Before(events[i-1].Time) {
			t.Fatalf("event %d is older than the one before", i)
		}
	}
	if len(events) != 1707 || len(networks) != 12 || networks["ci"] != 386 {
		t.Errorf("%d events of %d networks, %d of ci; want 1707 of 12, and 386", len(events), len(networks), networks["ci"])
	}
}

func TestTheWholeShow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		began := time.Now()
		ok, err := run(t.Context(), options{json: true, pace: 35 * time.Second}, &out, 0)
		if err != nil || !ok {
			t.Fatalf("ok = %v, %v\n%s", ok, err, out.String())
		}
		if took := time.Since(began); took > 75*time.Second {
			t.Errorf("it took %v", took)
		}
		text := out.String()
		for _, want := range []string{"alerts-4 joins", "is split", "are merged", "crashes; it had shard 0", "M 6.4  22km NNE of Hualian, Taiwan", "ci 386  M 0.9"} {
			if !strings.Contains(text, want) {
				t.Errorf("the output lacks %q", want)
			}
		}
		lines := strings.Split(strings.TrimSpace(text), "\n")
		var got result
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil {
			t.Fatalf("last line: %v", err)
		}
		alerts, stats := got.Applications["alerts"], got.Applications["stats"]
		if got.Put != 1707 || !got.OK || alerts.Expected != 1707 || alerts.Processed != 1707 || stats.Processed != 1707 ||
			alerts.Workers != 4 || stats.Workers != 2 || stats.FailoverMS != 0 {
			t.Errorf("got %+v", got)
		}
		if alerts.FailoverMS < 5_000 || alerts.FailoverMS > 15_000 {
			t.Errorf("failover took %d ms; want the lease's 10 s, more or less", alerts.FailoverMS)
		}
		if t.Failed() {
			t.Log(text)
		}
	})
}

func TestTheVerdictShowsAPlantedLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := localstream.Open("", localstream.Options{Memory: true})
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Close()
		var out bytes.Buffer
		screen := newScreen(&out, 100)
		defer screen.close()
		p, err := newPlay(srv.AWSConfig(), 25*time.Second, screen)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		r, err := judge(t.Context(), p)
		if err != nil || !r.OK {
			t.Fatalf("before: %+v, %v\n%s", r, err, out.String())
		}
		log := p.stats.deliveries.Batches()
		p.stats.deliveries = check.Log{}
		for _, b := range log[1:] {
			p.stats.deliveries.Add(b)
		}
		if r, err = judge(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if stats := r.Applications["stats"]; r.OK || stats.Lost != len(log[0].Records) || !r.Applications["alerts"].OK() {
			t.Errorf("after a batch was taken out: %+v", r)
		}
		if s := r.sentence(); !strings.HasPrefix(s, "FAILED") {
			t.Errorf("the verdict in words is %q", s)
		}
	})
}

func TestTheFormOfTheVerdict(t *testing.T) {
	v := check.Verdict{Expected: 7, Processed: 6, Lost: 1, Repeated: 2, OutOfOrder: 3, ChildrenBeforeParents: 4}
	text, err := json.Marshal(result{Put: 7, Applications: map[string]outcome{"stats": {v, 12, 2}}, OK: true})
	want := `{"put":7,"applications":{"stats":{"expected":7,"processed":6,"lost":1,"repeated":2,"out_of_order":3,` +
		`"children_before_parents":4,"failover_ms":12,"workers":2}},"ok":true}`
	if err != nil || string(text) != want {
		t.Errorf("got %s, %v", text, err)
	}
}
