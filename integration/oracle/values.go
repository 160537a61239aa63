package oracle

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
)

// object is a JSON object: a request, an item, an attribute value.
type object = map[string]any

// A generator makes requests out of a seed: the same ones for the same seed.
type generator struct {
	*rand.Rand
	tokens tokens
}

// pick chooses one of a few.
func pick[T any](g *generator, of ...T) T { return of[g.IntN(len(of))] }

// chance is true once in n.
func (g *generator) chance(n int) bool { return g.IntN(n) == 0 }

var numbers = []string{"0", "1", "2", "-1", "10", "3.5", "-0.25", "1E2", "007", "1.50", "100000000000000000000",
	"12345678901234567890123456789012345678", "0.00000000000000000001", "9.9999999999999999999999999999999999999E+125", "1E-130", "-1E-130"}

var badNumbers = []string{"", "abc", "1E126", "1E-131", "123456789012345678901234567890123456789", "1 ", "0x1", "NaN", "--1"}

func (g *generator) number() string { return pick(g, numbers...) }

func (g *generator) small() string { return fmt.Sprint(g.IntN(7) - 2) }

func (g *generator) text() string {
	return pick(g, "", "a", "b", "ab", "abc", "B", "é", "z z", "\u0001", "10", "9")
}

func (g *generator) binary() string {
	return base64.StdEncoding.EncodeToString([]byte(pick(g, "", "a", "b", "ab", "\x00", "\xff\xfe", "abc")))
}

// value is an attribute value, with lists and maps up to a depth.
func (g *generator) value(depth int) object {
	n := 10
	if depth == 0 {
		n = 8
	}
	switch g.IntN(n) {
	case 0, 1:
		return object{"S": g.text()}
	case 2, 3:
		if g.chance(3) {
			return object{"N": g.number()}
		}
		return object{"N": g.small()}
	case 4:
		return object{"B": g.binary()}
	case 5:
		return object{"BOOL": g.chance(2)}
	case 6:
		return object{"NULL": true}
	case 7:
		return g.set()
	case 8:
		list := []any{}
		for range g.IntN(4) {
			list = append(list, g.value(depth-1))
		}
		return object{"L": list}
	}
	m := object{}
	for range g.IntN(4) {
		m[pick(g, "x", "y", "z")] = g.value(depth - 1)
	}
	return object{"M": m}
}

func (g *generator) set() object {
	from := map[string][]string{"SS": {"a", "b", "c", "ab"}, "NS": {"1", "2", "-3", "2.5"}, "BS": {"YQ==", "Yg==", "YWI="}}
	kind := pick(g, "SS", "NS", "BS")
	elements := from[kind]
	var set []any
	for _, i := range g.Perm(len(elements))[:1+g.IntN(len(elements))] {
		set = append(set, elements[i])
	}
	return object{kind: set}
}

// wrongValue is an attribute value that is not allowed.
func (g *generator) wrongValue() object {
	switch g.IntN(8) {
	case 0:
		return object{}
	case 1:
		return object{"S": "a", "N": "1"}
	case 2, 3:
		return object{"N": pick(g, badNumbers...)}
	case 4:
		return object{pick(g, "SS", "NS", "BS"): []any{}}
	case 5:
		return object{"SS": []any{"a", "a"}}
	case 6:
		return object{"NS": []any{"1", "1.0"}}
	}
	return object{"NULL": false}
}

// any value, now and then a wrong one.
func (g *generator) someValue() object {
	if g.chance(60) {
		return g.wrongValue()
	}
	return g.value(2)
}

// A table as the generator knows it.
type table struct {
	name         string
	hash, sort   key
	indexes      []index
	localIndexes []index
}

type key struct{ name, kind string }

type index struct {
	name       string
	hash, sort key
	projection object
}

var tables = []table{
	{name: "plain", hash: key{"p", "S"}},
	{name: "sorted", hash: key{"p", "S"}, sort: key{"s", "N"},
		localIndexes: []index{{"local", key{"p", "S"}, key{"l", "N"}, object{"ProjectionType": "INCLUDE", "NonKeyAttributes": []any{"a"}}}},
		indexes:      []index{{"global", key{"g", "S"}, key{}, object{"ProjectionType": "KEYS_ONLY"}}}},
	{name: "numbered", hash: key{"p", "N"}, sort: key{"s", "B"},
		indexes: []index{{"wide", key{"g", "S"}, key{"l", "N"}, object{"ProjectionType": "ALL"}}}},
	{name: "binary", hash: key{"p", "B"}, sort: key{"s", "S"},
		localIndexes: []index{{"all", key{"p", "B"}, key{"a", "S"}, object{"ProjectionType": "ALL"}}}},
}

func schema(hash, sort key) []any {
	parts := []any{object{"AttributeName": hash.name, "KeyType": "HASH"}}
	if sort.name != "" {
		parts = append(parts, object{"AttributeName": sort.name, "KeyType": "RANGE"})
	}
	return parts
}

// create is the request that makes the table.
func (t *table) create() object {
	kinds := map[string]string{}
	note := func(keys ...key) {
		for _, k := range keys {
			if k.name != "" {
				kinds[k.name] = k.kind
			}
		}
	}
	note(t.hash, t.sort)
	request := object{"TableName": t.name, "BillingMode": "PAY_PER_REQUEST", "KeySchema": schema(t.hash, t.sort)}
	for member, indexes := range map[string][]index{"LocalSecondaryIndexes": t.localIndexes, "GlobalSecondaryIndexes": t.indexes} {
		var all []any
		for _, x := range indexes {
			note(x.hash, x.sort)
			all = append(all, object{"IndexName": x.name, "KeySchema": schema(x.hash, x.sort), "Projection": x.projection})
		}
		if all != nil {
			request[member] = all
		}
	}
	var definitions []any
	for name, kind := range kinds {
		definitions = append(definitions, object{"AttributeName": name, "AttributeType": kind})
	}
	request["AttributeDefinitions"] = definitions
	return request
}

// keyValue is a value for a key attribute, out of a handful so that requests meet.
func (g *generator) keyValue(kind string) object {
	switch {
	case g.chance(150):
		return g.wrongValue()
	case g.chance(150):
		return g.value(1)
	case kind == "N":
		return object{"N": g.small()}
	case kind == "B":
		return object{"B": pick(g, "YQ==", "Yg==", "YWI=", "/w==")}
	}
	return object{"S": pick(g, "a", "b", "ab", "c", "é")}
}

// key is the key of an item, now and then a wrong one.
func (g *generator) key(t *table) object {
	k := object{t.hash.name: g.keyValue(t.hash.kind)}
	if t.sort.name != "" {
		k[t.sort.name] = g.keyValue(t.sort.kind)
	}
	switch {
	case g.chance(150):
		delete(k, t.hash.name)
	case g.chance(150):
		k["x"] = g.value(0)
	}
	return k
}

// item is a whole item.
func (g *generator) item(t *table) object {
	it := g.key(t)
	for _, name := range []string{"a", "b", "c", "g", "l", "m", "n"} {
		if _, ok := it[name]; ok || g.chance(2) {
			continue
		}
		it[name] = g.attribute(name)
	}
	return it
}

// attribute is a value for the attribute, mostly of the kind that expressions expect there.
func (g *generator) attribute(name string) object {
	if g.chance(30) {
		return g.someValue()
	}
	switch name {
	case "g":
		return object{"S": pick(g, "x", "y", "z")}
	case "l", "n":
		return object{"N": g.small()}
	case "a":
		return object{"S": pick(g, "a", "ab", "b", "abc")}
	case "m":
		return object{"M": object{"x": g.value(1), "y": object{"L": []any{g.value(1), g.value(0)}}}}
	}
	return g.someValue()
}

// anyTable is mostly one that exists.
func (g *generator) anyTable() *table { return &tables[g.IntN(len(tables))] }

func (g *generator) tableName(t *table) string {
	switch {
	case g.chance(300):
		return "nothing-here"
	case g.chance(400):
		return pick(g, "x", "bad name!")
	}
	return t.name
}
