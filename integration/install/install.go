// Package install puts what foreign clients need into the user's cache, once for each version of what they are made of.
package install

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Cache is the folder below which everything is installed.
func Cache() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no place to install clients: %w", err)
	}
	return filepath.Join(cache, "shoal-conformance"), nil
}

// Once calls make unless it has succeeded for this folder before. A mark beside what was made tells.
func Once(folder string, make func() error) error {
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

// Fingerprint is a short name for the content of a file or folder, and of words beside it.
func Fingerprint(in fs.FS, root string, words ...string) (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(in, root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(in, path)
		fmt.Fprintf(sum, "%s %d\n%s", path, len(text), text)
		return err
	})
	if err != nil {
		return "", err
	}
	for _, w := range words {
		fmt.Fprintf(sum, "\n%s", w)
	}
	return hex.EncodeToString(sum.Sum(nil)[:6]), nil
}

// Unpack writes a folder of in to a place on disk.
func Unpack(in fs.FS, root, to string) error {
	sub, err := fs.Sub(in, root)
	if err != nil {
		return err
	}
	return os.CopyFS(to, sub)
}

// Maven compiles the Maven module in the folder "java" of in and gathers the libraries that it uses. It returns the class
// path. properties are Maven's, as "name=value".
func Maven(ctx context.Context, in fs.FS, name string, properties ...string) (classpath string, err error) {
	cache, err := Cache()
	if err != nil {
		return "", err
	}
	key, err := Fingerprint(in, "java", properties...)
	if err != nil {
		return "", err
	}
	built := filepath.Join(cache, name+"-"+key)
	err = Once(built, func() (err error) {
		source, err := os.MkdirTemp("", "maven-")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(source)) }()
		if err := Unpack(in, "java", source); err != nil {
			return err
		}
		args := []string{"--quiet", "--batch-mode", "-f", filepath.Join(source, "pom.xml"), "-Doutput.folder=" + built}
		for _, p := range properties {
			args = append(args, "-D"+p)
		}
		return Command(ctx, "mvn", append(args, "process-classes")...)
	})
	if err != nil {
		return "", fmt.Errorf("build %s: %w", name, err)
	}
	return filepath.Join(built, "classes") + string(filepath.ListSeparator) + filepath.Join(built, "lib", "*"), nil
}

// Command runs a program to its end; its output is part of the error.
func Command(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
