// Command overlay makes bubbles of testing/synctest repeat exactly from a seed, and checks that they do.
//
//	go run ./integration/sim/overlay OUT
//	go test -overlay OUT/overlay.json -tags detsim -c -o sim.test ./integration/sim
//	GOMAXPROCS=1 GOGC=off ./sim.test -test.run … -seed 7
//
// writes changed copies of a few files of the installed Go's runtime into the folder OUT, with an overlay.json for the go
// command; Go itself is left alone. In a binary built so, a bubble that begins after bubble.Seed (integration/sim/overlay/bubble)
// is the same in every process. Such a binary is for tests only. After an update of Go an edit may not fit any more: then
// this fails and names it. Nothing else depends on the overlay: without it the same tests run on virtual time, and do not
// repeat.
//
//	go run ./integration/sim/overlay -replay -run TestSeed ./integration/sim
//
// builds the test binary of a package so, runs one test with each of some seeds twice, in fresh processes, and compares
// the lines "trace …" that it prints. The last line of the output is one JSON object: {"runs":25,"equal":25}.
//
//	go run ./integration/sim/overlay -once -run TestSeed -first 7 ./integration/sim
//
// builds it in the same way, runs one test with one seed, and prints what that prints.
//
// Exit status: 0 if all is well, 1 if a run failed or did not repeat, 2 for bad usage or where nothing could be built.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

func main() {
	var r replay
	again := flag.Bool("replay", false, "check that the tests of a package repeat, in place of writing the overlay")
	once := flag.Bool("once", false, "run the tests of a package once with the seed of -first, in place of writing the overlay")
	flag.StringVar(&r.test, "run", ".", "`regexp` of the tests to replay")
	flag.Uint64Var(&r.first, "first", 1, "the first `seed`")
	flag.IntVar(&r.runs, "runs", 25, "`number` of seeds")
	flag.IntVar(&r.lanes, "lanes", runtime.NumCPU(), "`number` of processes at a time")
	flag.StringVar(&r.tags, "tags", "", "more build `tags`, with commas between")
	flag.StringVar(&r.args, "args", "", "more `arguments` for the test binary, separated by spaces")
	flag.Parse()
	if flag.NArg() != 1 || r.runs < 1 || r.lanes < 1 || r.first < 1 {
		fmt.Fprintln(os.Stderr, "overlay: want one folder, or -replay or -once with one package, at least one run and lane, and a seed of at least 1; see -h")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r.pkg, r.out = flag.Arg(0), os.Stdout
	if *once {
		if err := r.once(ctx); err != nil {
			fmt.Fprintf(os.Stderr, "overlay: %v\n", err)
			os.Exit(1)
		}
		return
	}
	if !*again {
		path, err := install(ctx, flag.Arg(0))
		if err != nil {
			fmt.Fprintf(os.Stderr, "overlay: %v\n", err)
			os.Exit(2)
		}
		fmt.Println(path)
		return
	}
	ok, err := r.check(ctx)
	if err != nil {
		fmt.Fprintf(os.Stderr, "overlay: %v\n", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// install writes the overlay for the Go that is in use into the folder out and returns the path of its overlay.json.
func install(ctx context.Context, out string) (string, error) {
	env, err := exec.CommandContext(ctx, "go", "env", "GOROOT", "GOVERSION").Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	root, version, _ := strings.Cut(strings.TrimSpace(string(env)), "\n")
	dir := filepath.Join(root, "src", "runtime")
	files, err := patch(dir, version, edits)
	if err != nil {
		return "", fmt.Errorf("the runtime cannot be changed: %w", err)
	}
	return write(dir, out, files)
}

// build makes the test binary of a package with the overlay, in the folder tmp.
func build(ctx context.Context, tmp, pkg, tags string) (string, error) {
	overlay, err := install(ctx, filepath.Join(tmp, "overlay"))
	if err != nil {
		return "", err
	}
	binary := filepath.Join(tmp, "replay.test")
	cmd := exec.CommandContext(ctx, "go", "test", "-overlay", overlay, "-tags", "detsim,"+tags, "-c", "-o", binary, pkg)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s with the overlay: %w\n%s", pkg, err, out)
	}
	return binary, nil
}
