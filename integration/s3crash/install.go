package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// The S3 server. It is installed once, below the user's cache, and only ever listens on this machine.
const (
	gatewayModule = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
	gatewayFolder = "shoal-s3/versitygw-v1.8.0"
)

// programs are the paths of what runs as processes.
type programs struct{ archiver, gateway string }

// install builds the archiver and, unless it is there, the S3 server.
func install(ctx context.Context, dir string) (programs, error) {
	p := programs{archiver: filepath.Join(dir, "s3archive")}
	if err := command(ctx, nil, "go", "build", "-o", p.archiver, "./examples/s3archive"); err != nil {
		return p, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return p, err
	}
	folder := filepath.Join(cache, gatewayFolder)
	p.gateway = filepath.Join(folder, "versitygw")
	if _, err := os.Stat(p.gateway); err == nil {
		return p, nil
	}
	fmt.Println("installing", gatewayModule, "in", folder, "(once; it takes minutes)")
	// Outside of the module, so that it is built of what it asks for itself.
	return p, command(ctx, []string{"GOBIN=" + folder, "GOFLAGS="}, "go", "install", gatewayModule)
}

func command(ctx context.Context, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	return nil
}
