package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/shoal-stream/shoal/integration/fleet"
	"github.com/shoal-stream/shoal/internal/mutant"
)

// A stage is one part of the proof. It adds its figures to the verdict and reports whether everything held.
type stage struct {
	name  string
	run   func(r *run, ctx context.Context) (held bool, err error)
	waits bool // it takes real time more than processors: it runs beside the others, and writes nothing that they write
}

var stages = []stage{
	{name: "layer1", run: (*run).layer1},
	{name: "layer2", run: (*run).layer2},
	{name: "race", run: (*run).racing},
	{name: "replay", run: (*run).replays},
	{name: "mutants", run: (*run).mutants},
	{name: "model", run: (*run).model},
	{name: "processes", run: (*run).processes, waits: true},
	{name: "server", run: (*run).server},
}

// plantedWithin is within how many seeds each planted fault is found.
const plantedWithin = 200

// enough is from how many seeds on every rare situation must be reached, or the run was blind.
const enough = 1500

// figures is the line that a test of fleets prints.
type figures struct {
	Seeds          int            `json:"seeds"`
	FleetHours     float64        `json:"fleet_hours"`
	Crashes        int            `json:"crashes"`
	Pauses         int            `json:"pauses"`
	FaultyRequests int            `json:"faulty_requests"`
	PowerCuts      int            `json:"power_cuts"`
	Violations     int            `json:"violations"`
	Missed         []string       `json:"sometimes_missed"`
	Reached        map[string]int `json:"reached"`
}

func (f *figures) add(o figures) {
	f.Seeds += o.Seeds
	f.FleetHours += o.FleetHours
	f.Crashes += o.Crashes
	f.Pauses += o.Pauses
	f.FaultyRequests += o.FaultyRequests
	f.PowerCuts += o.PowerCuts
	f.Violations += o.Violations
	for name, n := range o.Reached {
		f.Reached[name] += n
	}
	if f.Missed == nil {
		f.Missed = slices.Clone(o.Missed)
	}
	f.Missed = slices.DeleteFunc(f.Missed, func(name string) bool { return !slices.Contains(o.Missed, name) })
}

// seeds runs seeds in all lanes.
func (r *run) seeds(ctx context.Context, b binary, first uint64, count int, args ...string) (sum figures, held bool, err error) {
	var parts [][]string
	for i := range lanes {
		each := count / lanes
		part := []string{"-test.run", "TestSeeds$", "-blind", "-seeds", fmt.Sprintf("%d:%d", first+uint64(i*each), each)}
		parts = append(parts, append(part, args...))
	}
	lines, held, err := r.fleets(ctx, b, parts)
	if err != nil {
		return sum, false, err
	}
	sum.Reached = map[string]int{}
	for _, line := range lines {
		var f figures
		if err := json.Unmarshal(line, &f); err != nil {
			return sum, false, fmt.Errorf("figures of fleets: %w", err)
		}
		sum.add(f)
	}
	return sum, held, nil
}

// fleetBinary is the one for fleets: with a planted fault, if FAULT names one.
func (r *run) fleetBinary() binary {
	if _, ok := mutant.Named(r.fault); ok {
		return mutated
	}
	return plain
}

func (r *run) layer1(ctx context.Context) (bool, error) {
	n := r.size.seeds
	if r.fleetBinary() == mutated {
		n = min(n, plantedWithin)
	}
	f, held, err := r.seeds(ctx, r.fleetBinary(), r.first, n)
	if err != nil {
		return false, err
	}
	v := &r.verdict
	v.Seeds, v.FleetHours, v.Crashes, v.Pauses, v.FaultyReqs = f.Seeds, f.FleetHours, f.Crashes, f.Pauses, f.FaultyRequests
	v.Violations += f.Violations
	v.Missed = append([]string{}, f.Missed...)
	fmt.Printf("           %d seeds, %.0f fleet-hours, %d crashes, %d pauses, %d faulty requests\n", f.Seeds, f.FleetHours, f.Crashes, f.Pauses, f.FaultyRequests)
	for _, name := range slices.Sorted(maps.Keys(f.Reached)) {
		fmt.Printf("           %8d times: %s\n", f.Reached[name], name)
	}
	for _, name := range f.Missed {
		fmt.Printf("           never: %s\n", name)
	}
	return held && f.Violations == 0 && (len(f.Missed) == 0 || f.Seeds < enough), nil
}

func (r *run) layer2(ctx context.Context) (bool, error) {
	f, held, err := r.seeds(ctx, r.fleetBinary(), r.first, r.size.seeds2, "-layer", "2")
	if err != nil {
		return false, err
	}
	r.verdict.Layer2 = layer2{f.Seeds, f.FleetHours, f.PowerCuts}
	r.verdict.Violations += f.Violations
	fmt.Printf("           %d seeds, %.1f fleet-hours on localstream, %d power cuts\n", f.Seeds, f.FleetHours, f.PowerCuts)
	return held && f.Violations == 0, nil
}

func (r *run) racing(ctx context.Context) (bool, error) {
	one, held, err := r.seeds(ctx, racing, r.first+1_000_000, r.size.raceSeeds)
	if err != nil {
		return false, err
	}
	two, held2, err := r.seeds(ctx, racing, r.first+1_000_000, r.size.raceSeeds2, "-layer", "2")
	if err != nil {
		return false, err
	}
	r.verdict.Race = race{one.Seeds + two.Seeds, one.FleetHours + two.FleetHours}
	r.verdict.Violations += one.Violations + two.Violations
	return held && held2 && one.Violations+two.Violations == 0, nil
}

// replays runs seeds of both layers twice each in fresh processes.
func (r *run) replays(ctx context.Context) (bool, error) {
	all := true
	for _, c := range []struct{ n, layer int }{{r.size.replays, 1}, {r.size.replays2, 2}} {
		var got replay
		held, err := r.program(ctx, givesWay, &got, "./integration/sim/overlay", "-replay", "-run", "TestSeed$", "-first", strconv.FormatUint(r.first, 10),
			"-runs", strconv.Itoa(c.n), "-args", "-layer "+strconv.Itoa(c.layer), "./integration/sim")
		if err != nil {
			return false, err
		}
		r.verdict.Replay.Runs += got.Runs
		r.verdict.Replay.Equal += got.Equal
		all = all && held && got.Equal == got.Runs
	}
	fmt.Printf("           %d of %d seeds repeat exactly\n", r.verdict.Replay.Equal, r.verdict.Replay.Runs)
	return all, nil
}

func (r *run) model(ctx context.Context) (bool, error) {
	var got struct {
		States  int64 `json:"model_states"`
		Planted int   `json:"planted"`
		Found   int   `json:"found"`
	}
	held, err := r.program(ctx, givesWay, &got, "./integration/model", r.size.model...)
	r.verdict.ModelStates, r.verdict.ModelPlanted, r.verdict.ModelFound = got.States, got.Planted, got.Found
	return held && got.Found == got.Planted, err
}

// processes runs real processes under faults. FAULT may name one of those that can be planted there.
func (r *run) processes(ctx context.Context) (bool, error) {
	fault := ""
	if slices.Contains(slices.Concat(fleet.Faults, fleet.HarnessFaults), r.fault) {
		fault = r.fault
	}
	all := true
	for range r.size.crowds {
		var got processes
		held, err := r.program(ctx, goesFirst, &got, "./integration/crowd", append([]string{"-fault", fault}, r.size.crowd...)...)
		if err != nil {
			return false, err
		}
		r.verdict.Processes.add(got)
		all = all && held && got.Lost == 0 && got.OutOfOrder == 0
	}
	p := &r.verdict.Processes
	fmt.Printf("           %d kills, %d stops, %d kills of the server, %d records; failover p50 %d ms, p99 %d ms\n",
		p.Kills, p.Stops, p.ServerKills, p.Records, p.FailoverP50, p.FailoverP99)
	return all, nil
}

// server breaks localstream's disk, machine and process. FAULT may name one of the faults that can be planted there.
func (r *run) server(ctx context.Context) (bool, error) {
	v, fault := &r.verdict.Server, ""
	if slices.Contains(fleet.ServerFaults, r.fault) {
		fault = r.fault
	}
	held, err := r.program(ctx, givesWay, v, "./integration/durability", append([]string{"-fault", fault}, r.size.server...)...)
	fmt.Printf("           %d power cuts, %d kills, %d disk errors, %d flips: %d times something lost, %d times something wrong\n",
		v.PowerCuts, v.Kills, v.DiskErrors, v.Flips, v.Lost, v.Wrong)
	return held && v.Lost == 0 && v.Wrong == 0, err
}
