package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// aged is the directory of a store whose database has tables, logs and a manifest of several entries, beside two
// segments: as Close left it, or as a power cut did some time after the last write.
func aged(t *testing.T, closed bool) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewCrashableMem()
	synctest.Test(t, func(t *testing.T) {
		s, err := Open("data", Options{FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		s.log.most = 4000
		for i := range 12 {
			key := fmt.Sprintf("key%02d", i)
			mustUpdate(t, s, func(tx *Tx) error {
				if i%3 > 0 {
					appendBody(tx, []byte(key), []byte(bodyOf(key, 500)))
				}
				if i%3 < 2 {
					tx.Set([]byte("set"+key), []byte(key))
				}
				return nil
			})
			if i == 4 || i == 8 { // into tables
				if err := s.db.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(2 * syncedDelay)
		if !closed {
			fs = fs.CrashClone(vfs.CrashCloneCfg{})
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
	return fs
}

// checkAged reads what aged wrote. An error that names a file is fine, a wrong answer is not.
func checkAged(s *Store) error {
	for i := range 12 {
		key := fmt.Sprintf("key%02d", i)
		if i%3 > 0 {
			body, ok, err := readBody(s, []byte(key))
			if err != nil {
				return err
			}
			if !ok || string(body) != bodyOf(key, 500) {
				return fmt.Errorf("WRONG: body of %s: %t, %q", key, ok, body)
			}
		}
		if i%3 < 2 {
			value, ok, err := s.Get([]byte("set" + key))
			if err != nil {
				return err
			}
			if !ok || string(value) != key {
				return fmt.Errorf("WRONG: value of %s: %t, %q", key, ok, value)
			}
		}
	}
	return nil
}

// files are those below dir, with what is in them.
func files(t *testing.T, fs vfs.FS, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		info, err := fs.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			maps.Copy(all, files(t, fs, path))
			continue
		}
		f, err := fs.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		all[path] = b
	}
	return all
}

func TestADamagedFileIsReportedOrHarmless(t *testing.T) {
	for _, closed := range []bool{true, false} {
		disk := aged(t, closed)
		all := files(t, disk, "data")
		rng := rand.New(rand.NewPCG(1, 2))
		refused := map[string]int{}
		for _, path := range slices.Sorted(maps.Keys(all)) {
			size := len(all[path])
			if size == 0 {
				continue
			}
			for i := range 12 {
				at, kind := rng.IntN(size), "bit"
				if i < 6 {
					at = size - 1 - i*size/8 // the end, above all
				}
				b := slices.Clone(all[path])
				if i%4 == 0 {
					b, kind = b[:at], "rest"
				} else {
					b[at] ^= 1 << rng.IntN(8)
				}
				fs := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
				change(t, fs, path, func([]byte) []byte { return b })
				s, err := Open("data", Options{FS: fs})
				if err == nil {
					err = checkAged(s)
					if err == nil {
						err = s.Close()
					} else {
						_ = s.Close() // may be broken
					}
				}
				switch {
				case err == nil:
				case strings.Contains(err.Error(), "WRONG"):
					t.Errorf("closed: %t; %s, %s at %d of %d: %v", closed, path, kind, at, size, err)
				case !strings.Contains(err.Error(), fs.PathBase(path)):
					t.Errorf("closed: %t; %s, %s at %d of %d: the file is not named: %v", closed, path, kind, at, size, err)
				default:
					refused[fs.PathBase(path)]++
				}
			}
		}
		t.Logf("closed: %t; refused: %v", closed, refused)
	}
}

func TestAPowerCutWhileSYNCEDIsWrittenLeavesTheSlotBefore(t *testing.T) {
	fs := aged(t, true)
	number, ends, err := readSynced(fs, "data")
	if err != nil || len(ends) < 3 {
		t.Fatalf("SYNCED has %v, %v", ends, err)
	}
	change(t, fs, "data/"+syncedName, func(b []byte) []byte { clear(b[number%2*syncedSlot:][:512]); return b })
	before, _, err := readSynced(fs, "data")
	if err != nil || before != number-1 {
		t.Fatalf("slot %d counts, %v; want %d", before, err, number-1)
	}
}

func TestADirectoryOfVersion2BecomesOneOfVersion3(t *testing.T) {
	fs := aged(t, true)
	if err := fs.Remove("data/" + syncedName); err != nil {
		t.Fatal(err)
	}
	change(t, fs, "data/"+markerName, func([]byte) []byte { return []byte(markerMagic + "2\n") })
	for range 2 {
		s, err := Open("data", Options{FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(checkAged(s), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if text := string(files(t, fs, "data")["data/"+markerName]); text != markerMagic+"3\n" {
		t.Errorf("marker %q", text)
	}
	if _, ends, err := readSynced(fs, "data"); err != nil || len(ends) == 0 {
		t.Errorf("SYNCED has %v, %v", ends, err)
	}
}

func TestSYNCEDIsWrittenOnceForManyWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		s, err := Open("data", Options{FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		first, _, err := readSynced(fs, "data")
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			if err := s.Update(context.Background(), func(tx *Tx) error { tx.Set(fmt.Append(nil, i), nil); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * syncedDelay)
		number, ends, err := readSynced(fs, "data")
		if err != nil || number > first+1 || len(ends) == 0 {
			t.Errorf("%d slots written, the last with %v, %v", number-first, ends, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
