package attr

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

func TestNumbersBecomeCanonicalText(t *testing.T) {
	digits38 := strings.Repeat("9", 38)
	tests := []struct {
		in, want string
		err      error
	}{
		{"0", "0", nil}, {"-0", "0", nil}, {"0e5", "0", nil}, {"+7", "7", nil}, {"007", "7", nil}, {"1.50", "1.5", nil},
		{".5", "0.5", nil}, {"5.", "5", nil}, {"1e3", "1000", nil}, {"1E-3", "0.001", nil}, {"-12.340e1", "-123.4", nil},
		{"1e125", "1E125", nil}, {"1e126", "", ErrOverflow}, {"9.9e125", "99E124", nil},
		{"1e-130", "1E-130", nil}, {"-1e18", "-1000000000000000000", nil}, {"-1e19", "-1E19", nil}, {"1e-131", "", ErrUnderflow}, {"1e99999999999999999999", "", ErrOverflow},
		{digits38, digits38, nil}, {digits38 + "9", "", ErrPrecision}, {digits38 + "0", digits38 + "0", nil},
		{"", "", ErrNotNumber}, {"a", "", ErrNotNumber}, {"1a", "", ErrNotNumber}, {"--1", "", ErrNotNumber}, {"1e", "", ErrNotNumber},
		{".", "", ErrNotNumber}, {"1 ", "", ErrNotNumber}, {"NaN", "", ErrNotNumber}, {"1.2.3", "", ErrNotNumber}, {"٣", "", ErrNotNumber},
	}
	for _, test := range tests {
		got, err := ParseNumber(test.in)
		if got != test.want || !errors.Is(err, test.err) {
			t.Errorf("ParseNumber(%q) = %q, %v; want %q, %v", test.in, got, err, test.want, test.err)
		}
	}
}

func TestNumbersAreAnsweredWithoutExponents(t *testing.T) {
	for in, want := range map[string]string{
		"1e125": "1" + strings.Repeat("0", 125), "-9.9e125": "-99" + strings.Repeat("0", 124), "1e-130": "0." + strings.Repeat("0", 129) + "1",
		"-12e-25": "-0." + strings.Repeat("0", 23) + "12", "12.5": "12.5", "0": "0",
	} {
		canonical, err := ParseNumber(in)
		if got := Plain(canonical); err != nil || got != want {
			t.Errorf("%s is %s, %v; want %s", in, got, err, want)
		}
	}
}

func randomNumber(r *rand.Rand) string {
	text := strconv.Itoa(r.IntN(2000) - 1000)
	switch r.IntN(4) {
	case 0:
		text += "." + strconv.Itoa(r.IntN(1000))
	case 1:
		text += "e" + strconv.Itoa(r.IntN(60)-30)
	case 2:
		text += strconv.FormatUint(r.Uint64(), 10)
	}
	n, err := ParseNumber(text)
	if err != nil {
		panic(err)
	}
	return n
}

func rational(t *testing.T, text string) *big.Rat {
	t.Helper()
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		t.Fatalf("%q is no number", text)
	}
	return r
}

func TestNumbersOrderAddAndEncodeAsTheirValues(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		a, b := randomNumber(r), randomNumber(r)
		x, y := rational(t, a), rational(t, b)
		if got := CompareNumbers(a, b); sign(got) != x.Cmp(y) {
			t.Fatalf("CompareNumbers(%s, %s) = %d", a, b, got)
		}
		keyA, keyB := AppendKey(nil, Value{Kind: N, Str: a}), AppendKey(nil, Value{Kind: N, Str: b})
		if got := bytes.Compare(keyA, keyB); got != x.Cmp(y) {
			t.Fatalf("keys of %s and %s compare as %d", a, b, got)
		}
		if sum, err := Add(a, b); err == nil && rational(t, sum).Cmp(new(big.Rat).Add(x, y)) != 0 {
			t.Fatalf("%s + %s = %s", a, b, sum)
		}
		if diff, err := Subtract(a, b); err == nil && rational(t, diff).Cmp(new(big.Rat).Sub(x, y)) != 0 {
			t.Fatalf("%s - %s = %s", a, b, diff)
		}
	}
	if _, err := Add("1e100", "1"); err == nil {
		t.Error("a sum with 101 digits was accepted")
	}
	if _, err := Add("9e125", "9e125"); !errors.Is(err, ErrOverflow) {
		t.Errorf("sum beyond the range: %v", err)
	}
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

func TestKeysOrderAsTheirTexts(t *testing.T) {
	texts := []string{"", "\x00", "\x00\x00", "\x00\x01", "\x00\xff", "\x01", "a", "a\x00", "a\x00b", "a\x01", "aa", "b", "\xff", "\xff\xff"}
	for i, a := range texts {
		key := AppendKey(nil, String(a))
		for j, b := range texts {
			if got := bytes.Compare(key, AppendKey(nil, String(b))); got != sign(i-j) {
				t.Errorf("keys of %q and %q compare as %d", a, b, got)
			}
		}
		if prefix := AppendKeyPrefix(nil, a); !bytes.HasPrefix(key, prefix) {
			t.Errorf("key of %q does not begin with %x", a, prefix)
		}
	}
}

const everyKind = `{"b":{"B":"AAEC"},"bs":{"BS":["AQ==","Ag=="]},"l":{"L":[{"S":""},{"N":"-1.5"},{"M":{}}]},"m":{"M":{"x":{"NULL":true}}},` +
	`"n":{"N":"12"},"no":{"BOOL":false},"ns":{"NS":["-3","2","10"]},"q\"\\\u0001é":{"S":"\u0000\"\\ü"},"ss":{"SS":["","a"]},"t":{"BOOL":true}}`

func TestItemsKeepTheirFormThroughJSONAndStorage(t *testing.T) {
	var it Item
	if err := json.Unmarshal([]byte(everyKind), &it); err != nil {
		t.Fatal(err)
	}
	if problem := it.Problem(); problem != "" {
		t.Fatal(problem)
	}
	if got := string(it.AppendJSON(nil)); got != everyKind {
		t.Errorf("JSON became\n%s, want\n%s", got, everyKind)
	}
	stored := Encode(nil, it)
	back, err := Decode(stored)
	if err != nil || !EqualItems(it, back) {
		t.Errorf("stored form reads back as %v, %v", back, err)
	}
	text, size, err := AppendStored([]byte("before"), stored)
	if err != nil || string(text) != "before"+everyKind || size != it.Size() {
		t.Errorf("transcoded to %s, size %d of %d, %v", text, size, it.Size(), err)
	}
	for i := range stored {
		if _, _, err := AppendStored(nil, stored[:i]); err == nil {
			t.Errorf("the first %d of %d bytes were transcoded", i, len(stored))
		}
		if _, err := Decode(stored[:i]); err == nil {
			t.Errorf("the first %d of %d bytes were accepted", i, len(stored))
		}
	}
}

func TestStoredFormIsGolden(t *testing.T) {
	it := Item{
		"k": String("v"), "n": {Kind: N, Str: "-1.5"}, "b": {Kind: B, Str: "\x00"}, "t": {Kind: BOOL, Bool: true}, "z": {Kind: NULL},
		"m": MakeMap(Item{"x": String("")}), "l": MakeList([]Value{{Kind: NULL}}), "s": MakeSet(SS, []string{"a", "b"}),
	}
	const want = "01080162030100016b010176016c070105016d06010178010001 6e02042d312e35 017308020161016201740401017a05"
	if got := hex.EncodeToString(Encode(nil, it)); got != strings.ReplaceAll(want, " ", "") {
		t.Errorf("stored form is %s", got)
	}
	if _, err := Decode([]byte{2, 0}); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("a later version gives %v", err)
	}
}

func TestMalformedAttributesAreNamed(t *testing.T) {
	deep := func(n int) string {
		return strings.Repeat(`{"L":[`, n) + `{"S":"x"}` + strings.Repeat(`]}`, n)
	}
	tests := []struct{ in, problem, err string }{
		{`{}`, msgEmptyValue, ""},
		{`{"X":"a"}`, msgEmptyValue, ""},
		{`{"S":"a","N":"1"}`, msgManyKinds, ""},
		{`{"N":"x"}`, "The parameter cannot be converted to a numeric value: x", ""},
		{`{"N":""}`, "The parameter cannot be converted to a numeric value", ""},
		{`{"NULL":false}`, msgInvalid + "Null attribute value types must have the value of true", ""},
		{`{"SS":[]}`, msgInvalid + "An string set  may not be empty", ""},
		{`{"BS":[]}`, msgInvalid + "Binary sets should not be empty", ""},
		{`{"SS":["b","a","b"]}`, msgInvalid + "Input collection [b, a, b] contains duplicates.", ""},
		{`{"NS":["1","1.0"]}`, "Input collection contains duplicates", ""},
		{`{"L":[{"M":{"a":{"N":"-"}}}]}`, "The parameter cannot be converted to a numeric value: -", ""},
		{deep(MaxNesting), "", ""},
		{deep(MaxNesting + 1), msgNesting, ""},
		{deep(3000), msgNesting, ""},
		{`{"S":5}`, "", "NUMBER_VALUE cannot be converted to String"},
		{`{"S":1.5}`, "", "DECIMAL_VALUE cannot be converted to String"},
		{`{"N":true}`, "", "TRUE_VALUE cannot be converted to String"},
		{`{"S":[]}`, "", "Unrecognized collection type class java.lang.String"},
		{`{"B":"abc"}`, "", "Base64 encoded length is expected a multiple of 4 bytes but found: 3"},
		{`{"B":"ab=c"}`, "", "Invalid last non-pad Base64 character dectected"},
		{`{"M":[]}`, "", "Unrecognized collection type java.util.Map<java.lang.String, com.amazonaws.dynamodb.v20120810.AttributeValue>"},
		{`{"L":{}}`, "", "Start of structure or map found where not expected"},
		{`"a"`, "", "Unexpected value type in payload"},
	}
	for _, test := range tests {
		var it Item
		err := json.Unmarshal([]byte(`{"a":`+test.in+`}`), &it)
		var shape *SerializationError
		switch {
		case test.err != "" && (!errors.As(err, &shape) || shape.Message != test.err):
			t.Errorf("%.60s: error %v, want %q", test.in, err, test.err)
		case test.err == "" && (err != nil || it.Problem() != test.problem):
			t.Errorf("%.60s: %q, %v; want %q", test.in, it.Problem(), err, test.problem)
		}
	}
}

func TestSizes(t *testing.T) {
	tests := []struct {
		in   string
		want int
	}{
		{`{"S":"üb"}`, 3}, {`{"N":"0"}`, 1}, {`{"N":"5"}`, 2}, {`{"N":"123"}`, 3}, {`{"N":"-123"}`, 4}, {`{"N":"1000"}`, 2}, {`{"B":"AAEC"}`, 3},
		{`{"BOOL":true}`, 1}, {`{"NULL":true}`, 1}, {`{"L":[]}`, 3}, {`{"L":[{"S":"ab"}]}`, 6}, {`{"M":{"k":{"S":"ab"}}}`, 7}, {`{"SS":["a","bc"]}`, 3},
	}
	for _, test := range tests {
		var v Value
		if err := json.Unmarshal([]byte(test.in), &v); err != nil {
			t.Fatal(err)
		}
		if got := v.Size(); got != test.want {
			t.Errorf("size of %s is %d, want %d", test.in, got, test.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	var it Item
	if err := json.Unmarshal([]byte(everyKind), &it); err != nil {
		f.Fatal(err)
	}
	f.Add(Encode(nil, it))
	f.Add([]byte{1, 1, 1, 'a', 7, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add(append([]byte{1, 1, 0}, bytes.Repeat([]byte{7, 1}, 100)...))
	f.Fuzz(func(t *testing.T, stored []byte) {
		var it Item
		var err error
		frugal(t, "decoding", len(stored), func() { it, err = Decode(stored) })
		_, size, err2 := AppendStored(nil, stored)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("decoding gives %v, transcoding %v", err, err2)
		}
		if err != nil {
			return
		}
		if canonical := Encode(nil, it); bytes.Equal(canonical, stored) && size != it.Size() {
			t.Fatalf("transcoding gives size %d of %d", size, it.Size())
		}
		again, err := Decode(Encode(nil, it))
		if err != nil || !EqualItems(it, again) {
			t.Fatalf("decoded item does not keep its form: %v, %v", again, err)
		}
	})
}

func FuzzItemJSON(f *testing.F) {
	f.Add([]byte(everyKind))
	f.Add([]byte(`{"a":{"L":[{"L":[{"SS":["a","a"]}]}]}}`))
	f.Add([]byte(`{"a":{"S":"\ud800"},"a":{"S":"x"}}`))
	f.Add([]byte(`{"a":{"M":{"b":{"S":"x"},"a":{"NS":["1E125","2"]}}},"b":{"L":[{"M":{"a":{"NULL":true},"a":{"BOOL":false}}}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var it Item
		var err error
		frugal(t, "reading", len(data), func() { err = it.UnmarshalJSON(bytes.TrimSpace(data)) })
		if !json.Valid(data) { // it is only given what is
			return
		}
		if err != nil || it.Problem() != "" {
			return
		}
		if stored, err := Decode(Encode(nil, it)); err != nil || !EqualItems(it, stored) {
			t.Fatalf("%s is stored as %v, %v", data, stored, err)
		}
		var again Item
		if err := json.Unmarshal(it.AppendJSON(nil), &again); err != nil || !EqualItems(it, again) {
			t.Fatalf("%s became %s, %v", data, it.AppendJSON(nil), err)
		}
	})
}
