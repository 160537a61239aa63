// Leases measures what the leases of a fleet cost: request units of DynamoDB per lease and second, by operation, at rest,
// with a checkpoint and with a Mark per lease every 3 s, beside what the protocol of the Java KCL 3.x spends on renewals
// alone. The fleet is one of real workers with the real adapters, in one process with the localstream that they use.
//
//	go run ./integration/bench/leases                             20 workers, 1,000 leases
//	go run ./integration/bench/leases -leases 10000 -for 60s      the full size
//
// The last line is a JSON object. The exit status is 1 if the writes with a Mark every 3 s are more than 1.05 times KCL's
// renewals.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// What KCL 3.5.1 spends: a renewal of each lease every third of failoverTimeMillis less 25 ms
// (LeaseCoordinator, DynamoDBLeaseRenewer), whatever was checkpointed meanwhile.
const kclRenewEvery = 3308 * time.Millisecond

// kclWrites are its renewals per lease and second, 302 a second for 1,000 leases.
var kclWrites = 1 / kclRenewEvery.Seconds()

// every is the time between two checkpoints, or two Marks, of a lease.
const every = 3 * time.Second

// most is how many times KCL's renewals alone all writes may be while every lease is marked each 3 s.
const most = 1.05

func main() {
	workers := flag.Int("workers", 20, "workers")
	leases := flag.Int("leases", 1000, "leases, one for each shard")
	length := flag.Duration("for", 30*time.Second, "how long each phase is measured; best a multiple of 10 s, in which each lease is renewed three times")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ok, err := run(ctx, *workers, *leases, *length)
	if err != nil {
		fmt.Fprintln(os.Stderr, "leases:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

func run(ctx context.Context, workers, leases int, length time.Duration) (ok bool, err error) {
	if workers < 1 || leases < workers || length < 5*time.Second {
		return false, fmt.Errorf("%d workers, %d leases, %v a phase; want a worker or more, as many leases or more, and 5s or more", workers, leases, length)
	}
	f, err := newFleet(ctx, workers, leases)
	if err != nil {
		return false, err
	}
	defer func() {
		if end := f.close(); err == nil {
			err = end
		}
	}()
	fmt.Printf("%d workers, %d leases of 10 s; every phase is measured for %v\n", workers, leases, length)
	took, err := f.settle(ctx)
	if err != nil {
		return false, err
	}
	fmt.Printf("evenly shared after %v\n\n", took.Round(100*time.Millisecond))
	phases := make([]phase, 0, 3)
	for _, p := range []struct {
		name string
		how  mode
	}{{"at rest", resting}, {"checkpoint every 3 s", checkpointing}, {"mark every 3 s", marking}} {
		measured, err := f.measure(ctx, p.name, p.how, length)
		if err != nil {
			return false, fmt.Errorf("%s: %w", p.name, err)
		}
		phases = append(phases, measured)
	}
	if err := f.check(); err != nil {
		return false, err
	}
	table(phases, leases)
	return report(phases, workers, leases)
}

// table prints the phases beside each other.
func table(phases []phase, leases int) {
	fmt.Printf("%-34s", "per second")
	for _, p := range phases {
		fmt.Printf(" %20s", p.name)
	}
	fmt.Println()
	line := func(name, format string, value func(p phase) float64) {
		fmt.Printf("%-34s", name)
		for _, p := range phases {
			fmt.Printf(" %20s", fmt.Sprintf(format, value(p)))
		}
		fmt.Println()
	}
	for _, op := range operations(phases) {
		line(op+", calls", "%.1f", func(p phase) float64 { return p.rate(p.calls[op]) })
		if sum(phases, func(p phase) float64 { return p.writes[op] }) > 0 {
			line(op+", write units", "%.1f", func(p phase) float64 { return p.rate(p.writes[op]) })
		} else {
			line(op+", read units", "%.1f", func(p phase) float64 { return p.rate(p.reads[op]) })
		}
	}
	n := float64(leases)
	line("checkpoints and marks, per lease", "%.3f", func(p phase) float64 { return p.rate(p.said) / n })
	line("write units, per lease", "%.4f", func(p phase) float64 { return p.writeUnits() / n })
	line("KCL's renewals alone, per lease", "%.4f", func(phase) float64 { return kclWrites })
	line("  ratio", "%.3f", func(p phase) float64 { return p.writeUnits() / n / kclWrites })
	line("KCL with the checkpoints, per lease", "%.4f", func(p phase) float64 { return p.kcl(leases) })
	line("  ratio", "%.3f", func(p phase) float64 { return p.writeUnits() / n / p.kcl(leases) })
	line("read units, per lease", "%.4f", func(p phase) float64 { return p.readUnits() / n })
	line("CPU seconds, fleet and table", "%.3f", func(p phase) float64 { return p.rate(p.cpu) })
	fmt.Println()
}

// report prints the last line.
func report(phases []phase, workers, leases int) (ok bool, err error) {
	type figures struct {
		Writes float64 `json:"writes_per_lease_s"`
		Reads  float64 `json:"reads_per_lease_s"`
		Ratio  float64 `json:"writes_to_kcl_renewals"`
		CPU    float64 `json:"cpu_s_per_s"`
	}
	n := float64(leases)
	of := func(p phase) figures {
		return figures{
			Writes: round(p.writeUnits() / n), Reads: round(p.readUnits() / n),
			Ratio: round(p.writeUnits() / n / kclWrites), CPU: round(p.rate(p.cpu)),
		}
	}
	out := struct {
		Workers    int     `json:"workers"`
		Leases     int     `json:"leases"`
		KCL        float64 `json:"kcl_renewals_per_lease_s"`
		Rest       figures `json:"rest"`
		Checkpoint figures `json:"checkpoint_every_3s"`
		Mark       figures `json:"mark_every_3s"`
		OK         bool    `json:"ok"`
	}{Workers: workers, Leases: leases, KCL: round(kclWrites), Rest: of(phases[0]), Checkpoint: of(phases[1]), Mark: of(phases[2])}
	out.OK = out.Mark.Ratio <= most && out.Rest.Ratio <= most
	return out.OK, json.NewEncoder(os.Stdout).Encode(out)
}
