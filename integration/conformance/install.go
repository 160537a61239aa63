package main

import (
	"context"
	"embed"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/shoal-stream/shoal/integration/install"
	"github.com/shoal-stream/shoal/integration/kclworker"
)

// The clients' side: programs in their languages, and what they need from their package registries, pinned.
//
//go:embed python java/pom.xml java/src
var clients embed.FS

// tools are the programs that a run starts.
type tools struct {
	localstream string // a program
	python      string // the interpreter of an environment with boto3 and the AWS CLI
	scripts     string // the folder of the Python drivers
	sdk         string // class path of the driver of the Java SDK
	kcl         string // and of the worker of the Java KCL
}

// install builds the server and, unless the cache holds them already, the clients that names ask for.
func (c *campaign) install(ctx context.Context, names []string) (err error) {
	c.tools.localstream = filepath.Join(c.work, "localstream")
	if err := install.Command(ctx, "go", "build", "-o", c.tools.localstream, "github.com/shoal-stream/shoal/localstream/cmd/localstream"); err != nil {
		return err
	}
	if slices.Contains(names, "boto3") || slices.Contains(names, "awscli") {
		if err := c.installPython(ctx); err != nil {
			return fmt.Errorf("install the Python clients: %w", err)
		}
	}
	if slices.Contains(names, "java_sdk") {
		if c.tools.sdk, err = install.Maven(ctx, clients, "java-sdk"); err != nil {
			return err
		}
	}
	if slices.Contains(names, "java_kcl") {
		if c.tools.kcl, err = kclworker.Install(ctx, kclworker.Newest); err != nil {
			return err
		}
	}
	return nil
}

// installPython makes a virtual environment for the pinned packages.
func (c *campaign) installPython(ctx context.Context) error {
	c.tools.scripts = filepath.Join(c.work, "python")
	if err := install.Unpack(clients, "python", c.tools.scripts); err != nil {
		return err
	}
	cache, err := install.Cache()
	if err != nil {
		return err
	}
	key, err := install.Fingerprint(clients, "python/requirements.txt")
	if err != nil {
		return err
	}
	env := filepath.Join(cache, "python-"+key)
	c.tools.python = filepath.Join(env, "bin", "python")
	return install.Once(env, func() error {
		c.out.line("installing boto3 and the AWS CLI into %s", env)
		if err := install.Command(ctx, "python3", "-m", "venv", "--clear", env); err != nil {
			return err
		}
		return install.Command(ctx, c.tools.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
			"-r", filepath.Join(c.tools.scripts, "requirements.txt"))
	})
}
