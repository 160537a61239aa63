package storage

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// find finishes an iteration over all keys and returns their places by key.
func find(t *testing.T, s *Store) (map[string]Place, []string, *Bodies) {
	t.Helper()
	it, err := s.Iter([]byte("a"), []byte("z"))
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	places := map[string]Place{}
	var keys []string
	for ok := it.First(); ok; ok = it.Next() {
		p, err := it.Place()
		if err != nil {
			t.Fatal(err)
		}
		places[string(it.Key())] = p
		keys = append(keys, string(it.Key()))
	}
	bodies, err := it.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return places, keys, bodies
}

func TestBodiesAreReadBeyondTheIteration(t *testing.T) {
	for name, most := range map[string]int64{"one segment": segmentBytes, "many segments": 50_000} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			s, err := Open("data", Options{FS: fs})
			if err != nil {
				t.Fatal(err)
			}
			s.log.most = most
			want := map[string]string{}
			for i := range 300 { // small ones in a row, some with large ones between, and holes of other keys
				key := fmt.Sprintf("k%03d", i)
				size := 700
				switch {
				case i%50 == 20:
					size = 200_000
				case i%70 == 30:
					size = 0
				case i%90 == 40:
					appendAll(t, s, 5000, "zz"+key)
				}
				want[key] = strings.Repeat(key[:min(size, 4)], size/4)
				mustUpdate(t, s, func(tx *Tx) error { appendBody(tx, []byte(key), []byte(want[key])); return nil })
			}
			places, keys, bodies := find(t, s)
			read := func(key string) {
				if got, err := bodies.Read(places[key]); err != nil || string(got) != want[key] {
					t.Fatalf("%s: %d bytes, %v; want %d", key, len(got), err, len(want[key]))
				}
			}
			for i, key := range keys {
				read(key)
				if i%60 == 59 {
					read(keys[i/2]) // and now and then one of before
				}
			}
			mustUpdate(t, s, func(tx *Tx) error { tx.Drop([]byte("a"), []byte("zzz")); return nil })
			mustUpdate(t, s, func(tx *Tx) error { tx.Set([]byte("x"), nil); return nil })
			read(keys[0])
			read(keys[len(keys)-1])
			if err := bodies.Close(); err != nil {
				t.Fatal(err)
			}
			mustUpdate(t, s, func(tx *Tx) error { tx.Set([]byte("x"), nil); return nil })
			if n := len(segments(t, fs)); n != 1 {
				t.Errorf("%d segments are left, want the newest", n)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestDamagedBodiesAreRefused(t *testing.T) {
	fs := vfs.NewMem()
	s, err := Open("data", Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	appendAll(t, s, 1000, "one", "thr", "two")
	places, keys, bodies := find(t, s)
	defer bodies.Close()
	change(t, fs, firstSegment, func(b []byte) []byte { b[places["thr"].offset+500] ^= 4; return b })
	for _, key := range keys { // the second one comes out of a window
		_, err := bodies.Read(places[key])
		if damaged := err != nil && strings.Contains(err.Error(), "000001.log is damaged: wrong checksum"); damaged != (key == "thr") {
			t.Errorf("reading %s: %v", key, err)
		}
	}
}
