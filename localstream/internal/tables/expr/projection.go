package expr

import (
	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
)

// Projection is a parsed ProjectionExpression.
type Projection struct {
	refs
	paths []path
}

// ParseProjection parses src. Names are checked by Bind.
func ParseProjection(src string) (*Projection, error) {
	p, err := start(src, nil)
	if err != nil {
		return nil, err
	}
	pr := &Projection{}
	err = p.run(func() {
		pr.paths = append(pr.paths, p.documentPath())
		for p.acceptSign(",") {
			pr.paths = append(pr.paths, p.documentPath())
		}
	})
	if err != nil {
		return nil, err
	}
	if p.reserved != nil {
		return nil, p.reserved
	}
	pr.refs = p.refs
	return pr, nil
}

// Bind gives the projection its names and checks that no two paths touch each other.
func (pr *Projection) Bind(p Params) ([]Path, error) {
	b := bind(pr.refs, p)
	paths := make([]Path, len(pr.paths))
	for i, steps := range pr.paths {
		if err := b.undefinedName(pr.refs, steps); err != nil {
			return nil, err
		}
		paths[i] = b.resolve(steps)
	}
	return paths, checkPaths(paths)
}

// Attribute is the path of a whole attribute.
func Attribute(name string) Path { return Path{{name: name, index: -1}} }

// Project is what the item has at the paths, which must not touch each other. Elements of lists keep their order, but
// close up.
func Project(it attr.Item, paths []Path) attr.Item {
	out := make(attr.Item, len(paths))
	root := &branch{}
	for _, p := range paths {
		if p.Nested() {
			root.add(p, &change{})
		} else if v, ok := it[p.Root()]; ok {
			out[p.Root()] = v
		}
	}
	for i, name := range root.names {
		if v := root.below[i].pick(it[name]); v.Exists() {
			out[name] = v
		}
	}
	return out
}

// pick is the part of v that the branch leads to.
func (br *branch) pick(v attr.Value) attr.Value {
	switch {
	case br.leaf != nil:
		return v
	case len(br.names) > 0 && v.Kind == attr.M:
		m := attr.Item{}
		for i, name := range br.names {
			if e := br.below[i].pick(v.At(name, -1)); e.Exists() {
				m[name] = e
			}
		}
		if len(m) > 0 {
			return attr.MakeMap(m)
		}
	case len(br.index) > 0 && v.Kind == attr.L:
		if list := br.pickList(v.List()); len(list) > 0 {
			return attr.MakeList(list)
		}
	}
	return attr.Value{}
}

func (br *branch) pickList(from []attr.Value) []attr.Value {
	var list []attr.Value
	for i, e := range from {
		for j, index := range br.index {
			if index != i {
				continue
			}
			if picked := br.below[j].pick(e); picked.Exists() {
				list = append(list, picked)
			}
		}
	}
	return list
}
