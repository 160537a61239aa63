package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/shoal-stream/shoal/integration/bench/job"
	"github.com/shoal-stream/shoal/internal/plainbody"
	"github.com/shoal-stream/shoal/record/kinesiscbor"
	"github.com/shoal-stream/shoal/record/producer"
)

// programs are the contenders that this program itself is, each in a process of its own.
var programs = map[string]func(context.Context, job.Job) (job.Figures, error){
	"codec-shoal":    readAnswers(shoalCodec),
	"codec-sdk-json": readAnswers(sdkJSON),
	"codec-sdk-cbor": readAnswers(sdkCBOR),

	"raw":   consumeRaw,
	"shoal": consumeShoal,

	"floor":          latency(openFloor),
	"fanout":         latency(openWorker("fanout", putRecord)),
	"polling":        latency(openWorker("", putRecord)),
	"fanout-sdk-put": latency(openWorker("fanout", putBySDK)),

	"put-hand":       putByHand(),
	"put-hand-cbor":  putByHand(kinesiscbor.Enable),
	"put-shoal":      putByProducer(producer.Config{}),
	"put-shoal-none": putByProducer(producer.Config{Order: producer.OrderNone}),
	"put-shoal-kpl":  putByProducer(producer.Config{Aggregate: true}),

	"idle": holdIdle,
	"many": consumeMany,

	"bykey-1":  byKeys(1),
	"bykey-64": byKeys(64),
}

// runChild is what a contender's process does. Its last line is its figures.
func runChild(ctx context.Context, name, text, profile string) error {
	program, ok := programs[name]
	if !ok {
		return fmt.Errorf("no contender %q", name)
	}
	j, err := job.Parse(text)
	if err != nil {
		return err
	}
	stop, err := startProfile(profile)
	if err != nil {
		return err
	}
	figures, err := program(ctx, j)
	if err = errors.Join(err, stop()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	peak, err := status(os.Getpid(), "VmHWM")
	if err != nil {
		return err
	}
	figures["peak_mib"] = peak / (1 << 20)
	return json.NewEncoder(os.Stdout).Encode(figures)
}

// config reaches the server as programs reach AWS.
func config(j job.Job) aws.Config {
	return aws.Config{
		Region: job.Region, BaseEndpoint: &j.URL, Credentials: credentials.NewStaticCredentialsProvider(job.KeyID, job.Secret, ""),
		HTTPClient: plainbody.Wrap(&http.Client{Transport: &http.Transport{
			MaxIdleConnsPerHost: 100, DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		}}),
	}
}

// status reads a size in bytes from a process's status, such as VmHWM, the peak of its resident memory.
func status(pid int, name string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("memory in use: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == name+":" {
			kib, err := strconv.ParseFloat(fields[1], 64)
			return kib * 1024, err
		}
	}
	return 0, errors.New("memory in use: no " + name + " in the process's status")
}

// cpuTime is the CPU time that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it cannot fail
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
