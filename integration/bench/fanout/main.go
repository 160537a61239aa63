// Command fanout measures how long a record takes from the put to the processor: in a worker with enhanced fan-out, in
// one that polls, and over a bare HTTP/2 stream, which is the least that the transport takes. All three run by turns in
// this process, server included, over loopback. The last line is JSON, in milliseconds, medians over the runs.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

// A path is one way from a put to a processor. It runs until ctx ends.
type path struct {
	name string
	// open makes put, and calls arrive for what comes until ctx ends; close waits for that end.
	open func(ctx context.Context, arrive func(data []byte)) (put func(context.Context, []byte) error, done func() error, err error)
}

func main() {
	runs := flag.Int("runs", 3, "runs of each, by turns")
	length := flag.Duration("length", 5*time.Second, "length of a run")
	rate := flag.Int("rate", 1000, "records per second")
	flag.Parse()
	if *runs < 1 || *length < time.Second || *rate < putters {
		fmt.Fprintf(os.Stderr, "want -runs of at least 1, -length of at least 1s, -rate of at least %d\n", putters)
		os.Exit(2)
	}
	if err := measure(*runs, *length, *rate); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func measure(runs int, length time.Duration, rate int) error {
	paths := []path{{"floor", openFloor}, {"fanout", openWorker("latency")}, {"polling", openWorker("")}}
	all := map[string][]float64{}
	for i := range runs {
		for _, p := range paths {
			latencies, err := p.run(length, rate)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			p50, p99 := quantile(latencies, 0.50), quantile(latencies, 0.99)
			fmt.Printf("run %d  %-8s  %6d records  p50 %8.3f ms  p99 %8.3f ms\n", i+1, p.name, len(latencies), p50, p99)
			all[p.name+"_p50"], all[p.name+"_p99"] = append(all[p.name+"_p50"], p50), append(all[p.name+"_p99"], p99)
		}
	}
	medians := map[string]float64{}
	for name, values := range all {
		medians[name] = quantile(slices.Sorted(slices.Values(values)), 0.5)
	}
	medians["fanout_p99_over_floor"] = medians["fanout_p99"] - medians["floor_p99"]
	line, err := json.Marshal(medians)
	if err != nil {
		return err
	}
	fmt.Println(string(line))
	return nil
}

// quantile is that part of sorted values.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}

// putters is how many puts are under way at most.
const putters = 16

// run puts records at the rate and returns the latencies of those that came, in milliseconds, sorted. All must come.
func (p path) run(length time.Duration, rate int) ([]float64, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var mu sync.Mutex
	var latencies []float64
	arrive := func(data []byte) {
		now := time.Now().UnixNano()
		if len(data) < 8 {
			return
		}
		sent := int64(binary.BigEndian.Uint64(data))
		if sent == 0 { // to warm up
			return
		}
		mu.Lock()
		latencies = append(latencies, float64(now-sent)/1e6)
		mu.Unlock()
	}
	put, done, err := p.open(ctx, arrive)
	if err != nil {
		return nil, err
	}
	sent, err := putAll(ctx, put, length, rate)
	came := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(latencies)
	}
	for patience := time.Now().Add(5 * time.Second); came() < sent && time.Now().Before(patience); {
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	if err = errors.Join(err, done()); err != nil {
		return nil, err
	}
	if came() != sent {
		return nil, fmt.Errorf("%d of %d records came", came(), sent)
	}
	return slices.Sorted(slices.Values(latencies)), nil
}

// putAll puts records of 100 bytes, evenly spread, and tells how many.
func putAll(ctx context.Context, put func(context.Context, []byte) error, length time.Duration, rate int) (int, error) {
	for range 20 {
		if err := put(ctx, make([]byte, 100)); err != nil {
			return 0, err
		}
	}
	each := int(length.Seconds() * float64(rate) / putters)
	errs := make([]error, putters)
	var all sync.WaitGroup
	for i := range putters {
		all.Go(func() {
			pause := time.Second * putters / time.Duration(rate)
			time.Sleep(pause * time.Duration(i) / putters)
			ticks := time.NewTicker(pause)
			defer ticks.Stop()
			for range each {
				data := make([]byte, 100)
				binary.BigEndian.PutUint64(data, uint64(time.Now().UnixNano()))
				if errs[i] = put(ctx, data); errs[i] != nil {
					return
				}
				<-ticks.C
			}
		})
	}
	all.Wait()
	return each * putters, errors.Join(errs...)
}

// overHTTP2 is a client that speaks HTTP/2 in plain text only.
func overHTTP2() *http.Client {
	var only http.Protocols
	only.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{Protocols: &only}}
}
