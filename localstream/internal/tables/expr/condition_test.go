package expr

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
)

func parseItem(t testing.TB, text string) attr.Item {
	t.Helper()
	var it attr.Item
	if err := json.Unmarshal([]byte(text), &it); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if problem := it.Problem(); problem != "" {
		t.Fatalf("%s: %s", text, problem)
	}
	return it
}

const sample = `{"s":{"S":"hello"},"n":{"N":"12"},"b":{"B":"AAEC"},"t":{"BOOL":true},"z":{"NULL":true},"ss":{"SS":["a","b"]},
	"ns":{"NS":["1","2"]},"l":{"L":[{"S":"x"},{"N":"5"},{"M":{"k":{"S":"v"}}}]},"m":{"M":{"k":{"N":"7"},"size":{"S":"big"}}},"blank":{"S":""}}`

const sampleValues = `{":hello":{"S":"hello"},":hel":{"S":"hel"},":ell":{"S":"ell"},":12":{"N":"12.0"},":5":{"N":"5"},":20":{"N":"20"},":t":{"BOOL":true},
	":a":{"S":"a"},":1":{"N":"1"},":x":{"S":"x"},":S":{"S":"S"},":NS":{"S":"NS"},":bytes":{"B":"AAE="},":ss":{"SS":["b","a"]},":v":{"S":"v"},":3":{"N":"3"},":e":{"S":""}}`

// usedOnly are the parameters with just those placeholders that the source names.
func usedOnly(src string, all attr.Item) attr.Item {
	out := attr.Item{}
	for _, tok := range tokenize(src) {
		if name := src[tok.start:tok.end]; tok.kind == tokenValue {
			if v, ok := all[name]; ok {
				out[name] = v
			}
		}
	}
	return out
}

func TestConditions(t *testing.T) {
	it, values := parseItem(t, sample), parseItem(t, sampleValues)
	names := map[string]string{"#n": "n", "#size": "size", "#dot": "a.b"}
	tests := []struct {
		src  string
		want bool
	}{
		{"s = :hello", true}, {":hello = s", true}, {"s = :hel", false}, {"s <> :hel", true}, {"n = :12", true}, {"#n <> :12", false},
		{"n < :20", true}, {"n <= :12", true}, {"n > :12", false}, {"n >= :12", true}, {"n > :hello", false}, {"n < :hello", false}, {"n <> :hello", true},
		{"gone = :5", false}, {"gone <> :5", true}, {"gone < :5", false}, {"t = :t", true}, {"ss = :ss", true}, {"blank = :e", true},
		{"n BETWEEN :5 AND :20", true}, {"n between :12 and :12", true}, {":5 BETWEEN :1 AND n", true}, {"s BETWEEN :5 AND :20", false},
		{"n IN (:5, :12)", true}, {"n in (:5)", false}, {"gone IN (:5)", false}, {"t IN (:a, :t)", true},
		{"attribute_exists(s)", true}, {"attribute_exists (gone)", false}, {"attribute_not_exists(gone)", true}, {"attribute_exists(m.k)", true},
		{"attribute_exists(l[2].k)", true}, {"attribute_exists(l[3])", false}, {"attribute_not_exists(m.k.x)", true}, {"attribute_exists(z)", true},
		{"attribute_type(s, :S)", true}, {"attribute_type(ns, :NS)", true}, {"attribute_type(gone, :S)", false},
		{"begins_with(s, :hel)", true}, {"begins_with(s, :ell)", false}, {"begins_with(b, :bytes)", true}, {"begins_with(n, :hel)", false},
		{"contains(s, :ell)", true}, {"contains(ss, :a)", true}, {"contains(ns, :1)", true}, {"contains(ns, :a)", false}, {"contains(l, :5)", true}, {"contains(l, :v)", false}, {"contains(m, :a)", false},
		{"size(s) = :5", true}, {"size(l) >= :3", true}, {"size(ss) < :3", true}, {"size(b) = :3", true}, {"size(m) > :1", true}, {"size(n) > :1", false}, {"size(gone) < :20", false},
		{"m.#size = :a", false}, {"l[0] = :x", true}, {"l[2].k = :v", true}, {"l[1] = :5 AND m.k <> :5", true},
		{"NOT s = :hello", false}, {"NOT (s = :hello)", false}, {"NOT NOT s = :hello", true}, {"NOT attribute_exists(gone)", true},
		{"s = :hel OR n = :12", true}, {"s = :hello OR n = :5 AND n = :20", true}, {"(s = :hello OR n = :5) AND n = :20", false},
		{"s = :hello AND n = :12 AND t = :t", true}, {"s = :hel OR n = :5 OR t = :t", true}, {"(s) = (:hello)", true},
		{"\n s\t= :hello \r\n", true}, {"NOT s = :hel AND n = :12", true}, {"attribute_not_exists(#dot)", true}, {"n=:12 AND(s=:hello)", true},
	}
	for _, test := range tests {
		c, err := ParseCondition(test.src)
		if err != nil {
			t.Errorf("%s: %v", test.src, err)
			continue
		}
		b, err := c.Bind(Params{Names: names, Values: usedOnly(test.src, values)})
		if err != nil {
			t.Errorf("%s: %v", test.src, err)
			continue
		}
		if got := b.Match(it); got != test.want {
			t.Errorf("%s is %v, want %v", test.src, got, test.want)
		}
		if len(c.refs.values) > 0 || len(c.refs.names) > 0 {
			if err := (Params{Values: attr.Item{":unused": attr.String("")}}).CheckUsed(c); err == nil {
				t.Errorf("%s: an unused value is accepted", test.src)
			}
		}
	}
}

func TestRefusedConditions(t *testing.T) {
	values := parseItem(t, `{":s":{"S":"b"},":low":{"S":"a"},":n":{"N":"1"},":t":{"BOOL":true},":l":{"L":[]}}`)
	tests := []struct{ src, want string }{
		{"", "The expression can not be empty;"},
		{"a", `Syntax error; token: "<EOF>", near: "a"`},
		{"a =", `Syntax error; token: "<EOF>", near: "="`},
		{"a = :s b", `Syntax error; token: "b", near: ":s b"`},
		{"a == :s", `Syntax error; token: "=", near: "== :s"`},
		{"a = :s AND", `Syntax error; token: "<EOF>", near: "AND"`},
		{"a AND b = :s", `Syntax error; token: "AND", near: "a AND b"`},
		{"(a = :s", `Syntax error; token: "<EOF>", near: ":s"`},
		{"a = @x", `Syntax error; token: "@", near: "= @x"`},
		{"a = :", `Syntax error; token: ":", near: "= :"`},
		{"a BETWEEN :low OR :s", `Syntax error; token: "OR", near: ":low OR :s"`},
		{"a[x] = :s", `Syntax error; token: "x", near: "[x]"`},
		{"a IN :s", `Syntax error; token: ":s", near: "IN :s"`},
		{"(a = :s) = :s", `Syntax error; token: "=", near: ") = :s"`},
		{"((a = :s))", "The expression has redundant parentheses;"},
		{"((a)) = :s", "The expression has redundant parentheses;"},
		{"foo(a)", "Invalid function name; function: foo"},
		{"ATTRIBUTE_EXISTS(a)", "Invalid function name; function: ATTRIBUTE_EXISTS"},
		{"size(a)", "The function is not allowed to be used this way in an expression; function: size"},
		{"a = :s AND size(a)", "The function is not allowed to be used this way in an expression; function: size"},
		{"attribute_exists(a) = :t", "The function is not allowed to be used this way in an expression; function: attribute_exists"},
		{"a = attribute_exists(a)", "The function is not allowed to be used this way in an expression; function: attribute_exists"},
		{"size(begins_with(a, :s)) = :n", "The function is not allowed to be used this way in an expression; function: begins_with"},
		{"data = :s", "Attribute name is a reserved keyword; reserved keyword: data"},
		{"a.Size = :s", "Attribute name is a reserved keyword; reserved keyword: Size"},
		{"#a = :s", "An expression attribute name used in the document path is not defined; attribute name: #a"},
		{"a = :undefined", "An expression attribute value used in expression is not defined; attribute value: :undefined"},
		{"attribute_exists(a, b)", "Incorrect number of operands for operator or function; operator or function: attribute_exists, number of operands: 2"},
		{"contains(a)", "Incorrect number of operands for operator or function; operator or function: contains, number of operands: 1"},
		{"a = a", "The first operand must be distinct from the remaining operands for this operator or function; operator: =, first operand: [a]"},
		{"contains(a.b[1], a.b[1])", "The first operand must be distinct from the remaining operands for this operator or function; operator: contains, first operand: [a, b, [1]]"},
		{"attribute_exists(:s)", "Operator or function requires a document path; operator or function: attribute_exists"},
		{"begins_with(a, :n)", "Incorrect operand type for operator or function; operator or function: begins_with, operand type: N"},
		{"attribute_type(a, :n)", "Incorrect operand type for operator or function; operator or function: attribute_type, operand type: N"},
		{"attribute_type(a, b)", "Incorrect operand type for operator or function; operator or function: attribute_type, operand type: {NS,SS,L,BS,N,M,B,BOOL,NULL,S}"},
		{"attribute_type(a, :s)", "Invalid attribute type name found; type: b, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}"},
		{"size(:n) > :n", "Incorrect operand type for operator or function; operator or function: size, operand type: N"},
		{"a < :t", "Incorrect operand type for operator or function; operator or function: <, operand type: BOOL"},
		{"a >= :l", "Incorrect operand type for operator or function; operator or function: >=, operand type: L"},
		{"a BETWEEN :n AND :s", "The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: AttributeValue: {N:1}, upper bound operand: AttributeValue: {S:b}"},
		{"a BETWEEN :s AND :low", "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {S:b}, upper bound operand: AttributeValue: {S:a}"},
		{"a IN (" + strings.Repeat(":s,", 100) + ":s)", "The IN operator is provided with too many operands; number of operands: 101"},
		{strings.Repeat("a = :s OR ", 410) + "a = :s", "Expression size has exceeded the maximum allowed size; expression size: 4106"},
		{strings.Repeat("a=:s OR ", 300) + "a=:s", "The expression contains too many operators; operator count: 601"},
		{"a" + strings.Repeat(".b", 32) + " = :s", "The document path has too many nesting elements; nesting elements: 33"},
		{"a[99999999999] = :s", "List index is not within the allowable range; index: [99999999999]"},
	}
	for _, test := range tests {
		c, err := ParseCondition(test.src)
		if err == nil {
			_, err = c.Bind(Params{Values: values})
		}
		if err == nil || err.Error() != test.want {
			t.Errorf("%.60s: %v\nwant %s", test.src, err, test.want)
		}
	}
}

func TestMalformedParametersAreRefused(t *testing.T) {
	c, err := ParseCondition("#a = :v")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		params Params
		want   string
	}{
		{Params{Names: map[string]string{}}, "ExpressionAttributeNames must not be empty"},
		{Params{Values: attr.Item{}}, "ExpressionAttributeValues must not be empty"},
		{Params{Names: map[string]string{"a": "b"}}, `ExpressionAttributeNames contains invalid key: Syntax error; key: "a"`},
		{Params{Values: attr.Item{":a-b": attr.String("")}}, `ExpressionAttributeValues contains invalid key: Syntax error; key: ":a-b"`},
		{Params{Values: attr.Item{":a": {Kind: attr.Invalid, Str: "It is wrong"}}}, "ExpressionAttributeValues contains invalid value: It is wrong for key :a"},
		{Params{Names: map[string]string{"#a": "a", "#y": "b", "#x": "c"}}, "Value provided in ExpressionAttributeNames unused in expressions: keys: {#x, #y}"},
		{Params{Values: attr.Item{":v": attr.String(""), ":w": attr.String("")}}, "Value provided in ExpressionAttributeValues unused in expressions: keys: {:w}"},
	}
	for _, test := range tests {
		err := test.params.Check()
		if err == nil {
			err = test.params.CheckUsed(c)
		}
		if err == nil || err.Error() != test.want {
			t.Errorf("%v; want %s", err, test.want)
		}
	}
}

func TestKeyConditions(t *testing.T) {
	values := parseItem(t, `{":a":{"S":"a"},":b":{"S":"b"}}`)
	tests := []struct{ src, want, err string }{
		{"p = :a", "p EQ a", ""},
		{"p = :a AND s > :b", "p EQ a, s GT b", ""},
		{":b <= s and :a = p", "s GE b, p EQ a", ""},
		{"p = :a AND s BETWEEN :a AND :b", "p EQ a, s BETWEEN a b", ""},
		{"(p = :a) AND (begins_with(s, :b))", "p EQ a, s BEGINS_WITH b", ""},
		{"p = :a OR s = :b", "", "Invalid operator used in KeyConditionExpression: OR"},
		{"NOT p = :a", "", "Invalid operator used in KeyConditionExpression: NOT"},
		{"p <> :a", "", "Invalid operator used in KeyConditionExpression: <>"},
		{"p IN (:a)", "", "Invalid operator used in KeyConditionExpression: IN"},
		{"attribute_exists(p)", "", "Invalid operator used in KeyConditionExpression: attribute_exists"},
		{"size(p) = :a", "", "KeyConditionExpressions cannot contain nested operations"},
		{"p = :a AND p = :b", "", "KeyConditionExpressions must only contain one condition per key"},
		{"p = :a AND s = :b AND x = :a", "", "Conditions can be of length 1 or 2 only"},
		{"p.x = :a", "", "KeyConditionExpressions cannot have conditions on nested attributes"},
		{"p = s", "", "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition"},
		{":a = :b", "", "Invalid condition in KeyConditionExpression: No key attribute specified"},
		{":a BETWEEN p AND s", "", "Invalid condition in KeyConditionExpression: BETWEEN operator must have the key attribute as its first operand"},
	}
	for _, test := range tests {
		c, err := ParseCondition(test.src)
		if err != nil {
			t.Fatalf("%s: %v", test.src, err)
		}
		b, err := c.Bind(Params{Values: values})
		if err != nil {
			t.Fatalf("%s: %v", test.src, err)
		}
		terms, err := b.KeyTerms()
		var got []string
		for _, term := range terms {
			text := term.Name + " " + term.Operator
			for _, v := range term.Values {
				text += " " + v.Str
			}
			got = append(got, text)
		}
		if test.err == "" && (err != nil || strings.Join(got, ", ") != test.want) {
			t.Errorf("%s: %v, %v", test.src, got, err)
		}
		if test.err != "" && (err == nil || err.Error() != test.err) {
			t.Errorf("%s: %v", test.src, err)
		}
	}
}

func FuzzConditions(f *testing.F) {
	for _, src := range []string{"a = :v AND (b[0].#n <> :v OR NOT size(c) BETWEEN :v AND d)", "a IN (:v, b)", "((((a)))) = :v", "attribute_exists (leaseKey)", "a[", ":", "#", "NOT"} {
		f.Add(src)
	}
	it := parseItem(f, sample)
	params := Params{Names: map[string]string{"#n": "k"}, Values: attr.Item{":v": attr.String("x")}}
	f.Fuzz(func(t *testing.T, src string) {
		frugal(t, "parsing", len(src), func() {
			_, _ = ParseCondition(src)
			_, _ = ParseUpdate(src)
			_, _ = ParseProjection(src)
		})
		if c, err := ParseCondition(src); err == nil {
			if b, err := c.Bind(params); err == nil {
				b.Match(it)
				b.Paths()
				_, _ = b.KeyTerms()
			}
		}
		if u, err := ParseUpdate(src); err == nil {
			if b, err := u.Bind(params); err == nil {
				_, _ = b.Apply(it)
			}
		}
		if p, err := ParseProjection(src); err == nil {
			if paths, err := p.Bind(params); err == nil {
				Project(it, paths)
			}
		}
	})
}
