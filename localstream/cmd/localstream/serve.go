package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/shoal-stream/shoal/localstream"
)

// config is the command line of serve.
type config struct {
	addr       string
	data       string
	memory     bool
	limits     string
	shards     int
	seed       string
	faults     string
	region     string
	account    string
	transition time.Duration
	offset     time.Duration
	reshard    time.Duration
	sigv4      string
	keys       string
	insecure   bool
	hosts      string
	origins    string
	tls        bool
	tlsCert    string
	tlsKey     string
	verbose    bool
}

// serve runs the server until ctx ends.
func serve(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var c config
	f := flag.NewFlagSet("serve", flag.ContinueOnError)
	f.StringVar(&c.addr, "addr", "127.0.0.1:4567", "`address` to listen on; port 0 takes any free one")
	f.StringVar(&c.data, "data", "", "`directory` for the data; it is made if there is none")
	f.BoolVar(&c.memory, "memory", false, "keep everything in memory; nothing survives the program")
	f.StringVar(&c.seed, "seed", "", "JSON `file` of streams and tables; those that are missing are created")
	f.StringVar(&c.limits, "limits", "off", "throttle as AWS does: `real, off` or a factor for its rates, such as 2.5")
	f.IntVar(&c.shards, "shards", 0, "open `shards` that the account may have; 0 is 20,000")
	f.DurationVar(&c.transition, "transition", 0, "how `long` streams and tables stay CREATING, UPDATING and DELETING")
	f.StringVar(&c.faults, "faults", "", "JSON `file` of fault rules to start with; later: PUT /_localstream/faults")
	f.DurationVar(&c.reshard, "reshard-every", 0, "split or merge shards of every provisioned stream each `duration`; 0 is never")
	f.DurationVar(&c.offset, "clock-offset", 0, "`duration` by which the server's clock is fast, or with a minus slow")
	f.StringVar(&c.region, "region", "us-east-1", "AWS `region` to be")
	f.StringVar(&c.account, "account", "000000000000", "AWS account `id` to be")
	f.StringVar(&c.sigv4, "sigv4", "present", "signatures: `present or verify`; to verify, give -keys, or AWS_ACCESS_KEY_ID and\nAWS_SECRET_ACCESS_KEY in the environment")
	f.StringVar(&c.keys, "keys", "", "`file` with an access key id and its secret on each line, for -sigv4 verify")
	f.BoolVar(&c.insecure, "insecure", false, "allow an address that other machines can reach though signatures are not verified")
	f.StringVar(&c.hosts, "hosts", "", "further `names`, comma-separated, under which clients may address the server")
	f.StringVar(&c.origins, "origins", "", "`origins` of web pages that may call, comma-separated, such as http://localhost:3000")
	f.BoolVar(&c.tls, "tls", false, "serve TLS, with -tls-cert and -tls-key or a certificate of its own")
	f.StringVar(&c.tlsCert, "tls-cert", "", "PEM `file` with the certificate for -tls, and the chain to its authority")
	f.StringVar(&c.tlsKey, "tls-key", "", "PEM `file` with its key")
	f.BoolVar(&c.verbose, "v", false, "log more")
	if _, err := parse(f, args, stdout, "serve -data DIR [flags]", 0, 0); err != nil {
		return err
	}
	if err := c.validate(); err != nil {
		return err
	}
	return c.run(ctx, stdout, stderr)
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
	case c.transition < 0:
		return fmt.Errorf("%w: -transition %v; want 0 or more", errUsage, c.transition)
	case c.reshard < 0:
		return fmt.Errorf("%w: -reshard-every %v; want 0 or more", errUsage, c.reshard)
	case c.sigv4 != "present" && c.sigv4 != "verify":
		return fmt.Errorf("%w: -sigv4 %q; want present or verify", errUsage, c.sigv4)
	case c.sigv4 == "present" && c.keys != "":
		return fmt.Errorf("%w: -keys without -sigv4 verify; want both", errUsage)
	case (c.tlsCert == "") != (c.tlsKey == ""):
		return fmt.Errorf("%w: only one of -tls-cert and -tls-key given; want both or none", errUsage)
	case c.tlsCert != "" && !c.tls:
		return fmt.Errorf("%w: -tls-cert without -tls; want both", errUsage)
	}
	host, _, err := net.SplitHostPort(c.addr)
	if err != nil {
		return fmt.Errorf("%w: -addr %q; want host:port", errUsage, c.addr)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) && !c.insecure && c.sigv4 != "verify" {
		return fmt.Errorf("%w: -addr %s can be reached from other machines, and signatures are not verified; want a loopback address, -sigv4 verify, or -insecure", errUsage, c.addr)
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

// options are the server's, from the command line and the files that it names.
func (c *config) options(stderr io.Writer) (localstream.Options, error) {
	o := localstream.Options{
		Memory: c.memory, Logger: c.logger(stderr), Region: c.region, Account: c.account,
		Transition: c.transition, ClockOffset: c.offset, ReshardEvery: c.reshard,
	}
	o.Limits, _ = c.allowed() // validated
	if c.hosts != "" {
		o.Hosts = strings.Split(c.hosts, ",")
	}
	if c.origins != "" {
		o.Origins = strings.Split(c.origins, ",")
	}
	if c.insecure || c.sigv4 == "verify" { // no web page can sign
		o.Hosts = append(o.Hosts, "*")
	}
	if c.faults != "" {
		text, err := os.ReadFile(c.faults)
		if err != nil {
			return o, fmt.Errorf("-faults: %w", err)
		}
		if o.Faults, err = localstream.ParseRules(text); err != nil {
			return o, fmt.Errorf("-faults %s: %w", c.faults, err)
		}
	}
	if c.sigv4 == "verify" {
		var err error
		if o.Keys, err = readKeys(c.keys); err != nil {
			return o, err
		}
	}
	return o, nil
}

// readKeys reads secrets by access key id from a file, or one from the environment.
func readKeys(file string) (map[string]string, error) {
	if file == "" {
		id, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
		if id == "" || secret == "" {
			return nil, fmt.Errorf("%w: -sigv4 verify without keys; want -keys, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment", errUsage)
		}
		return map[string]string{id: secret}, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("-keys: %w", err)
	}
	keys := map[string]string{}
	for i, line := range strings.Split(string(text), "\n") {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || strings.HasPrefix(fields[0], "#"):
		case len(fields) == 2:
			keys[fields[0]] = fields[1]
		default:
			return nil, fmt.Errorf("-keys %s, line %d: want an access key id and its secret", file, i+1)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("-keys %s: no keys in it", file)
	}
	return keys, nil
}

func (c *config) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	o, err := c.options(stderr)
	if err != nil {
		return err
	}
	var seed *seed
	if c.seed != "" {
		if seed, err = readSeed(c.seed); err != nil {
			return err
		}
	}
	// The port before the data: it is the cheaper thing to be refused.
	l, err := net.Listen("tcp", c.addr)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("%s is in use by another program: choose another -addr: %w", c.addr, err)
		}
		return fmt.Errorf("listening on %s: %w", c.addr, err)
	}
	defer runtime.KeepAlive(reserve())
	faults := o.Faults
	o.Faults = nil // not before the seed is planted
	srv, err := localstream.Open(c.data, o)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer func() {
		if closing := srv.Close(); err == nil { // else that is why it cannot be closed
			err = closing
		}
	}()
	if seed != nil {
		if err := seed.plant(ctx, seedConfig(srv, o)); err != nil {
			return errors.Join(fmt.Errorf("-seed %s: %w", c.seed, err), l.Close())
		}
	}
	if err := srv.SetFaults(faults...); err != nil {
		return errors.Join(err, l.Close())
	}
	if !c.tls {
		c.announce(stdout, "http", l.Addr(), "")
		return srv.Serve(ctx, l)
	}
	certificate, authority, clean, err := c.certificate()
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer clean()
	c.announce(stdout, "https", l.Addr(), authority)
	return srv.ServeTLS(ctx, l, certificate)
}

// reserve takes memory that nobody touches, so that none of it is ever there, but for the garbage collector: it runs when
// the heap has doubled. Without, a server with little data would collect several times a second, and calls would wait for
// that. Where memory is limited there is none to take.
func reserve() []byte {
	if debug.SetMemoryLimit(-1) != math.MaxInt64 {
		return nil
	}
	return make([]byte, 32<<20)
}

// certificate is the server's for TLS, with the path of the authority that clients are to trust unless the caller's
// own. clean removes what is not to outlive the server.
func (c *config) certificate() (_ tls.Certificate, authority string, clean func(), err error) {
	clean = func() {}
	if c.tlsCert != "" {
		certificate, err := tls.LoadX509KeyPair(c.tlsCert, c.tlsKey)
		if err != nil {
			err = fmt.Errorf("-tls-cert %s, -tls-key %s: %w", c.tlsCert, c.tlsKey, err)
		}
		return certificate, "", clean, err
	}
	dir := c.data
	if c.memory {
		if dir, err = os.MkdirTemp("", "localstream-tls-"); err != nil {
			return tls.Certificate{}, "", clean, fmt.Errorf("-tls: %w", err)
		}
		clean = func() { _ = os.RemoveAll(dir) }
	}
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	host, _, _ := net.SplitHostPort(c.addr)
	for _, host := range append(strings.Split(c.hosts, ","), host) {
		if host != "" && host != "*" && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	certificate, authority, err := ownCertificate(dir, hosts)
	if err != nil {
		clean()
	}
	return certificate, authority, clean, err
}

// announce says where the server is, what to put in a client's environment, and that it is ready.
func (c *config) announce(stdout io.Writer, scheme string, addr net.Addr, authority string) {
	where := "in memory"
	if !c.memory {
		where = c.data
	}
	id, secret := "localstream", "localstream"
	if c.sigv4 == "verify" {
		id, secret = "…", "…" // one of those that it was given
	}
	fmt.Fprintf(stdout, `localstream listens on %[7]s://%[1]s, data %[2]s, limits %[3]s

export AWS_ENDPOINT_URL_KINESIS=%[7]s://%[1]s
export AWS_ENDPOINT_URL_DYNAMODB=%[7]s://%[1]s
export AWS_REGION=%[4]s
export AWS_ACCESS_KEY_ID=%[5]s
export AWS_SECRET_ACCESS_KEY=%[6]s
`, addr, where, c.limits, c.region, id, secret, scheme)
	if authority != "" {
		fmt.Fprintf(stdout, "export AWS_CA_BUNDLE=%s\n", authority)
	}
	fmt.Fprintf(stdout, "\nready %s\n", addr)
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
