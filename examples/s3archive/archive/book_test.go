package archive

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/shoal-stream/shoal/record"
)

// A world is a model of everything around the book: a stream, a store that makes names once, a lease with a checkpoint
// that only its holder may move, and owners that read, cut, make objects and checkpoint, each when it likes. Owners that
// have lost the lease go on until they crash; requests may be lost, and so may answers; requests of those who have
// crashed may still arrive.
type world struct {
	outputs    []string // of each record; "" is dropped
	objects    map[string]thing
	checkpoint int // how many records are checkpointed
	holder     int // which owner holds the lease
	owners     []*owner
	late       []thing // requests under way whose sender is gone
	begun      int     // owners so far
	// noAdopt and noHold leave out the rules that the archive stands on: to take over the end of an object that is
	// there, and to hold the checkpoint back while such an end is ahead.
	noAdopt, noHold bool
}

// A thing is an object: the records that it holds, by number from 1.
type thing struct {
	key     string
	records []int
	by      int // who made it: owners count up, and no two have one number
}

// An owner is one tenure.
type owner struct {
	id   int
	book *book[int]
	read int // records handed in so far
	// unknown are objects of which the request was sent and no answer came.
	unknown map[string]thing
}

func pos(n int) record.Position {
	if n == 0 {
		return record.TrimHorizon
	}
	return record.At(record.SequenceNumber(fmt.Sprint(n)), 0)
}

func number(p record.Position) int {
	var n int
	if p.Kind() == record.KindSequence {
		fmt.Sscan(string(p.Sequence()), &n)
	}
	return n
}

func newWorld(outputs []string, owners int) *world {
	w := &world{outputs: outputs, objects: map[string]thing{}}
	for range owners {
		w.owners = append(w.owners, nil)
	}
	for i := range w.owners {
		w.begin(i)
	}
	return w
}

// begin lets a new owner in a place begin at the checkpoint, with the lease.
func (w *world) begin(i int) {
	if o := w.owners[i]; o != nil {
		for _, t := range o.unknown { // what it had sent may come later
			w.late = append(w.late, t)
		}
		slices.SortFunc(w.late, func(a, b thing) int { return strings.Compare(a.key, b.key) })
	}
	w.begun++
	w.owners[i] = &owner{id: w.begun, book: newBook[int](pos(w.checkpoint)), read: w.checkpoint, unknown: map[string]thing{}}
	w.holder = i
}

// An action is something that may happen now.
type action struct {
	name string
	do   func()
}

// actions are all that may happen now.
func (w *world) actions() []action {
	var all []action
	add := func(do func(), format string, args ...any) {
		all = append(all, action{fmt.Sprintf(format, args...), do})
	}
	for i, o := range w.owners {
		flying := o.book.flying()
		if o.read < len(w.outputs) {
			add(func() { w.next(o) }, "%d reads %d", i, o.read+1)
		}
		if len(flying) == 0 && o.book.behind() {
			add(func() { o.book.cut(record.Position{}) }, "%d cuts at %d", i, o.read)
		}
		for _, out := range flying {
			t := w.request(o, out)
			add(func() { w.put(o, out, t) }, "%d puts %v", i, t)
			if _, sent := o.unknown[t.key]; !sent {
				add(func() { w.create(t); o.unknown[t.key] = t }, "%d puts %v, the answer is lost", i, t)
				add(func() { o.unknown[t.key] = t }, "%d puts %v, the request is late", i, t)
			}
		}
		if at, ok := w.allowed(o); ok {
			add(func() { w.save(i, at) }, "%d checkpoints %d", i, number(at))
		}
		if w.holder != i {
			add(func() { w.begin(i) }, "%d is another owner now", i)
		}
	}
	for n, t := range w.late {
		add(func() { w.create(t); w.late = slices.Delete(slices.Clone(w.late), n, n+1) }, "late %v arrives", t)
	}
	return all
}

// next hands the next record to an owner.
func (w *world) next(o *owner) {
	o.read++
	if out := w.outputs[o.read-1]; out != "" {
		o.book.add(out, pos(o.read), o.read)
	} else {
		o.book.pass(pos(o.read))
	}
}

// request is the object that an owner would make now.
func (w *world) request(o *owner, out string) thing {
	t := thing{by: o.id}
	for _, e := range o.book.chains[out].flying {
		t.records = append(t.records, e.value)
	}
	t.key = fmt.Sprintf("%s/%d", out, t.records[0])
	return t
}

// create makes an object unless it is there, and returns the one that is there then.
func (w *world) create(t thing) thing {
	if there, ok := w.objects[t.key]; ok {
		return there
	}
	w.objects[t.key] = t
	return t
}

// put makes an object, and the owner hears the answer.
func (w *world) put(o *owner, out string, t thing) {
	there := w.create(t)
	delete(o.unknown, t.key)
	end := there.records[len(there.records)-1]
	if w.noAdopt && there.by != o.id {
		end = t.records[len(t.records)-1]
	}
	o.book.settle(out, pos(end))
}

// allowed is the checkpoint that an owner may store.
func (w *world) allowed(o *owner) (record.Position, bool) {
	if w.noHold {
		return o.book.cutAt, len(o.book.flying()) == 0 && o.book.cutAt.Compare(o.book.stored) > 0
	}
	return o.book.checkpoint()
}

// save stores a checkpoint if the owner holds the lease; one that does not holds no more.
func (w *world) save(i int, at record.Position) {
	if w.holder == i {
		w.checkpoint = number(at)
	}
	w.owners[i].book.store(at)
}

// finish lets one owner, begun at the checkpoint, do everything that is left.
func (w *world) finish() {
	w.begin(0)
	o := w.owners[0]
	for o.read < len(w.outputs) {
		w.next(o)
	}
	for range 2 * len(w.outputs) { // once is enough unless there is a hold
		o.book.cut(record.Position{})
		for flying := o.book.flying(); len(flying) > 0; flying = o.book.flying() {
			w.put(o, flying[0], w.request(o, flying[0]))
		}
		if at, ok := w.allowed(o); ok {
			w.save(0, at)
		}
		if w.checkpoint == len(w.outputs) {
			break
		}
	}
	for _, t := range w.late { // and what is late comes
		w.create(t)
	}
}

// wrong says what is wrong when all is done: a record that is in no object or in several, an object out of order, a
// checkpoint that stops short.
func (w *world) wrong() string {
	count := make([]int, len(w.outputs)+1)
	for _, t := range w.objects {
		for i, n := range t.records {
			count[n]++
			if i > 0 && n <= t.records[i-1] {
				return fmt.Sprintf("%v is out of order", t)
			}
		}
	}
	for n, out := range w.outputs {
		want := 1
		if out == "" {
			want = 0
		}
		if count[n+1] != want {
			return fmt.Sprintf("record %d is in %d objects: %v", n+1, count[n+1], w.objects)
		}
	}
	if w.checkpoint != len(w.outputs) {
		return fmt.Sprintf("the checkpoint stays at %d of %d", w.checkpoint, len(w.outputs))
	}
	return ""
}

// kinds are what records may be drawn from: one output, one and dropped records, several.
var kinds = [][]string{{"a"}, {"a", ""}, {"a", "b"}, {"a", "b", "c", ""}}

// draw plays a history drawn from t and says what is wrong with it.
func (w *world) draw(t *rapid.T) string {
	for range rapid.IntRange(0, 80).Draw(t, "steps") {
		all := w.actions()
		if len(all) == 0 {
			break
		}
		a := all[rapid.IntRange(0, len(all)-1).Draw(t, "action")]
		t.Log(a.name)
		a.do()
	}
	w.finish()
	return w.wrong()
}

// many lets rapid draw 1,500 histories unless a flag says otherwise.
func many(t *testing.T) {
	t.Helper()
	checks := flag.Lookup("rapid.checks").Value
	if before := checks.String(); before == "100" { // its default
		t.Cleanup(func() { checks.Set(before) })
		checks.Set("1500")
	}
}

// TestNoHistoryOfTwoOwnersLosesOrRepeatsARecord draws histories of two owners with one to three outputs, lost requests
// and answers, late requests, and crashes before and after checkpoints.
func TestNoHistoryOfTwoOwnersLosesOrRepeatsARecord(t *testing.T) {
	many(t)
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(rapid.SliceOfN(rapid.SampledFrom(rapid.SampledFrom(kinds).Draw(t, "outputs")), 1, 12).Draw(t, "records"), 2)
		if wrong := w.draw(t); wrong != "" {
			t.Fatal(wrong)
		}
	})
}

// TestTheModelSeesWhenARuleIsLeftOut shows that the histories are hard enough: without either rule some of them go
// wrong.
func TestTheModelSeesWhenARuleIsLeftOut(t *testing.T) {
	for name, leave := range map[string]func(w *world){
		"adopt": func(w *world) { w.noAdopt = true },
		"hold":  func(w *world) { w.noHold = true },
	} {
		t.Run(name, func(t *testing.T) {
			many(t)
			wrong := 0
			rapid.Check(t, func(t *rapid.T) {
				w := newWorld(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b"}), 6, 12).Draw(t, "records"), 2)
				leave(w)
				if w.draw(t) != "" {
					wrong++
				}
			})
			if t.Logf("%d histories went wrong", wrong); wrong == 0 {
				t.Error("no history went wrong")
			}
		})
	}
}

// clone copies a world.
func (w *world) clone() *world {
	c := *w
	c.objects = maps.Clone(w.objects)
	c.late = slices.Clone(w.late)
	c.owners = nil
	for _, o := range w.owners {
		n := *o
		n.unknown = maps.Clone(o.unknown)
		b := *o.book
		b.chains = map[string]*chain[int]{}
		for name, ch := range o.book.chains {
			b.chains[name] = &chain[int]{open: slices.Clone(ch.open), flying: slices.Clone(ch.flying), end: ch.end}
		}
		n.book = &b
		c.owners = append(c.owners, &n)
	}
	return &c
}

// state is the world as text: equal worlds have equal texts. Who made an object does not matter to the rules.
func (w *world) state() string {
	var b strings.Builder
	things := func(all []thing) {
		for _, t := range all {
			fmt.Fprint(&b, t.key, t.records, ";")
		}
	}
	sorted := func(m map[string]thing) []thing {
		return slices.SortedFunc(maps.Values(m), func(a, b thing) int { return strings.Compare(a.key, b.key) })
	}
	fmt.Fprint(&b, w.checkpoint, w.holder, w.begun, "|")
	things(sorted(w.objects))
	things(w.late)
	for _, o := range w.owners {
		fmt.Fprint(&b, "|", o.read, number(o.book.cutAt), number(o.book.stored))
		things(sorted(o.unknown))
		for _, name := range slices.Sorted(maps.Keys(o.book.chains)) {
			c := o.book.chains[name]
			fmt.Fprint(&b, name, number(c.end), "f")
			for _, e := range c.flying {
				fmt.Fprint(&b, e.value)
			}
			b.WriteByte('o')
			for _, e := range c.open {
				fmt.Fprint(&b, e.value)
			}
		}
	}
	return b.String()
}

// TestEveryHistoryOfAFewRecordsIsRight goes through all histories of two owners and one crash over streams of one or
// two records: in each state that can be reached, whoever takes over brings everything to a right end.
func TestEveryHistoryOfAFewRecordsIsRight(t *testing.T) {
	for _, outputs := range []string{"a", "aa", "ab", "a-"} {
		t.Run(outputs, func(t *testing.T) {
			w := newWorld(strings.Split(strings.ReplaceAll(outputs, "-", " "), ""), 2)
			for i, out := range w.outputs {
				w.outputs[i] = strings.TrimSpace(out)
			}
			seen := map[string]bool{}
			var visit func(w *world, path []string)
			visit = func(w *world, path []string) {
				key := w.state()
				if seen[key] || t.Failed() {
					return
				}
				seen[key] = true
				end := w.clone()
				end.finish()
				if wrong := end.wrong(); wrong != "" {
					t.Errorf("%s\nafter\n%s", wrong, strings.Join(path, "\n"))
				}
				for i := range w.actions() {
					next := w.clone()
					a := next.actions()[i]
					if a.do(); next.begun <= 3 {
						visit(next, append(path[:len(path):len(path)], a.name))
					}
				}
			}
			visit(w, nil)
			t.Logf("%d states", len(seen))
		})
	}
}
