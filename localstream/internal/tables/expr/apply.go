package expr

import (
	"errors"
	"maps"
	"slices"

	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
)

// What an update meets in the item, in DynamoDB's words.
var (
	errOperandType = errors.New("An operand in the update expression has an incorrect data type")
	errNoAttribute = errors.New("The provided expression refers to an attribute that does not exist in the item")
	errPath        = errors.New("The document path provided in the update expression is invalid for update")
)

// Apply gives the item as the update leaves it; it is left unchanged itself. All values are taken from the item as it
// was before.
func (b *BoundUpdate) Apply(it attr.Item) (attr.Item, error) {
	out := make(attr.Item, len(it)+len(b.changes))
	maps.Copy(out, it)
	root := &branch{}
	for i := range b.changes {
		c := &b.changes[i]
		if c.path.Nested() {
			root.add(c.path, c)
			continue
		}
		v, err := b.changed(c, it, it[c.path.Root()])
		if err != nil {
			return nil, err
		}
		put(out, c.path.Root(), v)
	}
	if err := b.grow(root, it, out); err != nil {
		return nil, err
	}
	return out, nil
}

func put(it attr.Item, name string, v attr.Value) {
	if v.Exists() {
		it[name] = v
	} else {
		delete(it, name)
	}
}

// changed is what stands at a change's path afterwards, given what stands there now; the zero Value for nothing.
func (b *BoundUpdate) changed(c *change, it attr.Item, old attr.Value) (attr.Value, error) {
	switch c.verb {
	case verbSet:
		return b.evaluate(c.value, it)
	case verbRemove:
		return attr.Value{}, nil
	}
	operand := b.values[c.value.value]
	switch {
	case !old.Exists() && c.verb == verbAdd:
		return operand, nil
	case !old.Exists():
		return old, nil
	case old.Kind != operand.Kind:
		return old, errOperandType
	case c.verb == verbDelete:
		return attr.Difference(old, operand), nil
	case old.Kind == attr.N:
		sum, err := attr.Add(old.Str, operand.Str)
		return attr.Value{Kind: attr.N, Str: sum}, err
	}
	return attr.Union(old, operand), nil
}

// evaluate is the value of an operand of SET.
func (b *BoundUpdate) evaluate(n *node, it attr.Item) (attr.Value, error) {
	switch {
	case n.op == opValue:
		return b.values[n.value], nil
	case n.op == opPath:
		v := b.lookup(n.path, it)
		if !v.Exists() {
			return v, errNoAttribute
		}
		return v, nil
	case n.op == opCall && n.name == "if_not_exists":
		if v := b.lookup(n.args[0].path, it); v.Exists() {
			return v, nil
		}
		return b.evaluate(n.args[1], it)
	}
	x, err := b.evaluate(n.args[0], it)
	if err != nil {
		return x, err
	}
	y, err := b.evaluate(n.args[1], it)
	if err != nil {
		return y, err
	}
	return combine(n.op, x, y)
}

// combine is list_append, + or -.
func combine(op op, x, y attr.Value) (attr.Value, error) {
	want, arithmetic := attr.N, attr.Add
	switch op {
	case opCall:
		want = attr.L
	case opMinus:
		arithmetic = attr.Subtract
	}
	if x.Kind != want || y.Kind != want {
		return attr.Value{}, errOperandType
	}
	if want == attr.L {
		return attr.MakeList(append(x.List(), y.List()...)), nil
	}
	sum, err := arithmetic(x.Str, y.Str)
	return attr.Value{Kind: attr.N, Str: sum}, err
}

// branch gathers the changes inside one value: those at it, or those inside its elements.
type branch struct {
	leaf  *change
	names []string // of map elements, beside below
	index []int    // of list elements, beside below; a value has changes by name or by index, never both
	below []*branch
}

func (br *branch) add(p Path, c *change) {
	if len(p) == 0 {
		br.leaf = c
		return
	}
	at := -1
	if p[0].index < 0 {
		at = slices.Index(br.names, p[0].name)
	} else {
		at = slices.Index(br.index, p[0].index)
	}
	if at < 0 {
		at = len(br.below)
		br.below = append(br.below, &branch{})
		if p[0].index < 0 {
			br.names = append(br.names, p[0].name)
		} else {
			br.index = append(br.index, p[0].index)
		}
	}
	br.below[at].add(p[1:], c)
}

// grow makes the changes by name below br in m, a copy that may be changed.
func (b *BoundUpdate) grow(br *branch, it, m attr.Item) error {
	for i, name := range br.names {
		v, err := b.graft(br.below[i], it, m[name])
		if err != nil {
			return err
		}
		put(m, name, v)
	}
	return nil
}

// graft is old with the changes of br.
func (b *BoundUpdate) graft(br *branch, it attr.Item, old attr.Value) (attr.Value, error) {
	switch {
	case br.leaf != nil:
		return b.changed(br.leaf, it, old)
	case len(br.names) > 0 && old.Kind == attr.M:
		m := old.Map()
		if err := b.grow(br, it, m); err != nil {
			return old, err
		}
		return attr.MakeMap(m), nil
	case len(br.index) > 0 && old.Kind == attr.L:
		list, err := b.graftList(br, it, old.List())
		return attr.MakeList(list), err
	}
	return old, errPath
}

// graftList makes changes by index. Indexes mean the list as it was; what lies beyond its end is appended in order.
func (b *BoundUpdate) graftList(br *branch, it attr.Item, old []attr.Value) ([]attr.Value, error) {
	list := slices.Clone(old)
	order := make([]int, len(br.index))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(x, y int) int { return br.index[x] - br.index[y] })
	for _, i := range order {
		var was attr.Value
		if br.index[i] < len(old) {
			was = old[br.index[i]]
		}
		v, err := b.graft(br.below[i], it, was)
		switch {
		case err != nil:
			return nil, err
		case br.index[i] < len(old):
			list[br.index[i]] = v
		default:
			list = append(list, v)
		}
	}
	return slices.DeleteFunc(list, func(v attr.Value) bool { return !v.Exists() }), nil
}
