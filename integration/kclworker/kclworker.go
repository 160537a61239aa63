// Package kclworker runs workers of the Java Kinesis Client Library, as Maven has it, in processes of their own.
package kclworker

import (
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/shoal-stream/shoal/integration/install"
)

//go:embed java/pom.xml java/src
var source embed.FS

// Versions of the library: the one that Shoal shares tables with, the newest that Maven has of those with three tables,
// and of those without a leader.
const (
	Newest      = "3.5.1"
	ThreeTables = "3.4.2"
	Second      = "2.7.2"
)

// Install builds the worker with a version of the library, unless the cache has it already, and returns its class path.
func Install(ctx context.Context, version string) (classpath string, err error) {
	return install.Maven(ctx, source, "kcl-"+version, "kcl.version="+version)
}

// Command is a process that waits for commands on its standard input: Settings.Start starts a worker, Stop stops it, and
// another may follow. Its standard output has a line of JSON for each event, see KclWorker.java, "idle" first.
func Command(classpath string) *exec.Cmd {
	cmd := exec.Command("java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classpath, "io.shoal.kcl.KclWorker")
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=localstream", "AWS_SECRET_ACCESS_KEY=localstream",
		"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "AWS_EC2_METADATA_DISABLED=true")
	return cmd
}

// Stop is the command that stops the worker gracefully. Its event is "stopped".
const Stop = "stop\n"

// Settings are what a worker is told. What is zero is as the library sets it.
type Settings struct {
	Endpoint, Stream, App, Worker string
	// Streams is a file that lists several streams at any time, each as account:name:epoch, in place of Stream. Shards go
	// by the keys of their leases then.
	Streams string
	// Output is the file for what was delivered. Without one, the event "delivered" has the number of records of each
	// batch as its detail.
	Output string
	// Fanout takes enhanced fan-out instead of polling.
	Fanout bool
	// Failover is the lease duration, Idle the time between reads.
	Failover, Idle time.Duration
	// ShardSync is how long the library pauses after it has listed shards: by default a minute, which a new application
	// waits before its first record.
	ShardSync time.Duration
	// LeaderLease and LeaderHeartbeat are of the leader's lock.
	LeaderLease, LeaderHeartbeat time.Duration
}

// Start is the command that starts the worker. Its event is "started".
func (s Settings) Start() string {
	words := []string{"start", "-endpoint", s.Endpoint, "-app", s.App, "-worker", s.Worker}
	if s.Streams != "" {
		words = append(words, "-streams", s.Streams)
	} else {
		words = append(words, "-stream", s.Stream)
	}
	if s.Output != "" {
		words = append(words, "-output", s.Output)
	}
	if s.Fanout {
		words = append(words, "-mode", "fanout")
	}
	for _, d := range []struct {
		flag string
		d    time.Duration
	}{
		{"-failover-ms", s.Failover}, {"-idle-ms", s.Idle}, {"-shard-sync-ms", s.ShardSync},
		{"-leader-lease-ms", s.LeaderLease}, {"-leader-heartbeat-ms", s.LeaderHeartbeat},
	} {
		if d.d > 0 {
			words = append(words, d.flag, fmt.Sprint(d.d.Milliseconds()))
		}
	}
	return strings.Join(words, " ") + "\n"
}
