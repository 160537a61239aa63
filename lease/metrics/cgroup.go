package metrics

import (
	"context"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// The files of a container's control group (Cgroupv2CpuWorkerMetric.java, Cgroupv1CpuWorkerMetric.java).
const (
	cgroupRoot = "sys/fs/cgroup/"
	v2Marker   = cgroupRoot + "cgroup.controllers"
	v2Stat     = cgroupRoot + "cpu.stat"
	v2Max      = cgroupRoot + "cpu.max"
	v2Set      = cgroupRoot + "cpuset.cpus.effective"
	v1Usage    = cgroupRoot + "cpu/cpuacct.usage"
	v1Quota    = cgroupRoot + "cpu/cpu.cfs_quota_us"
	v1Period   = cgroupRoot + "cpu/cpu.cfs_period_us"
	v1Set      = cgroupRoot + "cpuset/cpuset.effective_cpus"
)

// cgroup measures the CPU time of the container against what it may use; nil if there is no control group.
func (r *Reporter) cgroup() capture {
	switch {
	case r.exists(v2Marker):
		return r.share(r.v2Used, r.v2Limit)
	case r.exists(v1Usage):
		return r.share(r.v1Used, r.v1Limit)
	}
	return nil
}

// limited says whether the control group has a limit of its own.
func (r *Reporter) limited() bool {
	if r.exists(v2Marker) {
		text, err := r.line(v2Max)
		return err == nil && !strings.HasPrefix(text, "max")
	}
	quota, err := r.number(v1Quota)
	return err == nil && quota > 0
}

// share measures how much of limit processors was used since the last sample.
func (r *Reporter) share(used func() (time.Duration, error), limit func() (float64, error)) capture {
	var (
		most float64
		last time.Duration
		at   time.Time
	)
	return func(context.Context) (float64, error) {
		if most == 0 {
			var err error
			if most, err = limit(); err != nil {
				return 0, fmt.Errorf("measure the container's CPU: its limit: %w", err)
			}
		}
		now, err := used()
		if err != nil {
			return 0, fmt.Errorf("measure the container's CPU: %w", err)
		}
		was, since := last, at
		last, at = now, r.cfg.Clock.Now()
		passed := at.Sub(since)
		if since.IsZero() || passed <= 0 || now < was {
			return 0, nil
		}
		return min(100, float64(now-was)/float64(passed)/most*100), nil
	}
}

func (r *Reporter) v2Used() (time.Duration, error) {
	line, err := r.line(v2Stat)
	if err != nil {
		return 0, err
	}
	text, ok := strings.CutPrefix(line, "usage_usec ")
	if !ok {
		return 0, fmt.Errorf("/%s: the first line is %.100q, want usage_usec and a number", v2Stat, line)
	}
	micros, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("/%s: %w", v2Stat, err)
	}
	return time.Duration(micros) * time.Microsecond, nil
}

func (r *Reporter) v2Limit() (float64, error) {
	line, err := r.line(v2Max)
	if err != nil {
		return 0, err
	}
	quota, period, _ := strings.Cut(line, " ")
	if quota == "max" {
		return r.processors(v2Set)
	}
	q, errQ := strconv.ParseFloat(quota, 64)
	p, errP := strconv.ParseFloat(period, 64)
	if errQ != nil || errP != nil || q <= 0 || p <= 0 {
		return 0, fmt.Errorf("/%s is %.100q, want two positive numbers, or max and one", v2Max, line)
	}
	return q / p, nil
}

func (r *Reporter) v1Used() (time.Duration, error) {
	nanos, err := r.number(v1Usage)
	return time.Duration(nanos), err
}

func (r *Reporter) v1Limit() (float64, error) {
	quota, err := r.number(v1Quota)
	if err != nil {
		return 0, err
	}
	if quota == -1 {
		return r.processors(v1Set)
	}
	period, err := r.number(v1Period)
	if err != nil {
		return 0, err
	}
	if quota <= 0 || period <= 0 {
		return 0, fmt.Errorf("/%s is %d and /%s is %d, want positive numbers", v1Quota, quota, v1Period, period)
	}
	return float64(quota) / float64(period), nil
}

// processors counts the processors in a list like 0-3,8.
func (r *Reporter) processors(name string) (float64, error) {
	line, err := r.line(name)
	if err != nil {
		return 0, err
	}
	n := 0
	for part := range strings.SplitSeq(line, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		a, errA := strconv.Atoi(from)
		b, errB := strconv.Atoi(to)
		if errA != nil || errB != nil || b < a {
			return 0, fmt.Errorf("/%s is %.100q, want a list like 0-3,8", name, line)
		}
		n += b - a + 1
	}
	return float64(n), nil
}

func (r *Reporter) number(name string) (int64, error) {
	line, err := r.line(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(line, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("/%s: %w", name, err)
	}
	return n, nil
}

// line is the first line of a file.
func (r *Reporter) line(name string) (string, error) {
	text, err := fs.ReadFile(r.cfg.Files, name)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(line), nil
}
