// Package layout holds the test that keeps the packages as docs/design.md draws them: who may import whom.
package layout

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/shoal-stream/shoal/"

// allowed says, for each package below these roots, which packages of the module it may import besides those below
// itself. The first pattern that matches a package counts. A trailing slash stands for everything below.
var allowed = []struct {
	pkg     string
	imports []string
}{
	{"record/", []string{"record/", "internal/clock", "internal/plainbody"}},
	{"checkpoint", []string{"record"}},
	{"lease", []string{"record", "internal/clock", "internal/mutant"}},
	{"lease/", []string{"lease/", "record", "internal/clock", "internal/mutant", "internal/plainbody", "internal/shortcut"}},
	{"worker", []string{"checkpoint", "lease", "lease/assign", "lease/leader", "lease/metrics", "lease/migrate", "lease/shardsync", "record", "internal/clock", "internal/mutant"}},
	{"worker/", []string{"worker/", "lease/", "checkpoint", "record/", "internal/clock", "internal/plainbody", "internal/shortcut"}},
	{"localstream/cmd/", []string{"localstream/", "record/", "internal/clock", "internal/plainbody"}},
	{"localstream/", []string{"localstream/", "record/", "internal/clock"}},
	{"internal/clock", nil},
	{"internal/mutant", nil},
	{"internal/", []string{"internal/clock"}},
}

// sdk are the packages that may import the AWS SDK themselves, withoutSDK those that must not even reach it.
var (
	sdk        = []string{"worker/kinesisstream", "lease/dynamo", "record/kinesiscbor", "record/producer", "internal/shortcut", "localstream/", "examples/", "integration/"}
	withoutSDK = []string{"worker", "lease", "lease/assign", "lease/leader", "lease/metrics", "lease/shardsync", "lease/memory", "checkpoint", "record"}
)

type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps=false", "-json=ImportPath,Imports,Deps", module+"...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) < 10 {
		t.Fatalf("go list gave only %d packages", len(pkgs))
	}
	return pkgs
}

func matches(pattern, name string) bool {
	return name == strings.TrimSuffix(pattern, "/") || strings.HasSuffix(pattern, "/") && strings.HasPrefix(name, pattern)
}

func anyMatches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, name) })
}

func TestImportsGoDownwardsOnly(t *testing.T) {
	for _, p := range list(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		for _, rule := range allowed {
			if !matches(rule.pkg, name) {
				continue
			}
			for _, imp := range p.Imports {
				own, inside := strings.CutPrefix(imp, module)
				if inside && !anyMatches(rule.imports, own) && path.Dir(own) != name {
					t.Errorf("%s imports %s, which docs/design.md does not allow", name, own)
				}
			}
			break
		}
	}
}

func TestTheSDKStaysWhereItBelongs(t *testing.T) {
	const aws = "github.com/aws/"
	for _, p := range list(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		for _, imp := range p.Imports {
			if strings.HasPrefix(imp, aws) && !anyMatches(sdk, name) {
				t.Errorf("%s imports %s", name, imp)
			}
		}
		if !slices.Contains(withoutSDK, name) {
			continue
		}
		for _, dep := range p.Deps {
			if strings.HasPrefix(dep, aws) {
				t.Errorf("%s depends on %s", name, dep)
			}
		}
	}
}
