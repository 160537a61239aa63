// Command s3archive puts every record of a stream into exactly one object of an S3 bucket.
//
//	go run ./examples/s3archive                                 a demonstration that needs nothing
//	s3archive -aws -stream flights -bucket my-archive           archives until it is stopped
//	s3archive -aws -stream flights -bucket my-archive -verify   says whether every record is there once, in order
//
// What to notice: the packages archive, prefix and format are what one imports or copies; archive.New and
// Archiver.NewProcessor are all that a program needs of them, see work.go. docs/s3archive.md says why it holds.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = `Usage: s3archive [flags]

Puts every record of a Kinesis stream into exactly one object of an S3 bucket, although
processes crash, stall and hand over shards: objects are created only if they do not exist,
and whoever finds one takes over its end. Without -stream it shows itself off: a local stream
of real flights, an S3 in this process, two workers of which one crashes, a split, and a check.

Exit status: 0 if all went well (-verify: each record is in one object, in order), 1 if not, 2
for wrong flags.

Flags:
`

func main() {
	var s settings
	fs := flag.NewFlagSet("s3archive", flag.ExitOnError)
	s.flags(fs)
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), usage)
		fs.PrintDefaults()
	}
	_ = fs.Parse(os.Args[1:]) // it exits on errors
	err := s.load(fs)
	if err == nil {
		err = s.check(fs)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "s3archive: %v\n", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ok, err := run(ctx, &s, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "s3archive: %v\n", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// run does what the settings say. ok is false if a check found something.
func run(ctx context.Context, s *settings, out io.Writer) (ok bool, err error) {
	if s.stream == "" {
		return demonstrate(ctx, s, out)
	}
	c, err := connect(ctx, s)
	if err != nil {
		return false, err
	}
	switch {
	case s.redrive:
		return true, c.redrive(ctx, out)
	case s.verify:
		return c.verify(ctx, out)
	default:
		return true, c.work(ctx, out)
	}
}

// check refuses settings that do not go together.
func (s *settings) check(fs *flag.FlagSet) error {
	if fs.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; see -h", fs.Arg(0))
	}
	if s.stream == "" {
		if s.verify || s.redrive || s.bucket != "" || s.endpoint != "" || s.aws {
			return errors.New("-stream is missing")
		}
		return nil
	}
	if s.bucket == "" {
		return errors.New("-bucket is missing")
	}
	if !s.aws && s.endpoint == "" {
		return errors.New("where is the stream? Say -aws, or -endpoint for localstream")
	}
	if !s.aws && s.s3Endpoint == "" {
		return errors.New("where is the bucket? Say -aws, or -s3-endpoint")
	}
	return nil
}
