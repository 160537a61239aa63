package calm

import (
	"os"
	"strconv"
	"strings"
)

// Processors is what the machine's processors did, in shares of their time, or in ticks since the start.
type Processors struct {
	Total  float64
	Idle   float64 // with and without a disk to wait for
	Stolen float64 // with other machines on the same hardware
}

// Read reads the ticks since the start; on systems that do not tell there are none.
func Read() (p Processors) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return p
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line) {
		ticks, err := strconv.ParseFloat(field, 64)
		if err != nil || i > 8 { // the name; those for guests are counted already
			continue
		}
		p.Total += ticks
		switch i {
		case 4, 5:
			p.Idle += ticks
		case 8:
			p.Stolen += ticks
		}
	}
	return p
}

// Since is the shares of the time from an earlier reading on.
func (p Processors) Since(earlier Processors) Processors {
	total := max(1, p.Total-earlier.Total)
	return Processors{1, (p.Idle - earlier.Idle) / total, (p.Stolen - earlier.Stolen) / total}
}
