// Command localstream is a durable Kinesis and DynamoDB on this machine.
//
//	localstream serve -data DIR
//
// Point any AWS SDK or the AWS CLI at it with the environment lines that it prints. The line "ready ADDRESS" on
// standard output says that it answers. SIGTERM and SIGINT stop it; what it acknowledged stays on disk.
//
// Exit status: 0 after a clean stop, 1 if it could not go on, 2 for bad usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/shoal-stream/shoal/localstream"
)

const usage = `usage: localstream serve [flags]

flags:
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// errUsage marks errors of the command line.
var errUsage = errors.New("bad usage")

// run is the program without the process: it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil {
		err = c.serve(ctx, stdout, stderr)
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintf(stderr, "localstream: %v\n", strings.TrimPrefix(err.Error(), errUsage.Error()+": "))
		return 2
	default:
		fmt.Fprintf(stderr, "localstream: %s\n", strings.TrimPrefix(err.Error(), "localstream: "))
		return 1
	}
}

// config is the command line.
type config struct {
	addr     string
	data     string
	memory   bool
	limits   string
	shards   int
	insecure bool
	hosts    string
	verbose  bool
}

func parse(args []string, stderr io.Writer) (config, error) {
	var c config
	f := flag.NewFlagSet("localstream", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&c.addr, "addr", "127.0.0.1:4567", "`address` to listen on; port 0 takes any free one")
	f.StringVar(&c.data, "data", "", "`directory` for the data; it is made if there is none")
	f.BoolVar(&c.memory, "memory", false, "keep everything in memory; nothing survives the program")
	f.StringVar(&c.limits, "limits", "off", "throttle as AWS does: `real, off` or a factor for its rates, such as 2.5")
	f.IntVar(&c.shards, "shards", 0, "open shards that the account may have; 0 is 20,000")
	f.BoolVar(&c.insecure, "insecure", false, "allow an address that other machines can reach; signatures are not verified")
	f.StringVar(&c.hosts, "hosts", "", "further `names`, comma-separated, under which clients may address the server")
	f.BoolVar(&c.verbose, "v", false, "log more")
	help := func() {
		fmt.Fprint(stderr, usage)
		f.SetOutput(stderr)
		f.PrintDefaults()
	}
	if len(args) == 0 {
		help()
		return c, fmt.Errorf("%w: no command given; want serve", errUsage)
	}
	switch args[0] {
	case "serve":
	case "help", "-h", "-help", "--help":
		help()
		return c, flag.ErrHelp
	default:
		return c, fmt.Errorf("%w: command %q; want serve", errUsage, args[0])
	}
	switch err := f.Parse(args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		help()
		return c, err
	case err != nil:
		return c, fmt.Errorf("%w: %v", errUsage, err)
	case f.NArg() > 0:
		return c, fmt.Errorf("%w: argument %q; want flags only", errUsage, f.Arg(0))
	}
	return c, c.validate()
}

func (c *config) validate() error {
	_, ok := c.allowed()
	switch {
	case !ok:
		return fmt.Errorf("%w: -limits %q; want real, off or a factor above 0", errUsage, c.limits)
	case c.shards < 0:
		return fmt.Errorf("%w: -shards %d; want 0 or more", errUsage, c.shards)
	case c.memory && c.data != "":
		return fmt.Errorf("%w: both -memory and -data given; want one of them", errUsage)
	case !c.memory && c.data == "":
		return fmt.Errorf("%w: no -data given; want a directory, or -memory", errUsage)
	}
	host, _, err := net.SplitHostPort(c.addr)
	if err != nil {
		return fmt.Errorf("%w: -addr %q; want host:port", errUsage, c.addr)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) && !c.insecure {
		return fmt.Errorf("%w: -addr %s can be reached from other machines, and signatures are not verified; want a loopback address, or -insecure", errUsage, c.addr)
	}
	return nil
}

// allowed turns -limits and -shards into limits; ok is false if they cannot be understood.
func (c *config) allowed() (l localstream.Limits, ok bool) {
	switch c.limits {
	case "off":
	case "real":
		l = localstream.RealLimits
	default:
		factor, err := strconv.ParseFloat(c.limits, 64)
		if err != nil || !(factor > 0) || math.IsInf(factor, 0) {
			return l, false
		}
		l = localstream.RealLimits.Scale(factor)
	}
	l.Shards = c.shards
	return l, true
}

// serve runs the server until ctx ends.
func (c *config) serve(ctx context.Context, stdout, stderr io.Writer) (err error) {
	// The port first: it is the cheaper thing to be refused.
	l, err := net.Listen("tcp", c.addr)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("%s is in use by another program: choose another -addr: %w", c.addr, err)
		}
		return fmt.Errorf("listening on %s: %w", c.addr, err)
	}
	o := localstream.Options{Memory: c.memory, Logger: c.logger(stderr)}
	o.Limits, _ = c.allowed() // validated
	if c.hosts != "" {
		o.Hosts = strings.Split(c.hosts, ",")
	}
	if c.insecure {
		o.Hosts = append(o.Hosts, "*")
	}
	srv, err := localstream.Open(c.data, o)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer func() { err = errors.Join(err, srv.Close()) }()
	c.announce(stdout, l.Addr())
	return srv.Serve(ctx, l)
}

// announce says where the server is, what to put in a client's environment, and that it is ready.
func (c *config) announce(stdout io.Writer, addr net.Addr) {
	where := "in memory"
	if !c.memory {
		where = c.data
	}
	fmt.Fprintf(stdout, `localstream listens on http://%[1]s, data %[2]s, limits %[3]s

export AWS_ENDPOINT_URL_KINESIS=http://%[1]s
export AWS_ENDPOINT_URL_DYNAMODB=http://%[1]s
export AWS_REGION=us-east-1
export AWS_ACCESS_KEY_ID=localstream
export AWS_SECRET_ACCESS_KEY=localstream

ready %[1]s
`, addr, where, c.limits)
}

func (c *config) logger(stderr io.Writer) *zap.Logger {
	level := zap.WarnLevel
	if c.verbose {
		level = zap.DebugLevel
	}
	encoder := zap.NewProductionEncoderConfig()
	encoder.EncodeTime = zapcore.RFC3339TimeEncoder
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(encoder), zapcore.Lock(zapcore.AddSync(stderr)), level))
}
