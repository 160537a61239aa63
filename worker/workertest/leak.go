package workertest

import (
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

var bubbleOf = regexp.MustCompile(`^goroutine \d+ \[[^\]]*synctest bubble (\d+)[^\]]*\]`)

// leaks looks for goroutines of the bubble that are still there, besides the test's own. Such a bubble cannot end.
func (h *history) leaks() {
	var left []string
	for _, g := range bubbleGoroutines() {
		if !strings.Contains(g, "internal/synctest.Run(") && !strings.Contains(g, "testing/synctest.Test.func1") && !strings.Contains(g, "testing.testingSynctestTest") {
			left = append(left, g)
		}
	}
	if len(left) == 0 {
		return
	}
	h.book.problem(Problem{Kind: "goroutine left behind", Count: len(left), Text: fmt.Sprintf(
		"  %d goroutines are still there after every worker has stopped and every context has ended. One of them:\n%s\n  Start goroutines with Shard.Go, and let them end with its context.", len(left), tidy(left[0]))})
}

// bubbleGoroutines are the stacks of the other goroutines of the bubble of the one that calls.
func bubbleGoroutines() []string {
	buf := make([]byte, 64<<10)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 4*len(buf))
	}
	all := strings.Split(string(buf), "\n\n")
	own := bubbleOf.FindStringSubmatch(all[0])
	if own == nil {
		return nil
	}
	var same []string
	for _, g := range all[1:] {
		if m := bubbleOf.FindStringSubmatch(g); m != nil && m[1] == own[1] {
			same = append(same, g)
		}
	}
	return same
}

// tidy is a stack for people: the frames between where the worker calls the application's code and where that stands.
func tidy(stack string) string {
	lines := strings.Split(strings.TrimSpace(stack), "\n")
	var kept []string
	if i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "panic(") }); i >= 0 && i+2 < len(lines) {
		lines = lines[i+2:]
	}
	for i := 0; i < len(lines); i++ {
		inner := strings.HasPrefix(lines[i], here+".(*session)") || strings.HasPrefix(lines[i], workers+".(*") || strings.Contains(lines[i], "sourcegraph/conc")
		if inner || len(kept) == 16 {
			break
		}
		kept = append(kept, lines[i])
	}
	return indent(strings.Join(kept, "\n"))
}

const (
	workers = "github.com/shoal-stream/shoal/worker"
	here    = workers + "/workertest"
)
