package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// A soaked is what a soak adds to its file.
type soaked struct {
	Began      time.Time `json:"began"`
	Commit     string    `json:"commit"`
	Go         string    `json:"go"`
	FirstSeed  uint64    `json:"first_seed"`
	Seeds      int       `json:"seeds"`
	FleetHours float64   `json:"fleet_hours"`
	Layer2     layer2    `json:"layer2"`
	Crashes    int       `json:"crashes"`
	Pauses     int       `json:"pauses"`
	FaultyReqs int       `json:"faulty_requests"`
	Violations int       `json:"violations"`
	Seconds    float64   `json:"seconds"`
}

// Seeds of a round of a soak. Layer 2 gets about a tenth of the time.
const (
	roundSeeds, roundSeeds2 = 400, 4
	freshSeeds              = 1_000_000_000 // below are those of other runs
)

// soak runs fleets with fresh seeds until the time is up or ctx ends, and goes on after a violation: its seed is printed.
func (r *run) soak(ctx context.Context, long time.Duration, path string) error {
	clean, err := r.open()
	if err != nil {
		return err
	}
	defer clean()
	s := soaked{Began: r.started.UTC().Truncate(time.Second), Commit: commit(ctx), Go: runtime.Version()}
	s.FirstSeed = freshSeeds + uint64(s.Began.Unix())*1000
	next := s.FirstSeed
	for time.Since(r.started) < long && ctx.Err() == nil {
		one, _, err := r.seeds(ctx, r.fleetBinary(), next, roundSeeds)
		var two figures
		if err == nil {
			two, _, err = r.seeds(ctx, r.fleetBinary(), next, roundSeeds2, "-layer", "2")
		}
		switch {
		case ctx.Err() != nil: // interrupted: what was whole counts
			continue
		case err != nil:
			return err
		}
		next += roundSeeds
		s.Seeds += one.Seeds
		s.FleetHours += one.FleetHours
		s.Crashes += one.Crashes + two.Crashes
		s.Pauses += one.Pauses + two.Pauses
		s.FaultyReqs += one.FaultyRequests + two.FaultyRequests
		s.Violations += one.Violations + two.Violations
		s.Layer2.Seeds += two.Seeds
		s.Layer2.FleetHours += two.FleetHours
		s.Layer2.PowerCuts += two.PowerCuts
		fmt.Printf("%8v: %.0f fleet-hours, %d violations\n", time.Since(r.started).Round(time.Second), s.FleetHours+s.Layer2.FleetHours, s.Violations)
	}
	s.Seconds = time.Since(r.started).Seconds()
	line, err := json.Marshal(s)
	if err != nil {
		return err
	}
	fmt.Println(string(line))
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("record the soak: %w", err)
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		return errors.Join(fmt.Errorf("record the soak: %w", err), f.Close())
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("record the soak: %w", err)
	}
	if s.Violations > 0 {
		return errBroken
	}
	return nil
}

func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
