package check

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestAFileGivesBackWhatWasAdded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deliveries")
	want := batches("w1/1 a: 1 2/7\nw2/1 b:\nw1/2 a: 3")
	for _, b := range want { // each by a process of its own
		f, err := OpenFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Add(b); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	got, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want[1].Records = got[1].Records[:0:0]
	if len(got) != len(want) {
		t.Fatalf("%d batches, want %d", len(got), len(want))
	}
	for i := range got {
		if !got[i].At.Equal(want[i].At) || got[i].Worker != want[i].Worker || got[i].Session != want[i].Session ||
			got[i].Shard != want[i].Shard || !reflect.DeepEqual(got[i].Records, want[i].Records) {
			t.Errorf("batch %d: got %+v, want %+v", i, got[i], want[i])
		}
	}
}

func TestAFileCutAnywhereGivesItsWholeLines(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "deliveries")
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := batches("w1/1 a: 1 2\nw1/1 a: 3\nw1/1 a: 4")
	for _, b := range all {
		if err := f.Add(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(text) + 1 {
		torn := filepath.Join(dir, "torn")
		if err := os.WriteFile(torn, text[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		whole := bytes.Count(text[:n], []byte("\n"))
		got, err := ReadFile(torn)
		if err != nil || len(got) != whole {
			t.Fatalf("cut at %d: %d batches, %v; want %d", n, len(got), err, whole)
		}
		again, err := OpenFile(torn)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Add(all[2]); err != nil {
			t.Fatal(err)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadFile(torn); err != nil || len(got) != whole+1 {
			t.Fatalf("cut at %d and added to: %d batches, %v; want %d", n, len(got), err, whole+1)
		}
	}
}

func TestReadFileNamesTheBadLine(t *testing.T) {
	good := `{"at":"2018-02-07T12:00:00Z","worker":"w","session":"1","shard":"a","records":["1"]}`
	for _, bad := range []string{
		"", "nonsense", strings.Replace(good, `"1"]`, `"one"]`, 1), strings.Replace(good, `"1"]`, `"1/x"]`, 1),
		strings.Replace(good, `"1"]`, `""]`, 1), strings.Replace(good, "2018", "year", 1),
	} {
		path := filepath.Join(t.TempDir(), "deliveries")
		if err := os.WriteFile(path, []byte(good+"\n"+bad+"\n"+good+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadFile(path); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%q: error %v, want one that names line 2", bad, err)
		}
	}
	if _, err := ReadFile(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a missing file gives no error")
	}
}

func TestMergeGoesByTimeAndKeepsTheOrderWithinEachLog(t *testing.T) {
	a, b := batches("a/1 s: 1\na/1 s: 2\na/1 s: 3"), batches("b/1 s: 4\nb/1 s: 5")
	a[1].At = noon.AddDate(0, 0, -1) // the clock was set back
	b[0].At, b[1].At = noon.Add(1), noon.Add(3e9)
	var got []string
	for _, x := range Merge(a, nil, b) {
		got = append(got, x.Records[0].String())
	}
	if text := strings.Join(got, " "); text != "1 2 4 3 5" {
		t.Errorf("got %s", text)
	}
}

func TestALogKeepsWhatWasAdded(t *testing.T) {
	var l Log
	for _, b := range batches("a/1 s: 1\na/1 s: 2") {
		l.Add(b)
	}
	before := l.Batches()
	l.Add(before[0])
	if len(before) != 2 || len(l.Batches()) != 3 {
		t.Errorf("%d and %d batches, want 2 and 3", len(before), len(l.Batches()))
	}
}
