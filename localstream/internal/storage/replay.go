package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// replay finds where the log ends when the store opens, and gives the database the entries that it lost with the
// power: a group of appends is on disk when its frames are, the database writes its entries without a sync. Frames that
// were cut short at the end of the newest segment were never acknowledged; damage anywhere else is an error that names
// the file.
func (s *Store) replay() error {
	l := s.log
	files, err := l.files()
	if err != nil {
		return err
	}
	newest, err := l.load(s.db)
	if err != nil {
		return err
	}
	if err := l.check(files, newest); err != nil {
		return err
	}
	batch := s.db.NewBatch()
	defer batch.Close()
	end := l.state[newest].end
	for n := newest; ; n++ {
		before, more, err := l.header(n+1, l.last(files))
		switch {
		case err != nil:
			return err
		case n > 0:
			if !more {
				before = -1
			}
			if end, err = l.scan(batch, n, end, before); err != nil {
				return err
			}
		}
		l.number, l.offset, l.synced = n, end, end
		if !more {
			break
		}
		end = segmentHeader
	}
	if !batch.Empty() {
		if err := s.db.Apply(batch, s.write); err != nil {
			return err
		}
	}
	l.bury(0)
	return l.remove(0)
}

// files are the numbers of the segments there are, in order.
func (l *segmentLog) files() ([]uint64, error) {
	names, err := l.fs.List(l.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var numbers []uint64
	for _, name := range names {
		text, ok := strings.CutSuffix(name, ".log")
		n, err := strconv.ParseUint(text, 10, 64)
		if ok && err == nil && l.path(n) == l.fs.PathJoin(l.dir, name) {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

func (l *segmentLog) last(files []uint64) uint64 {
	if len(files) == 0 {
		return 0
	}
	return files[len(files)-1]
}

// load reads what the database knows of the segments and returns the newest one's number, 0 if it knows none.
func (l *segmentLog) load(db *pebble.DB) (newest uint64, err error) {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte(prefixSegment), UpperBound: segmentKey(^uint64(0))})
	if err != nil {
		return 0, err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		state, ok := parseState(it.Value())
		if !ok || len(it.Key()) != len(prefixSegment)+8 {
			return 0, fmt.Errorf("the database's entry %q of a segment is damaged", it.Key())
		}
		newest = binary.BigEndian.Uint64(it.Key()[len(prefixSegment):])
		l.state[newest] = state
	}
	return newest, damage(it.Error())
}

// check makes sure that the segments that entries point into are there, as long as they were. Those that the
// database has forgotten are removed.
func (l *segmentLog) check(files []uint64, newest uint64) error {
	for n, state := range l.state {
		if !slices.Contains(files, n) {
			if state.live == 0 && n != newest {
				continue // removed, and then the power went
			}
			return fmt.Errorf("%s is missing", l.path(n))
		}
		info, err := l.fs.Stat(l.path(n))
		if err != nil {
			return err
		}
		if info.Size() < state.end {
			return fmt.Errorf("%s is cut off: it has %d bytes, want at least %d", l.path(n), info.Size(), state.end)
		}
	}
	for _, n := range files {
		if _, known := l.state[n]; !known && n < newest {
			if err := l.delete(n); err != nil {
				return err
			}
		}
	}
	return nil
}

// header reads the header of a segment: where the one before ends, and whether there is this one. The last may have
// been cut short while it was made: then it is not there.
func (l *segmentLog) header(number, last uint64) (before int64, ok bool, err error) {
	f, err := l.fs.Open(l.path(number))
	if errors.Is(err, fs.ErrNotExist) {
		if number < last {
			err = fmt.Errorf("%s is missing", l.path(number))
		} else {
			err = nil
		}
		return 0, false, err
	}
	if err != nil {
		return 0, false, err
	}
	defer f.Close()
	head := make([]byte, segmentHeader)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, false, fmt.Errorf("reading %s: %w", l.path(number), err)
	}
	before = int64(binary.BigEndian.Uint64(head[16:]))
	if n == segmentHeader && slices.Equal(head, segmentHead(number, before)) {
		return before, true, nil
	}
	if info, err := f.Stat(); err != nil || number != last || info.Size() > segmentHeader {
		return 0, false, errors.Join(err, fmt.Errorf("%s is damaged: it has no header of ours", l.path(number)))
	}
	return 0, false, nil
}

// scan puts the entries of the frames from an offset on into batch and returns where the frames end. before is where
// they must end, because the next segment says so, or -1.
func (l *segmentLog) scan(batch *pebble.Batch, number uint64, from, before int64) (end int64, err error) {
	path := l.path(number)
	f, err := l.fs.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	limit := info.Size()
	if before >= 0 {
		limit = min(limit, before)
	}
	state := l.state[number]
	state.end = from
	for state.end < limit {
		fr, err := readFrame(f, state.end, limit)
		if err != nil {
			return 0, fmt.Errorf("reading %s: %w", path, err)
		}
		if fr == nil || fr.flags&flagBound != 0 {
			break
		}
		if err := fr.entries(batch, number); err != nil {
			return 0, fmt.Errorf("%s is damaged at byte %d: %w", path, state.end, err)
		}
		state.live += int64(fr.count)
		state.end += fr.length
	}
	durable := max(before, l.known.end(path)) > state.end
	if !durable && state.end < limit {
		if durable, err = acknowledgedBehind(f, state.end, limit); err != nil {
			return 0, fmt.Errorf("reading %s: %w", path, err)
		}
	}
	if durable {
		return 0, fmt.Errorf("%s is damaged at byte %d: what was on disk there cannot be read", path, state.end)
	}
	if state.end != l.state[number].end || state.live != l.state[number].live {
		l.state[number] = state
		must(batch.Set(segmentKey(number), state.encode(), nil))
	}
	return state.end, nil
}

// A frame as it is read again.
type frame struct {
	flags  uint32
	offset int64
	synced int64
	length int64
	count  int
	buf    []byte
	start  int // of the table in buf
	size   int // of the table
}

// readFrame reads the frame at an offset; nil if there is none that is whole.
func readFrame(f vfs.File, at, limit int64) (*frame, error) {
	head := make([]byte, frameHead)
	if limit-at < frameHead {
		return nil, nil
	}
	if _, err := f.ReadAt(head, at); err != nil {
		return nil, ignoreEOF(err)
	}
	fr := parseHead(head)
	if fr == nil || fr.offset != at || fr.length > limit-at {
		return nil, nil
	}
	fr.buf = make([]byte, fr.length)
	if _, err := f.ReadAt(fr.buf, at); err != nil {
		return nil, ignoreEOF(err)
	}
	if headSum(head, fr.buf[fr.start:fr.start+fr.size]) != binary.BigEndian.Uint32(head[20:]) || !fr.whole() {
		return nil, nil
	}
	return fr, nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// parseHead takes a frame's head apart; nil if it cannot be one.
func parseHead(head []byte) *frame {
	if binary.BigEndian.Uint32(head) != frameMagic {
		return nil
	}
	fr := &frame{
		flags:  binary.BigEndian.Uint32(head[4:]),
		length: int64(binary.BigEndian.Uint32(head[8:])),
		start:  int(binary.BigEndian.Uint32(head[12:])),
		size:   int(binary.BigEndian.Uint32(head[16:])),
		offset: int64(binary.BigEndian.Uint64(head[24:])),
		synced: int64(binary.BigEndian.Uint64(head[32:])),
	}
	if fr.start < frameHead || int64(fr.start)+int64(fr.size) > fr.length || fr.length%frameAlign != 0 {
		return nil
	}
	return fr
}

// each calls f with every body's place in the frame; it returns an error if the table does not fit the bodies.
func (fr *frame) each(f func(start, end int, sum uint32, e Entry)) error {
	table, start := fr.buf[fr.start:fr.start+fr.size], frameHead
	for len(table) >= tableFixed {
		end := start + int(binary.BigEndian.Uint32(table))
		sum := binary.BigEndian.Uint32(table[4:])
		key, note := int(binary.BigEndian.Uint16(table[8:])), int(binary.BigEndian.Uint16(table[10:]))
		table = table[tableFixed:]
		if end > fr.start || key+note > len(table) {
			return errors.New("a table that does not fit its frame")
		}
		f(start, end, sum, Entry{table[:key], table[key : key+note]})
		table, start = table[key+note:], end
	}
	if len(table) > 0 || start != fr.start {
		return errors.New("a table that does not fit its frame")
	}
	return nil
}

// whole reports whether the bodies are as they were written, and counts them.
func (fr *frame) whole() bool {
	ok := true
	err := fr.each(func(start, end int, sum uint32, _ Entry) {
		fr.count++
		ok = ok && checksum(fr.buf[start:end]) == sum
	})
	return ok && err == nil
}

// entries gives the database the frame's entries.
func (fr *frame) entries(batch *pebble.Batch, segment uint64) error {
	return fr.each(func(start, end int, sum uint32, e Entry) {
		p := place{segment, fr.offset + int64(start), uint32(end - start), sum}
		must(batch.Set(e.Key, p.append(nil, e.Note), nil))
	})
}

// acknowledgedBehind looks for a frame behind at that was written when what is at that offset was already on disk:
// then it is no torn end but damage.
func acknowledgedBehind(f vfs.File, at, limit int64) (bool, error) {
	const step = 1 << 20
	buf := make([]byte, step+frameHead)
	for from := at; from < limit; from += step {
		n, err := f.ReadAt(buf[:min(int64(len(buf)), limit-from)], from)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		for i := 0; i+frameHead <= n && i < step; i += frameAlign {
			fr := parseHead(buf[i : i+frameHead])
			if fr == nil || fr.synced <= at {
				continue
			}
			if fr, err = readFrame(f, from+int64(i), limit); fr != nil || err != nil {
				return fr != nil, err
			}
		}
	}
	return false, nil
}
