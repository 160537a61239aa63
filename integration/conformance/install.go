package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
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
	classpath   string // of the Java programs and all that they use
}

// install builds the server and, unless the cache holds them already, the clients that names ask for.
func (c *campaign) install(ctx context.Context, names []string) error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return fmt.Errorf("no place to install clients: %w", err)
	}
	cache = filepath.Join(cache, "shoal-conformance")
	c.tools.localstream = filepath.Join(c.work, "localstream")
	if err := command(ctx, "go", "build", "-o", c.tools.localstream, "github.com/shoal-stream/shoal/localstream/cmd/localstream"); err != nil {
		return err
	}
	if slices.Contains(names, "boto3") || slices.Contains(names, "awscli") {
		if err := c.installPython(ctx, cache); err != nil {
			return fmt.Errorf("install the Python clients: %w", err)
		}
	}
	if slices.Contains(names, "java_sdk") || slices.Contains(names, "java_kcl") {
		if err := c.installJava(ctx, cache); err != nil {
			return fmt.Errorf("install the Java clients: %w", err)
		}
	}
	return nil
}

// installPython makes a virtual environment for the pinned packages.
func (c *campaign) installPython(ctx context.Context, cache string) error {
	c.tools.scripts = filepath.Join(c.work, "python")
	if err := unpack("python", c.tools.scripts); err != nil {
		return err
	}
	key, err := fingerprint("python/requirements.txt")
	if err != nil {
		return err
	}
	env := filepath.Join(cache, "python-"+key)
	c.tools.python = filepath.Join(env, "bin", "python")
	return once(env, func() error {
		c.out.line("installing boto3 and the AWS CLI into %s", env)
		if err := command(ctx, "python3", "-m", "venv", "--clear", env); err != nil {
			return err
		}
		return command(ctx, c.tools.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
			"-r", filepath.Join(c.tools.scripts, "requirements.txt"))
	})
}

// installJava compiles the Java programs and gathers the libraries that they use.
func (c *campaign) installJava(ctx context.Context, cache string) error {
	key, err := fingerprint("java")
	if err != nil {
		return err
	}
	built := filepath.Join(cache, "java-"+key)
	c.tools.classpath = filepath.Join(built, "classes") + string(filepath.ListSeparator) + filepath.Join(built, "lib", "*")
	return once(built, func() error {
		c.out.line("building the Java clients in %s", built)
		source := filepath.Join(c.work, "java")
		if err := unpack("java", source); err != nil {
			return err
		}
		return command(ctx, "mvn", "--quiet", "--batch-mode", "-f", filepath.Join(source, "pom.xml"), "-Doutput.folder="+built, "process-classes")
	})
}

// once calls make unless it has succeeded for this folder before. A mark beside what was made tells.
func once(folder string, make func() error) error {
	mark := filepath.Join(folder, ".complete")
	if _, err := os.Stat(mark); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	if err := make(); err != nil {
		return err
	}
	return os.WriteFile(mark, nil, 0o644)
}

// fingerprint is a short name for the content of a file or folder in clients.
func fingerprint(root string) (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(clients, root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := clients.ReadFile(path)
		fmt.Fprintf(sum, "%s %d\n%s", path, len(text), text)
		return err
	})
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)[:6]), nil
}

// unpack writes a folder in clients to a place on disk.
func unpack(root, to string) error {
	sub, err := fs.Sub(clients, root)
	if err != nil {
		return err
	}
	return os.CopyFS(to, sub)
}

// command runs a program to its end; its output is part of the error.
func command(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
