package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// start runs the program until the test ends it, and returns its address and the lines that it printed until ready.
func start(t *testing.T, args ...string) (addr string, lines []string, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	status := make(chan int, 1)
	go func() {
		s := run(ctx, append([]string{"serve", "-addr", "127.0.0.1:0"}, args...), nil, w, t.Output())
		w.Close()
		status <- s
	}()
	out := bufio.NewScanner(r)
	for out.Scan() {
		lines = append(lines, out.Text())
		if ready, ok := strings.CutPrefix(out.Text(), "ready "); ok {
			addr = ready
			break
		}
	}
	return addr, lines, func() int {
		cancel()
		return <-status
	}
}

func TestServeAnswersStopsAndKeepsItsData(t *testing.T) {
	dir := t.TempDir()
	for round := range 2 {
		addr, lines, stop := start(t, "-data", dir, "-limits", "real")
		if addr == "" {
			t.Fatalf("not ready: %q, status %d", lines, stop())
		}
		text := strings.Join(lines, "\n")
		for _, want := range []string{"AWS_ENDPOINT_URL_KINESIS=http://" + addr, "AWS_ENDPOINT_URL_DYNAMODB=http://" + addr, "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY="} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in what it printed:\n%s", want, text)
			}
		}
		c := kinesis.New(kinesis.Options{Region: "us-east-1", BaseEndpoint: aws.String("http://" + addr), Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
		if round == 0 {
			if _, err := c.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("quakes"), ShardCount: aws.Int32(1)}); err != nil {
				t.Fatal(err)
			}
		}
		out, err := c.ListStreams(t.Context(), &kinesis.ListStreamsInput{})
		if err != nil || len(out.StreamNames) != 1 {
			t.Errorf("round %d: %+v, %v", round, out, err)
		}
		resp, err := http.Get("http://" + addr + "/health")
		if err != nil || resp.StatusCode != 200 {
			t.Errorf("health: %v, %v", resp, err)
		} else {
			resp.Body.Close()
		}
		if round == 1 {
			var stderr strings.Builder
			if s := run(t.Context(), []string{"serve", "-addr", "127.0.0.1:0", "-data", dir}, nil, io.Discard, &stderr); s != 1 || !strings.HasPrefix(stderr.String(), "localstream: data directory "+dir+": in use by another localstream") {
				t.Errorf("a second one on the same data: status %d, %s", s, &stderr)
			}
		}
		if s := stop(); s != 0 {
			t.Errorf("stopped with status %d", s)
		}
	}
}

func TestBadCommandLinesAreRefusedInOneLine(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	foreign := t.TempDir()
	if _, _, stop := start(t, "-data", foreign+"/a"); stop() != 0 {
		t.Fatal("the program does not start")
	}
	for _, test := range []struct {
		args   string
		status int
		want   string
	}{
		{"", 2, "no command given; want serve, streams, shards, put or tail"},
		{"run", 2, `command "run"; want serve, streams, shards, put or tail`},
		{"serve", 2, "no -data given; want a directory, or -memory"},
		{"serve -memory -data x", 2, "both -memory and -data given; want one of them"},
		{"serve -memory -limits some", 2, `-limits "some"; want real, off or a factor above 0`},
		{"serve -memory -limits 0", 2, `-limits "0"; want real, off or a factor above 0`},
		{"serve -memory -shards -1", 2, `-shards -1; want 0 or more`},
		{"serve -memory -speed 3", 2, "flag provided but not defined: -speed"},
		{"serve -memory -tls -tls-cert x", 2, "only one of -tls-cert and -tls-key given; want both or none"},
		{"serve -memory -tls-cert x -tls-key y", 2, "-tls-cert without -tls; want both"},
		{"serve -memory -addr 127.0.0.1:0 -tls -tls-cert /dev/null -tls-key /dev/null", 1, "-tls-cert /dev/null, -tls-key /dev/null: "},
		{"serve -memory -reshard-every -1s", 2, "-reshard-every -1s; want 0 or more"},
		{"serve -memory extra", 2, `argument "extra"; want flags only`},
		{"serve -memory -addr 4567", 2, `-addr "4567"; want host:port`},
		{"serve -memory -addr 0.0.0.0:4567", 2, "-addr 0.0.0.0:4567 can be reached from other machines, and signatures are not verified; want a loopback address, -sigv4 verify, or -insecure"},
		{"serve -memory -addr :4567", 2, "-addr :4567 can be reached"},
		{"serve -memory -addr " + taken.Addr().String(), 1, taken.Addr().String() + " is in use by another program"},
		{"serve -addr 127.0.0.1:0 -data " + foreign, 1, "data directory " + foreign + `: not a localstream directory: it holds "a"`},
		{"serve -addr 127.0.0.1:0 -data /dev/null", 1, "data directory /dev/null: cannot be made"},
	} {
		var stderr strings.Builder
		status := run(t.Context(), strings.Fields(test.args), nil, io.Discard, &stderr)
		last := stderr.String()
		last = strings.TrimSuffix(last[strings.LastIndex(strings.TrimSuffix(last, "\n"), "\n")+1:], "\n")
		if status != test.status || !strings.HasPrefix(last, "localstream: "+test.want) {
			t.Errorf("localstream %s: status %d, %q; want %d, %q", test.args, status, last, test.status, test.want)
		}
	}
}
