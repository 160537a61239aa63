package storage

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// appendAll appends a body of some size under each key, one update for each.
func appendAll(t *testing.T, s *Store, size int, keys ...string) {
	t.Helper()
	for _, key := range keys {
		mustUpdate(t, s, func(tx *Tx) error { appendBody(tx, []byte(key), []byte(bodyOf(key, size))); return nil })
	}
}

func bodyOf(key string, size int) string { return strings.Repeat(key, size/len(key)) }

// segments are the names of the segments in a data directory called data.
func segments(t *testing.T, fs vfs.FS) []string {
	t.Helper()
	names, err := fs.List("data/" + recordsName)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names) // a file system in memory lists in any order
	return names
}

// powerless is what a power cut leaves of a store that was opened new: three bodies, of which the database has only the
// first, whose segment was new. The others have to be read from the segment.
func powerless(t *testing.T) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewCrashableMem()
	s, err := Open("data", Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, s, 1000, "one", "two", "three")
	cut := fs.CrashClone(vfs.CrashCloneCfg{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return cut
}

const firstSegment = "data/" + recordsName + "/000001.log"

// change rewrites a file.
func change(t *testing.T, fs vfs.FS, name string, f func(b []byte) []byte) {
	t.Helper()
	in, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(in)
	if err := errors.Join(err, in.Close()); err != nil {
		t.Fatal(err)
	}
	out, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = out.Write(f(b))
	if err := errors.Join(err, out.Sync(), out.Close()); err != nil {
		t.Fatal(err)
	}
}

// frameSize is that of the frames of powerless.
func frameSize(key string) int {
	b := NewBlock(len(bodyOf(key, 1000)))
	b.Seal()
	b.index([]Entry{{[]byte(key), []byte(key)}})
	return len(b.buf)
}

func TestEntriesLostWithThePowerComeBack(t *testing.T) {
	fs := powerless(t)
	for range 2 {
		s, err := Open("data", Options{FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"one", "two", "three"} {
			wantBody(t, s, key, bodyOf(key, 1000))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTornEndOfTheNewestSegmentIsDropped(t *testing.T) {
	last := frameSize("three")
	for name, f := range map[string]func(b []byte) []byte{
		"cut off in the last body": func(b []byte) []byte { return b[:len(b)-last/2] },
		"cut off in its head":      func(b []byte) []byte { return b[:len(b)-last+7] },
		"a hole in it":             func(b []byte) []byte { clear(b[len(b)-last+100 : len(b)-last+300]); return b },
		"garbage behind": func(b []byte) []byte {
			clear(b[len(b)-last : len(b)-last+8])
			return append(b, strings.Repeat("garbage", 1000)...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			fs := powerless(t)
			change(t, fs, firstSegment, f)
			for i := range 3 {
				s, err := Open("data", Options{FS: fs})
				if err != nil {
					t.Fatal(err)
				}
				wantBody(t, s, "one", bodyOf("one", 1000))
				wantBody(t, s, "two", bodyOf("two", 1000))
				wantBody(t, s, "three", "")
				for j := range i {
					wantBody(t, s, fmt.Sprint("new", j), bodyOf("new", 1000))
				}
				key := fmt.Sprint("new", i)
				mustUpdate(t, s, func(tx *Tx) error { appendBody(tx, []byte(key), []byte(bodyOf("new", 1000))); return nil })
				next := fs.CrashClone(vfs.CrashCloneCfg{}) // and the power goes again
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				fs = next
			}
		})
	}
}

func TestDamageIsReportedWithTheFile(t *testing.T) {
	second := segmentHeader + frameSize("one")
	for name, test := range map[string]struct {
		f    func(b []byte) []byte
		want string
	}{
		"a bit of a body that is to be read again":  {func(b []byte) []byte { b[second+500] ^= 4; return b }, fmt.Sprintf("000001.log is damaged at byte %d", second)},
		"a bit of a head that is to be read again":  {func(b []byte) []byte { b[second+9] ^= 4; return b }, fmt.Sprintf("000001.log is damaged at byte %d", second)},
		"a bit of a table that is to be read again": {func(b []byte) []byte { b[second+frameSize("two")-9] ^= 4; return b }, fmt.Sprintf("000001.log is damaged at byte %d", second)},
		"less than the database knows of":           {func(b []byte) []byte { return b[:second-1] }, fmt.Sprintf("000001.log is cut off: it has %d bytes, want at least %d", second-1, second)},
	} {
		t.Run(name, func(t *testing.T) {
			fs := powerless(t)
			change(t, fs, firstSegment, test.f)
			if s, err := Open("data", Options{FS: fs}); err == nil {
				s.Close()
				t.Fatal("it opened")
			} else if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q; want it to say %q", err, test.want)
			}
		})
	}
	t.Run("a segment", func(t *testing.T) {
		fs := powerless(t)
		if err := fs.Remove(firstSegment); err != nil {
			t.Fatal(err)
		}
		if s, err := Open("data", Options{FS: fs}); err == nil || !strings.Contains(err.Error(), "000001.log is missing") {
			if err == nil {
				s.Close()
			}
			t.Errorf("Open without a segment = %v", err)
		}
	})
	t.Run("a bit of a body that the database has", func(t *testing.T) {
		fs := powerless(t)
		change(t, fs, firstSegment, func(b []byte) []byte { b[segmentHeader+500] ^= 1; return b })
		s, err := Open("data", Options{FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, _, err := readBody(s, []byte("one")); err == nil || !strings.Contains(err.Error(), "000001.log is damaged: wrong checksum") {
			t.Errorf("reading a damaged body: %v", err)
		}
		wantBody(t, s, "two", bodyOf("two", 1000))
	})
}

func TestFullDiskFailsAppendsAndNothingElse(t *testing.T) {
	toggle := &errorfs.Toggle{Injector: errorfs.InjectorFunc(func(op errorfs.Op) error {
		if strings.Contains(op.Path, recordsName) && (op.Kind == errorfs.OpFileWrite || op.Kind == errorfs.OpCreate) {
			return &vfsPathError{op.Path}
		}
		return nil
	})}
	disk := vfs.NewMem()
	s, err := Open("data", Options{FS: errorfs.Wrap(disk, toggle)})
	if err != nil {
		t.Fatal(err)
	}
	size := 2 * gatherBytes // written by itself
	appendAll(t, s, size, "before")
	for range 3 {
		toggle.On()
		for range 2 { // the first breaks off in the old segment, the second finds no room for a new one
			err := s.Update(t.Context(), func(tx *Tx) error { appendBody(tx, []byte("lost"), make([]byte, size)); return nil })
			if !errors.Is(err, ErrNoSpace) || !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("Update on a full disk = %v", err)
			}
		}
		if err := s.Err(); err != nil {
			t.Fatalf("a full disk broke the store: %v", err)
		}
		mustUpdate(t, s, func(tx *Tx) error { tx.Set([]byte("set"), []byte("x")); return nil })
		wantBody(t, s, "before", bodyOf("before", size))
		toggle.Off()
		appendAll(t, s, size, fmt.Sprintf("after%03d", len(segments(t, disk))))
		wantBody(t, s, "lost", "")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open("data", Options{FS: disk}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	wantBody(t, s, "before", bodyOf("before", size))
	wantBody(t, s, "lost", "")
	wantValue(t, s, "set", "x")
	if n, err := keys(s); err != nil || n != 5 {
		t.Errorf("%d keys, %v; want 5", n, err)
	}
}

// A vfsPathError is what a file system without room answers.
type vfsPathError struct{ path string }

func (e *vfsPathError) Error() string { return "write " + e.path + ": no space left on device" }
func (e *vfsPathError) Unwrap() error { return syscall.ENOSPC }

func TestSegmentsGoWhenNothingPointsIntoThem(t *testing.T) {
	fs := vfs.NewMem()
	s, err := Open("data", Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	s.log.most = 1 // each group has its own segment
	appendAll(t, s, 1000, "a", "b", "c", "d")
	if n := len(segments(t, fs)); n != 4 {
		t.Fatalf("%d segments, want 4", n)
	}
	reader, err := s.Iter([]byte("b"), []byte("c"))
	if err != nil {
		t.Fatal(err)
	}
	drop := func(lower, upper string) {
		mustUpdate(t, s, func(tx *Tx) error { tx.Drop([]byte(lower), []byte(upper)); return nil })
	}
	nothing := func() { mustUpdate(t, s, func(tx *Tx) error { tx.Set([]byte("x"), nil); return nil }) }
	drop("a", "c")
	nothing()
	if n := len(segments(t, fs)); n != 4 {
		t.Errorf("%d segments while a reader may need them, want 4", n)
	}
	if reader.First(); string(reader.Key()) != "b" {
		t.Fatalf("the reader is at %q", reader.Key())
	}
	if body, err := reader.Body(nil); err != nil || string(body) != bodyOf("b", 1000) {
		t.Errorf("the reader reads %d bytes, %v", len(body), err)
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	nothing()
	if names := fmt.Sprint(segments(t, fs)); names != "[000003.log 000004.log]" {
		t.Errorf("segments %s are left, want 3 and 4", names)
	}
	mustUpdate(t, s, func(tx *Tx) error { // what the group itself has appended goes as well
		appendBody(tx, []byte("e"), []byte("x"))
		tx.Drop([]byte("c"), []byte("f"))
		return nil
	})
	wantBody(t, s, "e", "")
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = Open("data", Options{FS: fs}); err != nil {
			t.Fatal(err)
		}
	}
	if names := fmt.Sprint(segments(t, fs)); names != "[000005.log]" {
		t.Errorf("segments %s are left, want the newest", names)
	}
	appendAll(t, s, 1000, "f")
	wantBody(t, s, "f", bodyOf("f", 1000))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSpaceIsTakenAheadInLargePieces also has the file system refuse it, which must not matter.
func TestSpaceIsTakenAheadInLargePieces(t *testing.T) {
	for _, refused := range []error{nil, syscall.ENOSPC} {
		var pieces []string
		fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind != errorfs.OpFilePreallocate || !strings.Contains(op.Path, recordsName) {
				return nil
			}
			pieces = append(pieces, op.Path)
			return refused
		}))
		s, err := Open("data", Options{FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		s.log.most = 20 << 20
		appendAll(t, s, reserveFrom/2, "little")
		if len(pieces) != 0 {
			t.Errorf("a small segment took space for more: %q", pieces)
		}
		var rooms []int64
		for i := range 60 { // more than one segment
			appendAll(t, s, 400_000, fmt.Sprint("key-", i))
			if room := s.log.room; len(rooms) == 0 || rooms[len(rooms)-1] != room {
				rooms = append(rooms, room)
			}
			if s.log.room < min(s.log.offset, s.log.most) && s.log.offset >= reserveFrom {
				t.Fatalf("the segment has %d bytes, with space for %d", s.log.offset, s.log.room)
			}
		}
		if len(rooms) > 8 || len(pieces) != 4 || slices.Max(rooms) != s.log.most {
			t.Errorf("space up to %v, taken for %q: want three pieces, none behind %d, for the first segment, one for the second", rooms, pieces, s.log.most)
		}
		for i := range 60 {
			key := fmt.Sprint("key-", i)
			it, err := s.Iter([]byte(key), []byte(key+"\x00"))
			if err != nil || !it.First() {
				t.Fatalf("%s: %v", key, err)
			}
			if body, err := it.Body(nil); err != nil || string(body) != bodyOf(key, 400_000) {
				t.Fatalf("%s: %d bytes, %v", key, len(body), err)
			}
			if err := it.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFramesOfAWriteThatFailedDoNotCount(t *testing.T) {
	fs := powerless(t)
	// As after a write of the third frame that failed, though all of it came to the disk: the next segment says where
	// the first one ends.
	end := int64(segmentHeader + frameSize("one") + frameSize("two"))
	out, err := fs.Create("data/"+recordsName+"/000002.log", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = out.Write(segmentHead(2, end))
	if err := errors.Join(err, out.Sync(), out.Close()); err != nil {
		t.Fatal(err)
	}
	s, err := Open("data", Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	wantBody(t, s, "two", bodyOf("two", 1000))
	wantBody(t, s, "three", "")
}
