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

func TestReadingItemsTakesMemoryInProportion(t *testing.T) {
	deep := strings.Repeat(`{"L":[`, 1<<19)
	inputs := append(corpus(t, "FuzzItemJSON"),
		`{"a":`+deep, `{"a":`+deep+strings.Repeat(`]}`, 1<<19)+`}`,
		`{"a":{"S":"`+strings.Repeat("x", 4<<20)+`"}}`,
		`{"a":{"B":"`+strings.Repeat("AAAA", 1<<20)+`"}}`,
		`{"a":{"N":"`+strings.Repeat("9", 4<<20)+`"}}`,
		`{"a":{"L":[`+strings.Repeat(`{},`, 1<<20)+`{}]}}`,
	)
	for i, in := range inputs {
		got := allocated(func() { _ = json.Unmarshal([]byte(in), new(Item)) })
		if bound := uint64(4*len(in) + 1<<20); got > bound {
			t.Errorf("input %s of %d bytes allocates %d, want at most %d", name(i, in), len(in), got, bound)
		}
	}
	for i, in := range corpus(t, "FuzzDecode") {
		got := allocated(func() { _, _ = Decode([]byte(in)) })
		if bound := uint64(4*len(in) + 1<<20); got > bound {
			t.Errorf("stored item %s of %d bytes allocates %d, want at most %d", name(i, in), len(in), got, bound)
		}
	}
}

func name(i int, in string) string { return fmt.Sprintf("%d (%.40q)", i, in) }
