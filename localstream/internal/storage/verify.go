package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// verify makes sure, before the database opens and changes its files, that the logs are whole up to where SYNCED knows
// them to have been on disk. The database itself takes a damaged end for one that a power cut left. Errors name the file.
func (l *synced) verify(store string) error {
	database, err := pebble.Peek(store, l.fs)
	if err != nil {
		return fmt.Errorf("%s: %w", store, err)
	}
	for name, end := range l.ends {
		path := l.path(name)
		info, err := l.fs.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%s is missing, says %s", path, l.path(syncedName))
		case err != nil:
			return err
		case info.Size() < end:
			return fmt.Errorf("%s is cut off: it has %d bytes, want at least %d", path, info.Size(), end)
		}
		if l.fs.PathDir(path) != store {
			continue // a segment: its frames are looked at when they are replayed
		}
		if !database.Exists {
			return fmt.Errorf("%s has no marker of its manifest", store)
		}
		if at, err := l.checkChunks(path, end); err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		} else if at < end {
			return fmt.Errorf("%s is damaged at byte %d: what was on disk there cannot be read", path, at)
		}
	}
	return nil
}

// The logs of the database are blocks of chunks, as its package record says: a checksum 4, a length 2 and a type 1, in
// the logs but not in the manifest the lower half of the log's number 4, in some the part that was on disk 8, and the
// payload. Numbers are little-endian. What is left of a block at its end is zero.
const (
	chunkBlock    = 32 << 10
	chunkTrailer  = 5  // type of the chunk that ends a log, which has the next log's number
	chunkMost     = 19 // size of the largest head
	chunkSumDelta = 0xa282ead8
)

// chunkHeads are the sizes of the heads by type.
var chunkHeads = [...]int{0, 7, 7, 7, 7, 11, 11, 11, 11, chunkMost, chunkMost, chunkMost, chunkMost}

// checkChunks returns up to where the chunks of a log are whole, looking no further than end.
func (l *synced) checkChunks(path string, end int64) (int64, error) {
	number, _ := strconv.ParseUint(strings.TrimSuffix(l.fs.PathBase(path), ".log"), 10, 64) // the manifest has none
	f, err := l.fs.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	buf := make([]byte, chunkBlock)
	for block := int64(0); block < end; block += chunkBlock {
		n, err := f.ReadAt(buf, block)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		for at := 0; at < chunkBlock && block+int64(at) < end; {
			size := chunkSize(buf[at:n], chunkBlock-at, uint32(number))
			if size == 0 {
				return block + int64(at), nil
			}
			at += size
		}
	}
	return end, nil
}

// chunkSize is the size of the chunk that b begins with, or of the rest of a block that has no chunk; 0 if it is damaged.
func chunkSize(b []byte, rest int, log uint32) int {
	if rest < chunkMost && allZero(b) {
		return rest
	}
	if len(b) < chunkHeads[1] || int(b[6]) >= len(chunkHeads) || b[6] == 0 {
		return 0
	}
	head := chunkHeads[b[6]]
	size := head + int(binary.LittleEndian.Uint16(b[4:]))
	if size > len(b) {
		return 0
	}
	if head > chunkHeads[1] {
		trailer := b[6] == chunkTrailer && size == head && binary.LittleEndian.Uint32(b) == 0
		switch number := binary.LittleEndian.Uint32(b[7:]); {
		case number == log+1 && trailer:
			return size
		case number != log:
			return 0
		}
	}
	sum := crc32.Checksum(b[6:size], castagnoli)
	if (sum>>15|sum<<17)+chunkSumDelta != binary.LittleEndian.Uint32(b) {
		return 0
	}
	return size
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
