package assign

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/record"
)

func TestLead(t *testing.T) {
	text, err := os.ReadFile("testdata/lead.txt")
	if err != nil {
		t.Fatal(err)
	}
	scenarios := strings.Split(string(text), "\n== ")[1:]
	if len(scenarios) < 40 {
		t.Fatalf("only %d scenarios", len(scenarios))
	}
	for _, scenario := range scenarios {
		name, rest, _ := strings.Cut(scenario, "\n")
		t.Run(name, func(t *testing.T) {
			seen, want, ok := strings.Cut(rest, "moves\n")
			if !ok {
				t.Fatal("no moves")
			}
			for seed := range uint64(5) {
				r, cfg := parseRound(t, seen)
				checkMoves(t, Lead(r, cfg, seed), want)
			}
		})
	}
}

func parseRound(t *testing.T, text string) (Round, Config) {
	r := Round{
		Still: make(map[string]time.Duration), Handing: make(map[string]time.Duration), alive: make(map[string]time.Duration),
		now: time.Unix(5000, 0),
	}
	var cfg Config
	for line := range strings.Lines(text) {
		switch words := strings.Fields(line); {
		case len(words) == 0:
		case words[0] == "count":
			cfg.ByCount = true
		case words[0] == "tight":
			cfg.NoOvershoot = true
		case words[0] == "max":
			cfg.MaxLeases = number(t, words[1])
		case words[0] == "most":
			cfg.MaxThroughputKBps = decimal(t, words[1])
		case words[0] == "back":
			r.alive[words[1]] = parseDuration(t, words[2])
		case words[0] == "worker":
			r.Alive = append(r.Alive, parseMember(t, words[1:]))
			r.alive[words[1]] = time.Hour
		default:
			parseRow(t, &r, words)
		}
	}
	return r, cfg
}

func parseMember(t *testing.T, words []string) lease.Member {
	m := lease.Member{Worker: words[0]}
	limit := false
	for _, word := range words[1:] {
		switch {
		case word == "C":
			m.Metrics, m.Limits = map[string][]float64{"C": nil}, map[string]float64{"C": 100}
		case word == "limit":
			limit = true
		case limit:
			m.Limits["C"] = decimal(t, word)
		default:
			m.Metrics["C"] = append(m.Metrics["C"], decimal(t, word))
		}
	}
	return m
}

func parseRow(t *testing.T, r *Round, words []string) {
	l := lease.Lease{Key: words[0], Shard: words[0], Owner: words[1], Checkpoint: record.TrimHorizon}
	if l.Owner == "-" {
		l.Owner = ""
	}
	p := past{ago: time.Hour}
	r.Still[l.Key] = time.Second
	for words = words[2:]; len(words) > 0; words = words[1:] {
		word := words[0]
		if word != "fresh" && word != "done" {
			words = words[1:]
		}
		switch word {
		case "of":
			l.CheckpointOwner = words[0]
		case "kbps":
			p.kbps, p.known = decimal(t, words[0]), true
		case "still":
			r.Still[l.Key] = parseDuration(t, words[0])
		case "handing":
			r.Handing[l.Key] = parseDuration(t, words[0])
		case "after":
			l.Parents = append(l.Parents, words[0])
		case "from":
			p.from, p.ago = words[0], time.Second
		case "fresh":
			p.fresh = true
		case "done":
			l.Checkpoint = record.ShardEnd
		default:
			t.Fatalf("lease %s: what is %q?", l.Key, word)
		}
	}
	r.Leases, r.past = append(r.Leases, l), append(r.past, p)
}

func decimal(t *testing.T, text string) float64 {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
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

// checkMoves compares m with lines such as "take s1>a s2>b" and "ask 2 a>b".
func checkMoves(t *testing.T, m Moves, text string) {
	t.Helper()
	got := map[string][]Move{"take": m.Take, "ask": m.Ask, "force": m.Force}
	unplaced, suspect := 0, false
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case words[0] == "unplaced":
			unplaced = number(t, words[1])
		case words[0] == "suspect":
			suspect = true
		case len(words) == 3 && !strings.Contains(words[1], ">"):
			from, to, _ := strings.Cut(words[2], ">")
			n, rest := 0, []Move(nil)
			for _, move := range got[words[0]] {
				if move.To == to && (move.Lease.Owner == from || from == "-" && move.Lease.Owner == "") {
					n++
				} else {
					rest = append(rest, move)
				}
			}
			if n != number(t, words[1]) {
				t.Errorf("%d of %s, want %s: %v", n, words[2], line, shown(got[words[0]]))
			}
			got[words[0]] = rest
		default:
			if have := shown(got[words[0]]); !slices.Equal(have, words[1:]) {
				t.Errorf("%s %v, want %v", words[0], have, words[1:])
			}
			got[words[0]] = nil
		}
	}
	for verb, rest := range got {
		if len(rest) > 0 {
			t.Errorf("%s also %v", verb, shown(rest))
		}
	}
	if m.Unplaced != unplaced || m.Suspect != suspect {
		t.Errorf("unplaced %d, suspect %v; want %d, %v", m.Unplaced, m.Suspect, unplaced, suspect)
	}
}

// shown are the moves as text, in order.
func shown(moves []Move) (texts []string) {
	for _, m := range moves {
		texts = append(texts, fmt.Sprintf("%s>%s", m.Lease.Key, m.To))
	}
	slices.Sort(texts)
	return texts
}

func TestLeadersWithOneSeedDecideTheSame(t *testing.T) {
	for seed := range uint64(3) {
		s := twenty(seed, seed > 0)
		var r Round
		for range 2 { // what is seen for the first time is left alone
			s.now = s.now.Add(simRound)
			s.live()
			r = s.leaders[0].Observe(s.leases, s.view().members, s.now, s.now)
		}
		first := Lead(r, Config{}, seed)
		if len(first.Ask) == 0 {
			t.Fatal("nothing to ask for")
		}
		for range 5 {
			if again := Lead(r, Config{}, seed); !slices.Equal(shown(first.Ask), shown(again.Ask)) {
				t.Fatalf("%d moves and then %d others", len(first.Ask), len(again.Ask))
			}
		}
	}
}
