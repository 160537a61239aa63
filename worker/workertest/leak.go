package workertest

import (
	"fmt"
	"regexp"
	"runtime"
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
		"  %d goroutines are still there after every worker has stopped and every context has ended. One of them:\n%s\n  Start goroutines with Shard.Go, and let them end with its context.", len(left), indent(left[0]))})
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
