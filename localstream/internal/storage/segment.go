package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// segmentBytes is the size from which on a segment takes no further group. A start after a power cut reads at most
	// one segment again.
	segmentBytes = 64 << 20
	// gatherBytes is the size below which frames are copied together for one write.
	gatherBytes = 64 << 10
	// reserveBytes is how much space on disk a segment that grows takes at a time, once it has reserveFrom. A file system
	// that looks for space group by group has more to do, and more to write with each sync.
	reserveBytes = 8 << 20
	reserveFrom  = 1 << 20
)

// The database's entries of the log itself. The lowest byte is the store's own: keys of others begin with another.
//
//	0 "s" <number 8>   a segment: end 8, up to where the database has its entries, and how many of them live 8
const (
	ownPrefix     = "\x00"
	prefixSegment = ownPrefix + "s"
)

func segmentKey(number uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(prefixSegment), number)
}

// A segmentLog is where appended bodies go. It belongs to the store's writer.
type segmentLog struct {
	fs   vfs.FS
	dir  string
	sync bool
	most int64 // segmentBytes, but for tests

	known *synced // what SYNCED says

	file   vfs.File // open for writing, nil before the first group and after a write that failed
	number uint64   // of the newest segment, 0 before the first
	offset int64    // its end
	synced int64    // the part of it that is on disk
	room   int64    // up to where it has taken space

	state  map[uint64]segmentState
	buried uint64        // newest segment when bury was last called
	dead   []deadSegment // no entry points into them any more, but a reader may
	gone   []uint64      // removed; what the database has of them goes with the next group

	gather []byte
}

type deadSegment struct {
	number uint64
	after  uint64 // view from which on no reader can meet it
}

func (l *segmentLog) path(number uint64) string { return segmentPath(l.fs, l.dir, number) }

func segmentPath(fs vfs.FS, dir string, number uint64) string {
	return fs.PathJoin(dir, fmt.Sprintf("%06d.log", number))
}

// next tells where the next frame goes.
func (l *segmentLog) next() (number uint64, offset int64) {
	if l.file == nil || l.offset >= l.most {
		return l.number + 1, segmentHeader
	}
	return l.number, l.offset
}

// write appends a group's frames, which begin where next says, and syncs them. After an error nothing of them counts;
// a full disk is one that later writes may survive, noSpace tells.
func (l *segmentLog) write(frames []*Block, flags uint32) (noSpace bool, err error) {
	if number, _ := l.next(); number != l.number {
		if err := l.roll(number); err != nil {
			return errors.Is(err, syscall.ENOSPC), err
		}
	}
	l.reserve(frames)
	if err := l.writeFrames(frames, flags); err != nil {
		// What was written of them must not be taken for something: the next group goes into a new segment, whose header
		// says where this one ends.
		err = errors.Join(err, l.close())
		return errors.Is(err, syscall.ENOSPC), fmt.Errorf("writing %s: %w", l.path(l.number), err)
	}
	if l.sync {
		if err := l.file.SyncData(); err != nil {
			return false, fmt.Errorf("syncing %s: %w", l.path(l.number), err)
		}
	}
	for _, f := range frames {
		l.offset += int64(len(f.buf))
	}
	l.synced = l.offset
	return false, nil
}

// reserve takes space for the frames and some that will come. Where it fails, writing says what is wrong, if anything is.
func (l *segmentLog) reserve(frames []*Block) {
	end := l.offset
	for _, f := range frames {
		end += int64(len(f.buf))
	}
	from := max(l.room, l.offset)
	if !l.sync || end < reserveFrom || end <= l.room || from >= l.most {
		return
	}
	l.room = min(from+max(reserveBytes, end-from), l.most)
	_ = l.file.Preallocate(from, l.room-from)
}

func (l *segmentLog) writeFrames(frames []*Block, flags uint32) error {
	l.gather = l.gather[:0]
	flush := func() error {
		if len(l.gather) == 0 {
			return nil
		}
		_, err := l.file.Write(l.gather)
		l.gather = l.gather[:0]
		return err
	}
	offset := l.offset
	for _, f := range frames {
		f.finish(offset, l.synced, flags)
		offset += int64(len(f.buf))
		if len(f.buf) < gatherBytes {
			l.gather = append(l.gather, f.buf...)
			if len(l.gather) < gatherBytes {
				continue
			}
		}
		if err := flush(); err != nil {
			return err
		}
		if len(f.buf) >= gatherBytes {
			if _, err := l.file.Write(f.buf); err != nil {
				return err
			}
		}
	}
	return flush()
}

// roll begins a new segment. Its header is on disk before anything is written behind it: it says where the one before
// ends.
func (l *segmentLog) roll(number uint64) error {
	if err := makeDirectory(l.fs, l.dir); err != nil {
		return fmt.Errorf("making %s: %w", l.dir, err)
	}
	path := l.path(number)
	file, err := l.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("making %s: %w", path, err)
	}
	_, err = file.Write(segmentHead(number, l.offset))
	if err == nil && l.sync {
		if err = file.Sync(); err == nil {
			err = syncDirectory(l.fs, l.dir)
		}
	}
	if err != nil {
		return fmt.Errorf("making %s: %w", path, errors.Join(err, file.Close()))
	}
	err = l.close()
	l.file, l.number, l.offset, l.synced, l.room = file, number, segmentHeader, segmentHeader, 0
	return err
}

func segmentHead(number uint64, before int64) []byte {
	b := append(make([]byte, 0, segmentHeader), segmentMagic...)
	b = binary.BigEndian.AppendUint64(b, number)
	b = binary.BigEndian.AppendUint64(b, uint64(before))
	b = binary.BigEndian.AppendUint32(b, checksum(b))
	return append(b, 0, 0, 0, 0)
}

func (l *segmentLog) close() error {
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

// A segmentState is what the database knows of a segment.
type segmentState struct {
	end  int64 // up to where its entries are in the database
	live int64 // how many of them there still are
}

func (s segmentState) encode() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 16), uint64(s.end))
	return binary.BigEndian.AppendUint64(b, uint64(s.live))
}

func parseState(b []byte) (segmentState, bool) {
	if len(b) != 16 {
		return segmentState{}, false
	}
	return segmentState{int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:]))}, true
}

// count notes in a group's batch by how many entries each segment changes with it.
func (l *segmentLog) count(batch *pebble.Batch, changes map[uint64]int64) {
	for n, change := range changes {
		state := l.state[n]
		state.live += change
		if n == l.number {
			state.end = l.offset
		}
		l.state[n] = state
		must(batch.Set(segmentKey(n), state.encode(), nil))
	}
	for _, n := range l.gone {
		must(batch.Delete(segmentKey(n), nil))
	}
	l.gone = l.gone[:0]
}

// bury finds the segments that no entry points into any more; readers of views before this one may still meet them.
// The newest segment stays: its number tells the next one's.
func (l *segmentLog) bury(view uint64) {
	for n, state := range l.state {
		if state.live == 0 && n != l.number {
			delete(l.state, n)
			l.dead = append(l.dead, deadSegment{n, view})
		}
	}
}

// remove deletes the segments that no reader from the oldest view on can meet.
func (l *segmentLog) remove(oldest uint64) error {
	var failed []error
	l.dead = slices.DeleteFunc(l.dead, func(d deadSegment) bool {
		if d.after > oldest {
			return false
		}
		if err := l.delete(d.number); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, err) // the next start tries again
			return true
		}
		l.gone = append(l.gone, d.number)
		return true
	})
	return errors.Join(failed...)
}

// delete deletes a segment's file.
func (l *segmentLog) delete(number uint64) error {
	if err := l.known.forget(l.path(number)); err != nil {
		return err
	}
	return l.fs.Remove(l.path(number))
}

// acknowledged notes that what was written counts: SYNCED may ask for it. Of older segments the header of the next one
// says the same.
func (l *segmentLog) acknowledged(rolled bool) {
	if !l.sync {
		return
	}
	if rolled {
		l.known.drop(l.path(l.number - 1))
	}
	l.known.note(l.path(l.number), l.synced)
}
