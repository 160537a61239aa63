package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// patch applies all edits to the files of the runtime in dir and returns the changed files by name. The error names each
// edit whose text is not there exactly once, and the version of Go.
func patch(dir, version string, edits []edit) (map[string]string, error) {
	files := map[string]string{}
	var errs []error
	for _, e := range edits {
		text, ok := files[e.file]
		if !ok {
			b, err := os.ReadFile(filepath.Join(dir, e.file))
			if err != nil {
				return nil, err
			}
			text = string(b)
		}
		files[e.file] = text
		if n := strings.Count(text, e.old); n != 1 {
			errs = append(errs, fmt.Errorf("%s, runtime/%s: the text of the edit %q is there %d times; want once", version, e.file, e.why, n))
			continue
		}
		files[e.file] = strings.Replace(text, e.old, e.new, 1)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return files, nil
}

// write puts the changed files into the folder out, with the overlay.json that the go command wants, and returns the
// path of that.
func write(dir, out string, files map[string]string) (string, error) {
	out, err := filepath.Abs(out)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return "", err
	}
	replace := map[string]string{}
	for name, text := range files {
		path := filepath.Join(out, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return "", err
		}
		replace[filepath.Join(dir, name)] = path
	}
	b, err := json.MarshalIndent(map[string]any{"Replace": replace}, "", "\t")
	if err != nil {
		return "", err
	}
	path := filepath.Join(out, "overlay.json")
	return path, os.WriteFile(path, b, 0o644)
}
