package expr

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
)

func itoa(i int) string { return strconv.Itoa(i) }

// The model computes expressions in another way: it builds the text and, beside it, a closure over plain values
// (string, *big.Rat, or nil for nothing).
type model struct {
	r      *rand.Rand
	values attr.Item
}

type plainItem map[string]any

func (m *model) value() (string, any) {
	name := ":v" + itoa(len(m.values))
	if m.r.IntN(2) == 0 {
		s := string(rune('a' + m.r.IntN(4)))
		m.values[name] = attr.String(s)
		return name, s
	}
	n := m.r.IntN(9) - 4
	m.values[name] = attr.Value{Kind: attr.N, Str: itoa(n)}
	return name, big.NewRat(int64(n), 1)
}

func (m *model) path() string { return "p" + itoa(m.r.IntN(5)) }

func order(x, y any) (int, bool) {
	switch x := x.(type) {
	case string:
		if y, ok := y.(string); ok {
			return strings.Compare(x, y), true
		}
	case *big.Rat:
		if y, ok := y.(*big.Rat); ok {
			return x.Cmp(y), true
		}
	}
	return 0, false
}

func (m *model) condition(depth int) (string, func(plainItem) bool) {
	if depth > 0 {
		switch m.r.IntN(4) {
		case 0:
			a, fa := m.condition(depth - 1)
			b, fb := m.condition(depth - 1)
			return "(" + a + ") AND (" + b + ")", func(it plainItem) bool { return fa(it) && fb(it) }
		case 1:
			a, fa := m.condition(depth - 1)
			b, fb := m.condition(depth - 1)
			return "(" + a + ") OR (" + b + ")", func(it plainItem) bool { return fa(it) || fb(it) }
		case 2:
			a, fa := m.condition(depth - 1)
			return "NOT (" + a + ")", func(it plainItem) bool { return !fa(it) }
		}
	}
	p := m.path()
	switch m.r.IntN(4) {
	case 0:
		return "attribute_exists(" + p + ")", func(it plainItem) bool { return it[p] != nil }
	case 1:
		v, plain := m.value()
		w, plain2 := m.value()
		return p + " IN (" + v + ", " + w + ")", func(it plainItem) bool {
			a, ok := order(it[p], plain)
			b, ok2 := order(it[p], plain2)
			return ok && a == 0 || ok2 && b == 0
		}
	}
	v, plain := m.value()
	operator := []string{"=", "<>", "<", "<=", ">", ">="}[m.r.IntN(6)]
	return p + " " + operator + " " + v, func(it plainItem) bool {
		c, ok := order(it[p], plain)
		switch operator {
		case "=":
			return ok && c == 0
		case "<>":
			return !ok || c != 0
		case "<":
			return ok && c < 0
		case "<=":
			return ok && c <= 0
		case ">":
			return ok && c > 0
		}
		return ok && c >= 0
	}
}

func (m *model) item() (attr.Item, plainItem) {
	it, plain := attr.Item{}, plainItem{}
	for i := range 5 {
		switch name := "p" + itoa(i); m.r.IntN(3) {
		case 0:
			s := string(rune('a' + m.r.IntN(4)))
			it[name], plain[name] = attr.String(s), s
		case 1:
			n := m.r.IntN(9) - 4
			it[name], plain[name] = attr.Value{Kind: attr.N, Str: itoa(n)}, big.NewRat(int64(n), 1)
		}
	}
	return it, plain
}

func TestConditionsAgreeWithAModel(t *testing.T) {
	m := &model{r: rand.New(rand.NewPCG(7, 8))}
	for range 3000 {
		m.values = attr.Item{}
		src, holds := m.condition(3)
		c, err := ParseCondition(src)
		if err != nil {
			if strings.Contains(err.Error(), "maximum allowed size") {
				continue
			}
			t.Fatalf("%s: %v", src, err)
		}
		b, err := c.Bind(Params{Values: m.values})
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		for range 5 {
			it, plain := m.item()
			if got := b.Match(it); got != holds(plain) {
				t.Fatalf("%s with %s is %v", src, it.AppendJSON(nil), got)
			}
		}
	}
}

// clauses makes an update of distinct attributes and what it means.
func (m *model) update() (string, func(plainItem) (plainItem, bool)) {
	var parts [2][]string // SET, REMOVE
	var steps []func(from, to plainItem) bool
	for _, i := range m.r.Perm(5)[:1+m.r.IntN(4)] {
		p, q := "p"+itoa(i), m.path()
		v, plain := m.value()
		switch m.r.IntN(4) {
		case 0:
			parts[0] = append(parts[0], p+" = "+v)
			steps = append(steps, func(_, to plainItem) bool { to[p] = plain; return true })
		case 1:
			parts[0] = append(parts[0], fmt.Sprintf("%s = if_not_exists(%s, %s)", p, q, v))
			steps = append(steps, func(from, to plainItem) bool {
				to[p] = plain
				if from[q] != nil {
					to[p] = from[q]
				}
				return true
			})
		case 2:
			parts[0] = append(parts[0], fmt.Sprintf("%s = %s - :two", p, q))
			m.values[":two"] = attr.Value{Kind: attr.N, Str: "2"}
			delete(m.values, v)
			steps = append(steps, func(from, to plainItem) bool {
				n, ok := from[q].(*big.Rat)
				if ok {
					to[p] = new(big.Rat).Sub(n, big.NewRat(2, 1))
				}
				return ok
			})
		default:
			parts[1] = append(parts[1], p)
			delete(m.values, v)
			steps = append(steps, func(_, to plainItem) bool { delete(to, p); return true })
		}
	}
	src := ""
	for i, word := range []string{"SET ", " REMOVE "} {
		if len(parts[i]) > 0 {
			src += word + strings.Join(parts[i], ", ")
		}
	}
	return src, func(from plainItem) (plainItem, bool) {
		to := plainItem{}
		for k, v := range from {
			to[k] = v
		}
		for _, step := range steps {
			if !step(from, to) {
				return nil, false
			}
		}
		return to, true
	}
}

func sameAsPlain(it attr.Item, plain plainItem) bool {
	if len(it) != len(plain) {
		return false
	}
	for name, v := range it {
		switch want := plain[name].(type) {
		case string:
			if v.Kind != attr.S || v.Str != want {
				return false
			}
		case *big.Rat:
			if v.Kind != attr.N || v.Str != want.RatString() {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func TestUpdatesAgreeWithAModel(t *testing.T) {
	m := &model{r: rand.New(rand.NewPCG(9, 10))}
	for range 3000 {
		m.values = attr.Item{}
		src, meaning := m.update()
		u, err := ParseUpdate(src)
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		b, err := u.Bind(Params{Values: m.values})
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		it, plain := m.item()
		got, err := b.Apply(it)
		want, ok := meaning(plain)
		if (err == nil) != ok || ok && !sameAsPlain(got, want) {
			t.Fatalf("%s on %s gives %s, %v; want %v, %v", src, it.AppendJSON(nil), got.AppendJSON(nil), err, want, ok)
		}
	}
}
