package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

func openMemory(t *testing.T) *Store {
	t.Helper()
	s, err := Open("", Options{Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func mustUpdate(t *testing.T, s *Store, f func(tx *Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

func wantValue(t *testing.T, s *Store, key, want string) {
	t.Helper()
	value, ok, err := s.Get([]byte(key))
	if err != nil || ok != (want != "") || string(value) != want {
		t.Fatalf("Get(%s) = %q, %t, %v; want %q", key, value, ok, err, want)
	}
}

// appendBody appends one body, made of parts, whose note is the key turned round.
func appendBody(tx *Tx, key []byte, parts ...[]byte) {
	body := bytes.Join(parts, nil)
	b := NewBlock(len(body))
	copy(b.Body(0), body)
	b.Seal()
	tx.Append(b, Entry{key, turned(key)})
}

func turned(key []byte) []byte {
	note := bytes.Clone(key)
	slices.Reverse(note)
	return note
}

// readBody reads what was appended under key.
func readBody(s *Store, key []byte) (body []byte, ok bool, err error) {
	it, err := s.Iter(key, append(bytes.Clone(key), 0))
	if err != nil {
		return nil, false, err
	}
	defer it.Close()
	if !it.First() {
		return nil, false, it.Error()
	}
	if !bytes.Equal(it.Note(), turned(key)) {
		return nil, false, fmt.Errorf("the note of %s is %q", key, it.Note())
	}
	body, err = it.Body(nil)
	return body, true, err
}

func wantBody(t *testing.T, s *Store, key, want string) {
	t.Helper()
	body, ok, err := readBody(s, []byte(key))
	if err != nil || ok != (want != "") || string(body) != want {
		t.Fatalf("the body of %s is %q, %t, %v; want %q", key, body, ok, err, want)
	}
}

func TestUpdateWritesAllItsKeys(t *testing.T) {
	s := openMemory(t)
	mustUpdate(t, s, func(tx *Tx) error {
		tx.Set([]byte("a"), []byte("1"))
		appendBody(tx, []byte("b"), []byte("2"), nil, []byte("3"))
		tx.Set([]byte("c"), nil)
		return nil
	})
	wantValue(t, s, "a", "1")
	wantBody(t, s, "b", "23")
	if value, ok, err := s.Get([]byte("c")); err != nil || !ok || len(value) != 0 {
		t.Fatalf("an empty value comes back as %q, %t, %v", value, ok, err)
	}
	mustUpdate(t, s, func(tx *Tx) error {
		tx.Delete([]byte("a"))
		tx.Drop([]byte("b"), []byte("c"))
		return nil
	})
	wantValue(t, s, "a", "")
	wantBody(t, s, "b", "")
	if _, ok, _ := s.Get([]byte("c")); !ok {
		t.Fatal("the upper bound of Drop was deleted")
	}
}

// holdWriter keeps the store's writer busy until release is called, so that updates gather behind it. It must run in
// a bubble.
func holdWriter(t *testing.T, s *Store) (release func()) {
	t.Helper()
	leave, left := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		if err := s.Update(t.Context(), func(*Tx) error { <-leave; return nil }); err != nil {
			t.Error(err)
		}
	}()
	synctest.Wait()
	return func() {
		synctest.Wait()
		close(leave)
		<-left
	}
}

func TestUpdateSeesEarlierOnesAndReadersOnlyWhatIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open("", Options{Memory: true})
		if err != nil {
			t.Fatal(err)
		}
		mustUpdate(t, s, func(tx *Tx) error { tx.Set([]byte("n"), []byte("0")); return nil })
		release := holdWriter(t, s)
		before, err := s.Iter(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		refused := errors.New("refused")
		var order []string
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() {
				err := s.Update(t.Context(), func(tx *Tx) error {
					value, _, err := tx.Get([]byte("n"))
					if err != nil {
						return err
					}
					it, err := tx.Iter([]byte("n"), nil)
					if err != nil {
						return err
					}
					if it.First(); !bytes.Equal(it.Value(), value) {
						return fmt.Errorf("Get sees %q, Iter %q", value, it.Value())
					}
					if err := it.Close(); err != nil {
						return err
					}
					if i%2 == 0 {
						return refused
					}
					if durable, _, err := s.Get([]byte("n")); err != nil || string(durable) != "0" {
						return fmt.Errorf("a reader sees %q of the group, %w", durable, err)
					}
					tx.Set([]byte("n"), append(value, '+'))
					tx.OnCommit(func() { order = append(order, string(value)) })
					return nil
				})
				if i%2 == 0 != errors.Is(err, refused) {
					t.Errorf("update %d: %v", i, err)
				}
			})
		}
		release()
		all.Wait()
		wantValue(t, s, "n", "0+++++")
		if got := strings.Join(order, " "); got != "0 0+ 0++ 0+++ 0++++" {
			t.Errorf("OnCommit ran in the order %q", got)
		}
		if before.First(); string(before.Value()) != "0" {
			t.Errorf("an iterator from before the group sees %q", before.Value())
		}
		if err := errors.Join(before.Close(), s.Close()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestUpdateEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open("", Options{Memory: true})
		if err != nil {
			t.Fatal(err)
		}
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		leave := make(chan struct{})
		var all sync.WaitGroup
		all.Go(func() {
			_ = s.Update(t.Context(), func(*Tx) error { <-leave; return nil })
		})
		synctest.Wait()
		all.Go(func() {
			if err := s.Update(ctx, func(tx *Tx) error { return nil }); !errors.Is(err, gone) {
				t.Errorf("Update = %v, want the cause of its context", err)
			}
		})
		synctest.Wait()
		cancel(gone)
		synctest.Wait()
		close(leave)
		all.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Update(t.Context(), func(*Tx) error { return nil }); !errors.Is(err, ErrClosed) {
			t.Errorf("Update after Close = %v", err)
		}
		if _, _, err := s.Get([]byte("k")); !errors.Is(err, ErrClosed) {
			t.Errorf("Get after Close = %v", err)
		}
		if err := s.Close(); !errors.Is(err, ErrClosed) {
			t.Errorf("second Close = %v", err)
		}
	})
}

func TestPanicInAnUpdateIsItsCallers(t *testing.T) {
	s := openMemory(t)
	func() {
		defer func() {
			if recover() != "oops" {
				t.Error("the panic did not come back")
			}
		}()
		_ = s.Update(t.Context(), func(*Tx) error { panic("oops") })
	}()
	mustUpdate(t, s, func(tx *Tx) error { tx.Set([]byte("a"), []byte("1")); return nil })
	wantValue(t, s, "a", "1")
}

func TestUpdateThatFailsAfterWritingBreaksTheStore(t *testing.T) {
	s, err := Open("", Options{Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	half := errors.New("half done")
	if err := s.Update(t.Context(), func(tx *Tx) error { tx.Set([]byte("a"), nil); return half }); err == nil {
		t.Fatal("an update that failed after writing succeeded")
	}
	for range 3 {
		if err := s.Update(t.Context(), func(tx *Tx) error { return nil }); err == nil || !strings.Contains(err.Error(), "half done") {
			t.Fatalf("Update of a broken store = %v", err)
		}
	}
	if s.Close() == nil {
		t.Error("Close of a broken store reports nothing")
	}
}

func TestStoreSurvivesReopening(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "data")
	for i := range 3 {
		s, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			wantValue(t, s, fmt.Sprint(i-1), "x")
		}
		mustUpdate(t, s, func(tx *Tx) error { tx.Set(fmt.Append(nil, i), []byte("x")); return nil })
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v, %v; want 0700", info.Mode(), err)
	}
	marker, err := os.ReadFile(filepath.Join(dir, markerName))
	if err != nil || string(marker) != "LOCALSTREAM 3\n" {
		t.Errorf("marker %q, %v", marker, err)
	}
}

func TestOpenSaysWhatIsWrongWithTheDirectory(t *testing.T) {
	write := func(t *testing.T, dir, name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	denied := func(kind errorfs.OpKind) func(*testing.T, string) Options {
		return func(t *testing.T, dir string) Options {
			return Options{FS: errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind == kind && strings.HasPrefix(op.Path, dir) {
					return &os.PathError{Op: "open", Path: op.Path, Err: syscall.EACCES}
				}
				return nil
			}))}
		}
	}
	for name, test := range map[string]struct {
		prepare func(t *testing.T, dir string) Options
		want    string
	}{
		"held by another store": {func(t *testing.T, dir string) Options {
			s, err := Open(dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			return Options{}
		}, "in use by another localstream"},
		"foreign file":   {func(t *testing.T, dir string) Options { write(t, dir, "thesis.doc", "x"); return Options{} }, `not a localstream directory: it holds "thesis.doc"`},
		"foreign marker": {func(t *testing.T, dir string) Options { write(t, dir, markerName, "hello"); return Options{} }, "not a localstream directory"},
		"empty marker":   {func(t *testing.T, dir string) Options { write(t, dir, markerName, ""); return Options{} }, "not a localstream directory"},
		"newer format": {func(t *testing.T, dir string) Options {
			write(t, dir, markerName, "LOCALSTREAM 4\n")
			return Options{}
		}, "written by a newer localstream: format 4, this one reads format 3"},
		"older format": {func(t *testing.T, dir string) Options {
			write(t, dir, markerName, "LOCALSTREAM 1\n")
			return Options{}
		}, "written by an older localstream: format 1, this one reads format 3"},
		"not readable": {denied(errorfs.OpList), "cannot be read: "},
		"not writable": {denied(errorfs.OpLock), "cannot be written: "},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, err := Open(dir, test.prepare(t, dir))
			if err == nil {
				s.Close()
				t.Fatal("it opened")
			}
			if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("error %q; want it to name the directory and say %q", err, test.want)
			}
		})
	}
	t.Run("a file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		write(t, filepath.Dir(path), "file", "x")
		if _, err := Open(path, Options{}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("Open of a file = %v", err)
		}
	})
	if _, err := Open("", Options{}); err == nil {
		t.Error("Open without a directory succeeded")
	}
	if _, err := Open("", Options{Memory: true, FS: vfs.NewMem()}); err == nil {
		t.Error("Open with both Memory and FS succeeded")
	}
}

func TestStartCutShortIsTakenUp(t *testing.T) {
	for _, left := range [][]string{{markerTemp}, {syncedName}, {markerTemp, syncedName}, {storeName}, {storeName, storeName + "/LOCK"}, {"lost+found"}} {
		dir := t.TempDir()
		for _, name := range left {
			path := filepath.Join(dir, name)
			var err error
			if name == storeName || name == "lost+found" {
				err = os.Mkdir(path, 0o700)
			} else {
				err = os.WriteFile(path, nil, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		s, err := Open(dir, Options{})
		if err != nil {
			t.Errorf("with %v left over: %v", left, err)
			continue
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// failing is a disk in memory on which operations fail once it is told to.
func failing(match func(op errorfs.Op) bool) (vfs.FS, *errorfs.Toggle) {
	toggle := &errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		if match(op) {
			return syscall.EIO
		}
		return nil
	})}
	return errorfs.Wrap(vfs.NewMem(), toggle), toggle
}

func TestFailedCommitBreaksTheStoreAndNotTheProcess(t *testing.T) {
	isLog := func(op errorfs.Op) bool { return strings.HasSuffix(op.Path, ".log") }
	for name, match := range map[string]func(op errorfs.Op) bool{
		"write of the log": func(op errorfs.Op) bool { return op.Kind == errorfs.OpFileWrite && isLog(op) },
		"sync of the log": func(op errorfs.Op) bool {
			return (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) && isLog(op)
		},
		"a new log": func(op errorfs.Op) bool { return op.Kind == errorfs.OpCreate && isLog(op) },
	} {
		t.Run(name, func(t *testing.T) {
			fs, toggle := failing(match)
			s, err := Open("data", Options{FS: fs})
			if err != nil {
				t.Fatal(err)
			}
			mustUpdate(t, s, func(tx *Tx) error { tx.Set([]byte("a"), []byte("1")); return nil })
			toggle.On()
			big := make([]byte, 8<<20)
			for i := 0; err == nil && i < 40; i++ {
				err = s.Update(t.Context(), func(tx *Tx) error { appendBody(tx, fmt.Append(nil, i), big); return nil })
			}
			if !errors.Is(err, syscall.EIO) && (err == nil || !strings.Contains(err.Error(), syscall.EIO.Error())) {
				t.Fatalf("Update on a failing disk = %v", err)
			}
			toggle.Off()
			for range 3 {
				if again := s.Update(t.Context(), func(*Tx) error { return nil }); again == nil || again.Error() != err.Error() {
					t.Fatalf("Update afterwards = %v, want %v", again, err)
				}
			}
			if _, _, err := s.Get([]byte("a")); err == nil {
				t.Error("a broken store answers reads")
			}
			if s.Err() == nil || s.Close() == nil {
				t.Error("a broken store says nothing")
			}
		})
	}
}

func TestGroupsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open("", Options{Memory: true})
		if err != nil {
			t.Fatal(err)
		}
		release := holdWriter(t, s)
		const updates, size = 20, 1 << 20
		var all sync.WaitGroup
		largest := 0 // what a group had in it when it took another update
		for i := range updates {
			all.Go(func() {
				err := s.Update(t.Context(), func(tx *Tx) error {
					largest = max(largest, tx.appended)
					appendBody(tx, fmt.Append(nil, i), make([]byte, size))
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		release()
		all.Wait()
		if largest < size || largest >= maxGroupAppended {
			t.Errorf("a group of %d bytes took another update; want groups of several updates, below %d", largest, maxGroupAppended)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestUpdateThatEndsItsGoroutineBreaksTheStore(t *testing.T) {
	s, err := Open("", Options{Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Update(t.Context(), func(*Tx) error { runtime.Goexit(); return nil }); err == nil {
		t.Error("Update = nil")
	}
}
