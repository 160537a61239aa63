package attr

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// corpus are the inputs that fuzzing has found.
func corpus(t *testing.T, target string) (inputs []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "fuzz", target, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus of %s: %v", target, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		quoted := strings.TrimSuffix(strings.TrimPrefix(strings.Split(string(content), "\n")[1], "[]byte("), ")")
		input, err := strconv.Unquote(quoted)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		inputs = append(inputs, input)
	}
	return inputs
}

// frugal fails the test if f, which reads size bytes, allocates more than four times that and a MiB.
func frugal(t *testing.T, what string, size int, f func()) {
	t.Helper()
	if used, bound := allocated(f), leeway*(4*uint64(size)+1<<20); used > bound {
		t.Errorf("%s: %d bytes of input took %d bytes of memory, want at most %d", what, size, used, bound)
	}
}

// bombs are items that ask for much memory by few bytes.
func bombs() map[string]string {
	deep := strings.Repeat(`{"L":[`, 1<<16)
	nested := func(inner string) string {
		return strings.Repeat(`{"L":[`, 30) + inner + strings.Repeat(`]}`, 30)
	}
	all := map[string]string{
		"deep, cut off": deep, "deep": deep + strings.Repeat(`]}`, 1<<16),
		"long text":          `{"S":"` + strings.Repeat("x", 1<<20) + `"}`,
		"escapes":            `{"S":"` + strings.Repeat(`\u00e4`, 1<<16) + `"}`,
		"long binary":        `{"B":"` + strings.Repeat("AAAA", 1<<20) + `"}`,
		"long number":        `{"N":"` + strings.Repeat("9", 1<<20) + `"}`,
		"a deep map of many": strings.Repeat(`{"M":{"a":`, 30) + `{"M":` + names(1<<15, `{"S":""}`) + `}` + strings.Repeat(`}}`, 30),
		"many kinds":         `{` + strings.Repeat(`"L":[{"S":"x"}],`, 1<<16) + `"L":[]}`,
		"a set of texts":     `{"SS":` + words(1<<16) + `}`,
		"a set of binaries":  `{"BS":[` + strings.Repeat(`"AA==",`, 1<<14) + `"AQ=="]}`,
		"one text again":     `{"SS":[` + strings.Repeat(`"a",`, 1<<16) + `"a"]}`,
		"numbers":            `{"NS":[` + numbers(1<<15) + `]}`,
	}
	for _, element := range []string{
		`{}`, `{"S":""}`, `{"N":"1"}`, `{"N":"12"}`, `{"N":"1E125"}`, `{"N":"-1E-99"}`, `{"B":""}`, `{"NULL":true}`, `{"BOOL":false}`, `{"L":[]}`, `{"M":{}}`,
		`{"L":[{"S":""}]}`, `{"M":{"a":{"S":""}}}`, `{"L":[{"L":[{"L":[]}]}]}`, `{"M":{"b":{"N":"1"},"a":{"M":{}}}}`, `{"SS":["a"]}`, `{"NS":["1E125"]}`, `{"BS":["AA=="]}`, `{"S":"a","N":"1"}`,
	} {
		list := `{"L":[` + strings.Repeat(element+",", 1<<14) + element + `]}`
		all["a list of "+element] = list
		all["a deep list of "+element] = nested(list)
	}
	return all
}

// shortest is the i-th of the shortest names.
func shortest(i int) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-"
	text := []byte{digits[i%64]}
	for i /= 64; i > 0; i /= 64 {
		text = append(text, digits[i%64])
	}
	return string(text)
}

// names is a map of n short names that all have one value, in no order.
func names(n int, value string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"%s":%s`, shortest(i), value)
	}
	return "{" + b.String()[1:] + "}"
}

func words(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"%s"`, shortest(i))
	}
	return "[" + b.String()[1:] + "]"
}

func numbers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"%dE99"`, i+1)
	}
	return b.String()[1:]
}

func TestReadingItemsTakesMemoryInProportion(t *testing.T) {
	for name, value := range bombs() {
		in := []byte(`{"a":` + value + `}`)
		frugal(t, name, len(in), func() { _ = new(Item).UnmarshalJSON(in) })
	}
	for _, value := range []string{`{"S":""}`, `{"M":{"a":{"S":""}}}`, `{}`} {
		in := []byte(names(1<<16, value))
		frugal(t, "many attributes "+value, len(in), func() { _ = new(Item).UnmarshalJSON(in) })
	}
	for i, in := range corpus(t, "FuzzItemJSON") {
		frugal(t, name(i, in), len(in), func() { _ = json.Unmarshal([]byte(in), new(Item)) })
	}
	for i, in := range corpus(t, "FuzzDecode") {
		frugal(t, name(i, in), len(in), func() { _, _ = Decode([]byte(in)) })
	}
}

func TestAnItemHasAtMostSoManyAttributes(t *testing.T) {
	for n, want := range map[int]string{maxAttributes: "", maxAttributes + 1: msgTooLarge} {
		var it Item
		if err := json.Unmarshal([]byte(names(n, `{"S":""}`)), &it); err != nil || it.Problem() != want {
			t.Errorf("%d attributes: %q, %v", n, it.Problem(), err)
		}
	}
}

func name(i int, in string) string { return fmt.Sprintf("%d (%.40q)", i, in) }
