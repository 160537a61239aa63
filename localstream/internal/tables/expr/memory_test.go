package expr

import (
	"runtime"
	"strings"
	"testing"
)

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
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_ = parse(src)
			runtime.ReadMemStats(&after)
			if got, bound := after.TotalAlloc-before.TotalAlloc, uint64(4*len(src)+1<<20); got > bound {
				t.Errorf("%s as a %s: %d bytes allocate %d, want at most %d", name, kind, len(src), got, bound)
			}
		}
	}
}
