package expr

import (
	"testing"

	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
)

const updateValues = `{":one":{"N":"1"},":s":{"S":"new"},":l":{"L":[{"S":"p"}]},":nothing":{"L":[]},":set":{"SS":["b","c"]},":nums":{"NS":["2","3"]},":m":{"M":{}},":t":{"BOOL":true}}`

func bindUpdate(t testing.TB, src string) (*BoundUpdate, error) {
	t.Helper()
	u, err := ParseUpdate(src)
	if err != nil {
		return nil, err
	}
	return u.Bind(Params{Names: map[string]string{"#k": "k", "#d": "a.b"}, Values: parseItem(t, updateValues)})
}

func TestUpdates(t *testing.T) {
	const before = `{"n":{"N":"5"},"s":{"S":"x"},"l":{"L":[{"S":"0"},{"S":"1"},{"S":"2"}]},"m":{"M":{"k":{"N":"1"},"j":{"S":"y"}}},"ss":{"SS":["a","b"]}}`
	tests := []struct{ src, changed string }{
		{"SET s = :s", `{"s":{"S":"new"}}`},
		{"set s = n, n = s", `{"s":{"N":"5"},"n":{"S":"x"}}`},
		{"SET n = n + :one", `{"n":{"N":"6"}}`},
		{"SET n = :one - n", `{"n":{"N":"-4"}}`},
		{"SET n = (n + :one)", `{"n":{"N":"6"}}`},
		{"SET c = if_not_exists(c, :one) + :one, n = if_not_exists(n, :one) + :one", `{"c":{"N":"2"},"n":{"N":"6"}}`},
		{"SET c = if_not_exists(c, n)", `{"c":{"N":"5"}}`},
		{"SET #d = :s", `{"a.b":{"S":"new"}}`},
		{"SET l = list_append(l, :l)", `{"l":{"L":[{"S":"0"},{"S":"1"},{"S":"2"},{"S":"p"}]}}`},
		{"SET l = list_append(:l, l)", `{"l":{"L":[{"S":"p"},{"S":"0"},{"S":"1"},{"S":"2"}]}}`},
		{"SET c = list_append(if_not_exists(c, :nothing), :l)", `{"c":{"L":[{"S":"p"}]}}`},
		{"SET l[1] = :s", `{"l":{"L":[{"S":"0"},{"S":"new"},{"S":"2"}]}}`},
		{"SET l[9] = :s, l[7] = :one", `{"l":{"L":[{"S":"0"},{"S":"1"},{"S":"2"},{"N":"1"},{"S":"new"}]}}`},
		{"SET l[0] = l[2], l[2] = l[0]", `{"l":{"L":[{"S":"2"},{"S":"1"},{"S":"0"}]}}`},
		{"SET m.#k = m.#k + :one, m.x = :s", `{"m":{"M":{"k":{"N":"2"},"j":{"S":"y"},"x":{"S":"new"}}}}`},
		{"REMOVE s, gone, m.j, l[0], l[2]", `{"s":null,"m":{"M":{"k":{"N":"1"}}},"l":{"L":[{"S":"1"}]}}`},
		{"REMOVE l[0] SET l[8] = :s", `{"l":{"L":[{"S":"1"},{"S":"2"},{"S":"new"}]}}`},
		{"REMOVE l[5]", `{}`},
		{"ADD n :one, c :one, ss :set, ns :nums", `{"n":{"N":"6"},"c":{"N":"1"},"ss":{"SS":["a","b","c"]},"ns":{"NS":["2","3"]}}`},
		{"ADD m.c :one, l[5] :one", `{"m":{"M":{"k":{"N":"1"},"j":{"S":"y"},"c":{"N":"1"}}},"l":{"L":[{"S":"0"},{"S":"1"},{"S":"2"},{"N":"1"}]}}`},
		{"DELETE ss :set", `{"ss":{"SS":["a"]}}`},
		{"DELETE gone :set", `{}`},
		{"DELETE ss :set SET ss2 = ss REMOVE s ADD n :one", `{"ss":{"SS":["a"]},"ss2":{"SS":["a","b"]},"s":null,"n":{"N":"6"}}`},
	}
	for _, test := range tests {
		it := parseItem(t, before)
		b, err := bindUpdate(t, test.src)
		if err != nil {
			t.Errorf("%s: %v", test.src, err)
			continue
		}
		got, err := b.Apply(it)
		if err != nil {
			t.Errorf("%s: %v", test.src, err)
			continue
		}
		want := parseItem(t, before)
		var changed attr.Item
		if err := changed.UnmarshalJSON([]byte(test.changed)); err != nil {
			t.Fatal(err)
		}
		for name, v := range changed {
			if v.Kind == attr.Invalid { // null: the attribute goes
				v = attr.Value{}
			}
			put(want, name, v)
		}
		if !attr.EqualItems(got, want) {
			t.Errorf("%s gives\n%s, want\n%s", test.src, got.AppendJSON(nil), want.AppendJSON(nil))
		}
		if !attr.EqualItems(it, parseItem(t, before)) {
			t.Errorf("%s changed the item it was given", test.src)
		}
	}
}

func TestAnEmptySetDisappears(t *testing.T) {
	b, err := bindUpdate(t, "DELETE a :set")
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Apply(parseItem(t, `{"a":{"SS":["b","c"]}}`))
	if err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestRefusedUpdates(t *testing.T) {
	tests := []struct{ src, want string }{
		{"", "The expression can not be empty;"},
		{"a = :s", `Syntax error; token: "a", near: "a ="`},
		{"SET a", `Syntax error; token: "<EOF>", near: "a"`},
		{"SET a = :s,", `Syntax error; token: "<EOF>", near: ","`},
		{"SET a = :s b = :s", `Syntax error; token: "b", near: ":s b ="`},
		{"SET a = b + c + n", `Syntax error; token: "+", near: "c + n"`},
		{"SET a = b > c", `Syntax error; token: ">", near: "b > c"`},
		{"ADD a b", `Syntax error; token: "b", near: "a b"`},
		{"SET a = :s SET b = :s", `The "SET" section can only be used once in an update expression;`},
		{"SET a = foo(b)", "Invalid function name; function: foo"},
		{"SET a = attribute_exists(b)", "Invalid function name; function: attribute_exists"},
		{"SET action = :s", "Attribute name is a reserved keyword; reserved keyword: action"},
		{"SET a = #x", "An expression attribute name used in the document path is not defined; attribute name: #x"},
		{"SET a = :x", "An expression attribute value used in expression is not defined; attribute value: :x"},
		{"SET a = :s, a = :s", "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a], path two: [a]"},
		{"SET a.b = :s REMOVE a", "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a, b], path two: [a]"},
		{"REMOVE a[0].x, a[0].x[1]", "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a, [0], x], path two: [a, [0], x, [1]]"},
		{"SET a.b = :s, a[0] = :s", "Two document paths conflict with each other; must remove or rewrite one of these paths; path one: [a, b], path two: [a, [0]]"},
		{"ADD a :s", "Incorrect operand type for operator or function; operator: ADD, operand type: STRING"},
		{"ADD a :l", "Incorrect operand type for operator or function; operator: ADD, operand type: LIST"},
		{"DELETE a :one", "Incorrect operand type for operator or function; operator: DELETE, operand type: NUMBER"},
		{"SET a = b + :s", "Incorrect operand type for operator or function; operator or function: +, operand type: S"},
		{"SET a = list_append(b, :one)", "Incorrect operand type for operator or function; operator or function: list_append, operand type: N"},
		{"SET a = list_append(b)", "Incorrect number of operands for operator or function; operator or function: list_append, number of operands: 1"},
		{"SET a = if_not_exists(:s, b)", "Operator or function requires a document path; operator or function: if_not_exists"},
	}
	for _, test := range tests {
		if _, err := bindUpdate(t, test.src); err == nil || err.Error() != test.want {
			t.Errorf("%s: %v\nwant %s", test.src, err, test.want)
		}
	}
}

func TestUpdatesThatDoNotFitTheItem(t *testing.T) {
	it := parseItem(t, `{"n":{"N":"5"},"s":{"S":"x"},"l":{"L":[{"S":"0"}]},"m":{"M":{}},"big":{"N":"1E125"}}`)
	tests := []struct{ src, want string }{
		{"SET a = gone", "The provided expression refers to an attribute that does not exist in the item"},
		{"SET a = gone + :one", "The provided expression refers to an attribute that does not exist in the item"},
		{"SET a = s + :one", "An operand in the update expression has an incorrect data type"},
		{"SET a = list_append(m, :l)", "An operand in the update expression has an incorrect data type"},
		{"ADD s :one", "An operand in the update expression has an incorrect data type"},
		{"ADD n :set", "An operand in the update expression has an incorrect data type"},
		{"DELETE l :set", "An operand in the update expression has an incorrect data type"},
		{"SET gone.x = :s", "The document path provided in the update expression is invalid for update"},
		{"SET s.x = :s", "The document path provided in the update expression is invalid for update"},
		{"SET m[0] = :s", "The document path provided in the update expression is invalid for update"},
		{"SET l.x = :s", "The document path provided in the update expression is invalid for update"},
		{"REMOVE gone.x", "The document path provided in the update expression is invalid for update"},
		{"SET m.a.b = :s", "The document path provided in the update expression is invalid for update"},
		{"SET n = big + :one", "Attempting to store more than 38 significant digits in a Number"},
	}
	for _, test := range tests {
		b, err := bindUpdate(t, test.src)
		if err != nil {
			t.Errorf("%s: %v", test.src, err)
			continue
		}
		if _, err := b.Apply(it); err == nil || err.Error() != test.want {
			t.Errorf("%s: %v\nwant %s", test.src, err, test.want)
		}
	}
}

func TestProjections(t *testing.T) {
	it := parseItem(t, `{"s":{"S":"x"},"l":{"L":[{"S":"0"},{"M":{"x":{"N":"1"},"y":{"N":"2"}}},{"S":"2"}]},"m":{"M":{"k":{"M":{"z":{"NULL":true}}},"j":{"S":"y"}}}}`)
	tests := []struct{ src, want string }{
		{"s", `{"s":{"S":"x"}}`},
		{"s, gone, m.gone, l[7], m.j.x", `{"s":{"S":"x"}}`},
		{"l[2],l[0]", `{"l":{"L":[{"S":"0"},{"S":"2"}]}}`},
		{"l[1].y, m.#k.z", `{"l":{"L":[{"M":{"y":{"N":"2"}}}]},"m":{"M":{"k":{"M":{"z":{"NULL":true}}}}}}`},
	}
	for _, test := range tests {
		p, err := ParseProjection(test.src)
		if err != nil {
			t.Fatal(err)
		}
		paths, err := p.Bind(Params{Names: map[string]string{"#k": "k"}})
		if err != nil {
			t.Fatal(err)
		}
		if got := string(Project(it, paths).AppendJSON(nil)); got != test.want {
			t.Errorf("%s gives %s", test.src, got)
		}
	}
	for src, want := range map[string]string{
		"a, a.b": "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a], path two: [a, b]",
		"a b":    `Syntax error; token: "b", near: "a b"`,
		"#x":     "An expression attribute name used in the document path is not defined; attribute name: #x",
		"year":   "Attribute name is a reserved keyword; reserved keyword: year",
	} {
		p, err := ParseProjection(src)
		if err == nil {
			_, err = p.Bind(Params{})
		}
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v", src, err)
		}
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	var c Cache
	for i := range 3 * cacheSize {
		src := "a" + string(rune('a'+i%26)) + itoa(i) + " = :v"
		if _, err := c.Condition(src); err != nil {
			t.Fatal(err)
		}
		if len(c.conditions.parsed) > cacheSize {
			t.Fatalf("%d expressions are kept", len(c.conditions.parsed))
		}
	}
	one, _ := c.Condition("x = :v")
	if two, _ := c.Condition("x = :v"); one != two {
		t.Error("an expression was parsed twice")
	}
}
