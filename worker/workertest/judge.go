package workertest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/shoal-stream/shoal/record"
)

// judge looks, once everything has ended, at what is left.
func (h *history) judge() {
	time.Sleep(5 * time.Second) // for goroutines that end with a context
	h.leaks()
	b := h.book
	b.mu.Lock()
	defer b.mu.Unlock()
	b.judgeStuck(h.all)
	b.judgeLost()
	b.judgeEarly()
	b.judgeDropped()
	if !h.o.AnyOrder {
		b.judgeOrder()
	}
	if h.o.ExactlyOnce {
		b.judgeRepeats()
	}
}

// judgeStuck looks for shards that did not come to their end.
func (b *book) judgeStuck(all []*Process) {
	for _, id := range slices.Sorted(maps.Keys(b.shards)) {
		s := b.shards[id]
		if len(s.records) == 0 || s.checkpoint == record.ShardEnd {
			continue
		}
		text := fmt.Sprintf("  %s did not come to its end within %v without any trouble: its checkpoint is %s, of %d records.", id, quiet, b.behind(id, s.checkpoint), len(s.records))
		for _, p := range all {
			p.mu.Lock()
			if c := p.sessions[id]; c != nil && c.running() != "" {
				text += fmt.Sprintf("\n  It is in %s.", c.where(c.running()))
			}
			p.mu.Unlock()
		}
		if s.lastErr != "" {
			text += fmt.Sprintf("\n  Its last error, at %.3fs: %.500s", s.lastErrAt.Seconds(), s.lastErr)
		}
		var line *entry
		if n := s.upTo(s.checkpoint); n < len(s.records) {
			line = s.records[n]
			text += "\n" + b.timeline(line, len(b.events))
		}
		b.add(Problem{Kind: "stuck", Count: 1, Text: text})
	}
}

// judgeLost looks for records that were checkpointed and never took effect. Those of a shard that is stuck wait.
func (b *book) judgeLost() {
	var lost []*entry
	for _, e := range b.records {
		if len(e.effects) == 0 && e.covered != nil && !e.Dropped {
			lost = append(lost, e)
		}
	}
	if len(lost) == 0 {
		return
	}
	e := first(lost, func(e *entry) bool { return !e.covered.end })
	advice := "A checkpoint says that a record and all before it are done: checkpoint, or mark, a record after its effect."
	until := e.covered.event
	if e.covered.end {
		advice = fmt.Sprintf("When Finish returns nil for the end of a shard, all of its records must have taken effect: flush before.\n  %s", adviceDropped)
	}
	for !e.covered.end && until < len(b.events) { // up to where the next processor leaves it out
		if until++; b.events[until-1].begin && b.events[until-1].shard == e.shard {
			break
		}
	}
	b.tell("lost", lost, e, until, fmt.Sprintf("was checkpointed %.3fs after the start by %s, and never took effect.", e.covered.at.Seconds(), e.covered.worker), advice)
}

const adviceDropped = "(A record that is left out on purpose is one with Record.Dropped.)"

// judgeEarly looks for records that took effect only after a checkpoint that covered them.
func (b *book) judgeEarly() {
	var early []*entry
	for _, e := range b.records {
		if e.covered != nil && e.covered.effects == 0 && len(e.effects) > 0 && !e.Dropped {
			early = append(early, e)
		}
	}
	if len(early) == 0 {
		return
	}
	e := early[0]
	b.tell("checkpointed too early", early, e, e.effects[0].event, fmt.Sprintf("was checkpointed by %s %v before it took effect.", e.covered.worker, e.effects[0].at-e.covered.at),
		"A crash between the two loses it. Checkpoint, or mark, a record after its effect.")
}

// judgeDropped looks for records that should have had no effect.
func (b *book) judgeDropped() {
	var wrong []*entry
	for _, e := range b.records {
		if e.Dropped && len(e.effects) > 0 {
			wrong = append(wrong, e)
		}
	}
	if len(wrong) > 0 {
		b.tell("unexpected effect", wrong, wrong[0], wrong[0].effects[0].event, "was to be dropped and took effect.", "")
	}
}

// judgeOrder looks for records of a key that took effect before one that had been put before. Only first effects count:
// what is repeated has been there already. Within one call there is no order.
func (b *book) judgeOrder() {
	var wrong []*entry
	newest := map[string]*entry{} // the record of the key with the latest first effect so far
	var overtook *entry
	for _, e := range b.records {
		if len(e.effects) == 0 || e.Dropped {
			continue
		}
		last := newest[e.Key]
		if last == nil || e.effects[0].call >= last.effects[0].call {
			newest[e.Key] = e
			continue
		}
		overtook = cmp.Or(overtook, e)
		if !slices.Contains(wrong, last) {
			wrong = append(wrong, last)
		}
	}
	if overtook == nil {
		return
	}
	e := wrong[0]
	b.tell("out of order", wrong, e, e.effects[0].event, fmt.Sprintf("of key %q took effect at %.3fs, after %s of the same key, which was put later and took effect at %.3fs.", e.Key, e.effects[0].at.Seconds(), overtook.name(), overtook.effects[0].at.Seconds()),
		"Records of a key come in order: do not begin one before the one ahead of it has taken effect, also after an error\n  (worker.ByKey does that). If the order does not matter, say Options.AnyOrder.")
}

// judgeRepeats looks for records that took effect more than once.
func (b *book) judgeRepeats() {
	var twice []*entry
	for _, e := range b.records {
		if len(e.effects) > 1 {
			twice = append(twice, e)
		}
	}
	if len(twice) == 0 {
		return
	}
	e := twice[0]
	b.tell("repeated", twice, e, e.effects[1].event, fmt.Sprintf("took effect %d times, the second after: %s.", len(e.effects), cause(e.effects[0], e.effects[1])),
		"Records come at least once. An effect is exactly once where the outside refuses what it has had: by a key of the\n  record, or by a position that it stores in the same transaction and compares (Config.StartAt).")
}

// tooLate tells of an effect by a former owner.
func (b *book) tooLate(e *entry, f effect, s *shardBook, other bool, begun time.Time) {
	text := fmt.Sprintf("took effect by a call that %s began %v after its context had ended (%s)", f.process, begun.Sub(f.session.endedAt()).Round(time.Millisecond), f.session.why())
	if other && s.holder != "" {
		text += fmt.Sprintf("; the shard was %s's by then", s.holder)
	}
	b.tell("late effect", []*entry{e}, e, f.event, text+".",
		"Give the context of ProcessRecords, or of Shard.Go, to every call, and leave no goroutine at work that Finish does\n  not wait for.")
}

// tell reports records with one of them as the example.
func (b *book) tell(kind string, all []*entry, e *entry, until int, what, advice string) {
	text := fmt.Sprintf("  %s %s\n%s", upper(e.name()), what, b.timeline(e, until))
	if n := len(all) - 1; n > 0 {
		text += fmt.Sprintf("\n  %d more of this kind in this history.", n)
	}
	if advice != "" {
		text += "\n  " + advice
	}
	b.add(Problem{Kind: kind, Record: e.ID, Count: len(all), Text: text})
}

// first is the first entry that meets a condition, else the first.
func first(all []*entry, ok func(*entry) bool) *entry {
	if i := slices.IndexFunc(all, ok); i >= 0 {
		return all[i]
	}
	return all[0]
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func indent(s string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n    ")
}

// listed is a map of counts for people.
func listed(counts map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[name], name))
	}
	return strings.Join(parts, ", ")
}
