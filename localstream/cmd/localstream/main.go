// Command localstream is a durable Kinesis and DynamoDB on this machine.
//
//	localstream serve -data DIR
//
// Point any AWS SDK or the AWS CLI at it with the environment lines that it prints. The line "ready ADDRESS" on
// standard output says that it answers. SIGTERM and SIGINT stop it; what it acknowledged stays on disk.
//
// Further commands look at streams and put records, on a localstream or on whatever AWS_ENDPOINT_URL_KINESIS names:
// streams, shards, put, tail.
//
// Exit status: 0 after a clean stop, 1 if it could not go on, 2 for bad usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

const usage = `localstream is a durable Kinesis and DynamoDB on this machine.

  localstream serve -data DIR     serve until it is stopped
  localstream streams             list the streams
  localstream shards STREAM       list the shards of a stream
  localstream put STREAM [DATA…]  put records: the arguments, or the lines of standard input
  localstream tail STREAM         print records as they come, from all shards and their children

localstream COMMAND -h lists the flags of a command.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// errUsage marks errors of the command line.
var errUsage = errors.New("bad usage")

// run is the program without the process: it returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	err := dispatch(ctx, args, stdin, stdout, stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintf(stderr, "localstream: %v\n", strings.TrimPrefix(err.Error(), errUsage.Error()+": "))
		return 2
	default:
		fmt.Fprintf(stderr, "localstream: %s\n", strings.TrimPrefix(err.Error(), "localstream: "))
		return 1
	}
}

func dispatch(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return fmt.Errorf("%w: no command given; want serve, streams, shards, put or tail", errUsage)
	}
	switch args[0] {
	case "serve":
		return serve(ctx, args[1:], stdout, stderr)
	case "streams":
		return streams(ctx, args[1:], stdout)
	case "shards":
		return shards(ctx, args[1:], stdout)
	case "put":
		return put(ctx, args[1:], stdin, stdout)
	case "tail":
		return tail(ctx, args[1:], stdout)
	case "help", "-h", "-help", "--help":
		fmt.Fprint(stdout, usage)
		return nil
	}
	return fmt.Errorf("%w: command %q; want serve, streams, shards, put or tail", errUsage, args[0])
}

// parse reads flags before, between and behind the arguments, of which there may be from least to most. Asked for help
// it prints it and returns flag.ErrHelp.
func parse(f *flag.FlagSet, args []string, help io.Writer, synopsis string, least, most int) ([]string, error) {
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	var rest []string
	for {
		err := f.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(help, "usage: localstream %s\n\nflags:\n", synopsis)
			f.SetOutput(help)
			f.PrintDefaults()
			return nil, err
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %v", errUsage, err)
		}
		if f.NArg() == 0 {
			break
		}
		rest, args = append(rest, f.Arg(0)), f.Args()[1:]
	}
	switch {
	case len(rest) < least:
		return nil, fmt.Errorf("%w: no stream given; want localstream %s", errUsage, synopsis)
	case len(rest) > most && most == 0:
		return nil, fmt.Errorf("%w: argument %q; want flags only", errUsage, rest[0])
	case len(rest) > most:
		return nil, fmt.Errorf("%w: argument %q; want localstream %s", errUsage, rest[most], synopsis)
	}
	return rest, nil
}
