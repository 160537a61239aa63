package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const seedText = `{"streams": [{"name": "quakes", "shards": 2, "retentionHours": 48}, {"name": "clicks"}],
	"tables": [{"name": "users", "hash": "id:S", "range": "at:N", "indexes": [{"name": "by-mail", "hash": "mail:S"}]}]}`

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// command runs the program and returns what it printed.
func command(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	var out, errs strings.Builder
	if status := run(t.Context(), args, strings.NewReader(stdin), &out, &errs); status != 0 {
		t.Fatalf("localstream %q: status %d, %s", args, status, &errs)
	}
	return out.String()
}

func TestASeedIsPlantedAndRecordsComeBack(t *testing.T) {
	dir, seed := t.TempDir(), write(t, "seed.json", seedText)
	for round := range 2 { // the second finds everything there
		addr, lines, stop := start(t, "-data", dir, "-seed", seed)
		if addr == "" {
			t.Fatalf("not ready: %q, status %d", lines, stop())
		}
		at := "http://" + addr
		list := strings.Fields(command(t, "", "streams", "-endpoint", at))
		if got := strings.Join(list[6:], " "); !strings.Contains(got, "clicks ACTIVE ON_DEMAND 4 24 h") || !strings.Contains(got, "quakes ACTIVE PROVISIONED 2 48 h") {
			t.Errorf("streams: %s", got)
		}
		if got := command(t, "", "shards", "quakes", "-endpoint", at); strings.Count(got, "shardId-") != 2 || strings.Count(got, "open") != 2 {
			t.Errorf("shards: %s", got)
		}
		if round == 0 {
			if got := command(t, "", "put", "-endpoint", at, "quakes", "one", "two\x1b[2J"); got != "2 records put\n" {
				t.Errorf("put: %s", got)
			}
			if got := command(t, "three\nfour\n\nfive", "put", "quakes", "-key", "k", "-endpoint", at); got != "3 records put\n" {
				t.Errorf("put of lines: %s", got)
			}
		}
		got := command(t, "", "tail", "quakes", "-from", "horizon", "-once", "-endpoint", at)
		if strings.Count(got, "\n") != 5 || !strings.Contains(got, `"two\x1b[2J"`) || !strings.Contains(got, "  k  five\n") {
			t.Errorf("tail: %s", got)
		}
		if got := command(t, "", "tail", "quakes", "-from", "1h", "-n", "3", "-data", "-endpoint", at); strings.Count(got, "\n") != 3 || strings.Contains(got, "shardId") {
			t.Errorf("tail of three: %s", got)
		}
		if s := stop(); s != 0 {
			t.Errorf("stopped with status %d", s)
		}
	}
}

func TestVerifiedSignaturesLetTheirKeysIn(t *testing.T) {
	keys := write(t, "keys", "# for tests\nAKID secret\n")
	addr, lines, stop := start(t, "-memory", "-sigv4", "verify", "-keys", keys, "-seed", write(t, "seed.json", seedText))
	if addr == "" {
		t.Fatalf("not ready: %q, status %d", lines, stop())
	}
	for secret, want := range map[string]int{"secret": 0, "other": 1} {
		t.Setenv("AWS_ACCESS_KEY_ID", "AKID")
		t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
		var out, errs strings.Builder
		if status := run(t.Context(), []string{"streams", "-endpoint", "http://" + addr}, nil, &out, &errs); status != want {
			t.Errorf("with the secret %q: status %d, %s", secret, status, &errs)
		}
	}
	if s := stop(); s != 0 {
		t.Errorf("stopped with status %d", s)
	}
}

func TestFilesThatAreWrongAreNamed(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	for _, test := range []struct{ flag, text, want string }{
		{"-seed", `{"stream": []}`, `unknown field "stream"`},
		{"-seed", `{"tables": [{"name": "t", "hash": "id"}]}`, `table 1: key "id"; want NAME:S, NAME:N or NAME:B`},
		{"-seed", `{"tables": [{"name": "t", "hash": "id:S", "range": "id:N"}]}`, `key "id:N"; it is of type S elsewhere`},
		{"-seed", `{"streams": [{"name": "bad name"}]}`, `stream "bad name"`},
		{"-faults", `[{}]`, "rule 1: nothing to do"},
		{"-sigv4=verify -keys", "AKID\n", "line 1: want an access key id and its secret"},
		{"-sigv4=verify -keys", "# none\n", "no keys in it"},
	} {
		file := write(t, "file", test.text)
		var errs strings.Builder
		args := append(append([]string{"serve", "-memory", "-addr", "127.0.0.1:0"}, strings.Fields(test.flag)...), file)
		if status := run(t.Context(), args, nil, t.Output(), &errs); status != 1 || !strings.Contains(errs.String(), test.want) || !strings.Contains(errs.String(), file) {
			t.Errorf("%s %s: status %d, %s", test.flag, test.text, status, &errs)
		}
	}
	for args, want := range map[string]string{
		"serve -memory -sigv4 verify":   "-sigv4 verify without keys",
		"serve -memory -sigv4 none":     `-sigv4 "none"; want present or verify`,
		"serve -memory -keys x":         "-keys without -sigv4 verify",
		"serve -memory -transition -1s": "-transition -1s; want 0 or more",
		"shards":                        "no stream given; want localstream shards STREAM",
		"shards a b":                    `argument "b"`,
		"tail s -from soon":             `-from "soon"; want latest, horizon or a duration`,
	} {
		var errs strings.Builder
		if status := run(t.Context(), strings.Fields(args), nil, t.Output(), &errs); status != 2 || !strings.HasPrefix(errs.String(), fmt.Sprint("localstream: ", want)) {
			t.Errorf("localstream %s: status %d, %s", args, status, &errs)
		}
	}
}
