package assign

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

func TestScenarios(t *testing.T) {
	text, err := os.ReadFile("testdata/decide.txt")
	if err != nil {
		t.Fatal(err)
	}
	scenarios := strings.Split(string(text), "\n== ")[1:]
	if len(scenarios) < 20 {
		t.Fatalf("only %d scenarios", len(scenarios))
	}
	for _, scenario := range scenarios {
		name, rest, _ := strings.Cut(scenario, "\n")
		t.Run(name, func(t *testing.T) {
			seen, want, ok := strings.Cut(rest, "plan\n")
			if !ok {
				t.Fatal("no plan")
			}
			for seed := range uint64(5) {
				s := parseSnapshot(t, seen)
				s.Seed = seed
				checkPlan(t, Decide(s), want)
			}
		})
	}
}

func parseSnapshot(t *testing.T, text string) Snapshot {
	s := Snapshot{
		Worker: "me", Duration: 10 * time.Second, Held: make(map[string]bool),
		Still: make(map[string]time.Duration), Moved: make(map[string]bool), Beats: make(map[string]int),
	}
	for line := range strings.Lines(text) {
		switch words := strings.Fields(line); {
		case len(words) == 0:
		case words[0] == "fresh":
			s.Fresh = true
		case words[0] == "max":
			s.MaxLeases = number(t, words[1])
		case words[0] == "quiet":
			s.Quiet = parseDuration(t, words[1])
		default:
			parseLease(t, &s, words)
		}
	}
	return s
}

func parseLease(t *testing.T, s *Snapshot, words []string) {
	l := lease.Lease{Key: words[0], Shard: words[0], Owner: words[1], Checkpoint: record.TrimHorizon}
	if l.Owner == "-" {
		l.Owner = ""
	}
	s.Still[l.Key] = time.Second
	for words = words[2:]; len(words) > 0; words = words[1:] {
		word := words[0]
		if slices.Contains([]string{"of", "still", "beats", "after"}, word) {
			words = words[1:]
		}
		switch word {
		case "of":
			l.CheckpointOwner = words[0]
		case "still":
			s.Still[l.Key] = parseDuration(t, words[0])
		case "beats":
			s.Beats[l.Key] = number(t, words[0])
		case "after":
			l.Parents = append(l.Parents, words[0])
		case "held":
			s.Held[l.Key] = true
		case "moved":
			s.Moved[l.Key] = true
		case "done":
			l.Checkpoint = record.ShardEnd
		default:
			t.Fatalf("lease %s: what is %q?", l.Key, word)
		}
	}
	s.Leases = append(s.Leases, l)
}

// checkPlan compares p with lines such as "take s1 s2", "ask 2 of s1 s2 s3", and "first s3" for what is taken first.
func checkPlan(t *testing.T, p Plan, text string) {
	t.Helper()
	keys := func(leases []lease.Lease) (keys []string) {
		for _, l := range leases {
			keys = append(keys, l.Key)
		}
		return keys
	}
	got := map[string][]string{"take": keys(p.Take), "ask": keys(p.Ask), "wanted": keys(p.Wanted), "twins": p.Twins}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		have, want := got[words[0]], words[1:]
		switch {
		case words[0] == "first":
			if len(p.Take) == 0 || p.Take[0].Key != want[0] {
				t.Errorf("takes %v, want %s first", keys(p.Take), want[0])
			}
			continue
		case len(want) > 1 && want[1] == "of":
			outside := func(key string) bool { return !slices.Contains(want[2:], key) }
			if len(have) != number(t, want[0]) || slices.ContainsFunc(have, outside) || len(slices.Compact(slices.Sorted(slices.Values(have)))) != len(have) {
				t.Errorf("%s %v, want %s", words[0], have, strings.Join(want, " "))
			}
		case !slices.Equal(slices.Sorted(slices.Values(have)), want):
			t.Errorf("%s %v, want %v", words[0], have, want)
		}
		delete(got, words[0])
	}
	for verb, have := range got {
		if len(have) > 0 && !strings.Contains(text, "\n"+verb+" ") {
			t.Errorf("%s %v, want none", verb, have)
		}
	}
}

func number(t *testing.T, text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func parseDuration(t *testing.T, text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAnAnswerDependsOnTheSnapshotAlone(t *testing.T) {
	var s Snapshot
	s.Worker, s.Duration = "me", 10*time.Second
	for i := range 200 {
		key := "s" + strconv.Itoa(i)
		l := lease.Lease{Key: key, Shard: key, Checkpoint: record.TrimHorizon}
		if i%4 != 0 {
			l.Owner = "w" + strconv.Itoa(i%7)
		}
		s.Leases = append(s.Leases, l)
	}
	first := Decide(s)
	for range 20 {
		again := Decide(s)
		if !slices.EqualFunc(first.Take, again.Take, func(a, b lease.Lease) bool { return a.Key == b.Key }) {
			t.Fatalf("takes %d and then %d others", len(first.Take), len(again.Take))
		}
	}
	if len(first.Take) == 0 {
		t.Error("nothing taken")
	}
}
