package metrics

import (
	"context"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

const procStat = "proc/stat"

// A cpuTime is the first line of /proc/stat, in ticks.
type cpuTime struct{ busy, idle, wait uint64 }

func (c cpuTime) total() uint64 { return c.busy + c.idle + c.wait }

// proc measures the machine's processors; waiting for disks counts as busy (LinuxCpuWorkerMetric.java).
func (r *Reporter) proc() capture {
	var last cpuTime
	return func(context.Context) (float64, error) {
		text, err := fs.ReadFile(r.cfg.Files, procStat)
		if err != nil {
			return 0, fmt.Errorf("measure the CPU: %w", err)
		}
		now, err := parseCPU(text)
		if err != nil {
			return 0, fmt.Errorf("measure the CPU: /%s: %w", procStat, err)
		}
		was := last
		last = now
		total, idle := int64(now.total()-was.total()), int64(now.idle-was.idle)
		// The kernel's count of waiting may go back; then there was nothing to do anyway.
		if was == (cpuTime{}) || total <= 0 || idle < 0 || idle > total {
			return 0, nil
		}
		return float64(total-idle) / float64(total) * 100, nil
	}
}

func parseCPU(text []byte) (cpuTime, error) {
	line, _, _ := strings.Cut(string(text), "\n")
	words := strings.Fields(line)
	if len(words) < 6 || words[0] != "cpu" {
		return cpuTime{}, fmt.Errorf("the first line is %.100q, want cpu and at least five numbers", line)
	}
	var n [5]uint64 // user, nice, system, idle, iowait
	for i := range n {
		var err error
		if n[i], err = strconv.ParseUint(words[i+1], 10, 63); err != nil {
			return cpuTime{}, fmt.Errorf("number %d: %w", i+1, err)
		}
	}
	return cpuTime{busy: n[0] + n[1] + n[2], idle: n[3], wait: n[4]}, nil
}
