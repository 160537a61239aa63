package expr

import (
	"runtime"
	"strings"
	"testing"
)

// frugal fails the test if f, which reads size bytes, allocates more than four times that and a MiB.
func frugal(t *testing.T, what string, size int, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if used, bound := after.TotalAlloc-before.TotalAlloc, 4*uint64(size)+1<<20; used > bound {
		t.Errorf("%s: %d bytes of input took %d bytes of memory, want at most %d", what, size, used, bound)
	}
}

func TestParsingTakesMemoryInProportion(t *testing.T) {
	for name, src := range map[string]string{
		"parentheses": strings.Repeat("(", 1<<20),
		"not":         strings.Repeat("NOT ", 1<<20),
		"and":         strings.Repeat("a AND ", 1<<20),
		"path":        "a" + strings.Repeat("[0]", 1<<20),
		"name":        strings.Repeat("a", 4<<20),
		"operands":    "a IN (" + strings.Repeat(":v,", 1<<20),
	} {
		for kind, parse := range map[string]func(string) error{
			"condition":  func(s string) error { _, err := ParseCondition(s); return err },
			"update":     func(s string) error { _, err := ParseUpdate("SET a = " + s); return err },
			"projection": func(s string) error { _, err := ParseProjection(s); return err },
		} {
			frugal(t, name+" as a "+kind, len(src), func() { _ = parse(src) })
		}
	}
}
