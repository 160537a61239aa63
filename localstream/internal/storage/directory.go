package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// The data directory holds:
//
//	LOCALSTREAM   the magic "LOCALSTREAM ", the format version in decimal and a line feed
//	SYNCED        up to where the logs in the others are known to be on disk
//	store/        the database, with the file LOCK that keeps other processes out
//	records/      segments of appended bodies, from the first one on
//
// Version 2 is the layout of keys that packages kinesis and tables describe, version 3 the same with SYNCED: a directory
// of version 2 becomes one of version 3. Version 1 had the records inside of the database.
const (
	markerName    = "LOCALSTREAM"
	markerTemp    = "LOCALSTREAM.new"
	markerMagic   = "LOCALSTREAM "
	storeName     = "store"
	recordsName   = "records"
	formatVersion = 3
	oldestVersion = 2
)

// prepare makes sure that dir is, or may become, a localstream directory, locks it and returns the database's path.
func prepare(fsys vfs.FS, dir string) (path string, _ *pebble.Lock, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("data directory %s: %w", dir, err)
		}
	}()
	if err := makeDirectory(fsys, dir); err != nil {
		return "", nil, fmt.Errorf("cannot be made: %w", err)
	}
	names, err := fsys.List(dir)
	if err != nil {
		return "", nil, fmt.Errorf("cannot be read: %w", err)
	}
	version, err := checkMarker(fsys, dir)
	if err != nil {
		return "", nil, err
	}
	if version == 0 {
		if err := checkEmpty(fsys, dir, names); err != nil {
			return "", nil, err
		}
	}
	path = fsys.PathJoin(dir, storeName)
	if err := makeDirectory(fsys, path); err != nil {
		return "", nil, fmt.Errorf("cannot be written: %w", err)
	}
	lock, err := pebble.LockDirectory(path, fsys)
	if err != nil {
		if heldElsewhere(err) {
			return "", nil, fmt.Errorf("in use by another localstream: %w", err)
		}
		return "", nil, fmt.Errorf("cannot be written: %w", err)
	}
	if version < formatVersion {
		err := makeSynced(fsys, dir)
		if err == nil {
			err = writeMarker(fsys, dir)
		}
		if err != nil {
			lock.Close()
			return "", nil, fmt.Errorf("cannot be written: %w", err)
		}
	}
	return path, lock, nil
}

// makeDirectory makes dir with mode 0700, and its parents, so that they are there after a power cut.
func makeDirectory(fsys vfs.FS, dir string) error {
	_, err := fsys.Stat(dir)
	if err == nil {
		return fsys.MkdirAll(dir, 0o700) // says so if it is not a directory
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := fsys.PathDir(dir)
	if parent != dir && parent != "." {
		if err := makeDirectory(fsys, parent); err != nil {
			return err
		}
	}
	if err := fsys.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDirectory(fsys, parent)
}

func syncDirectory(fsys vfs.FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// heldElsewhere tells a lock that is taken from one that cannot be made. A second store in this process gets an
// error that has only its text.
func heldElsewhere(err error) bool {
	return errors.Is(err, syscall.EAGAIN) || err.Error() == "lock held by current process"
}

// checkMarker reads the format marker's version, 0 if there is no marker.
func checkMarker(fsys vfs.FS, dir string) (version uint64, err error) {
	f, err := fsys.Open(fsys.PathJoin(dir, markerName))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("cannot be read: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return 0, fmt.Errorf("cannot be read: %w", err)
	}
	number, magic := bytes.CutPrefix(text, []byte(markerMagic))
	version, err = strconv.ParseUint(string(bytes.TrimSuffix(number, []byte("\n"))), 10, 32)
	switch {
	case !magic || err != nil || version == 0:
		return 0, fmt.Errorf("not a localstream directory: its %s file is not one of ours", markerName)
	case version > formatVersion:
		return 0, fmt.Errorf("written by a newer localstream: format %d, this one reads format %d, says its %s file", version, formatVersion, markerName)
	case version < oldestVersion:
		return 0, fmt.Errorf("written by an older localstream: format %d, this one reads format %d, says its %s file; give it a new directory", version, formatVersion, markerName)
	}
	return version, nil
}

// checkEmpty accepts what a start that was cut short may have left, and the directory that some file systems put at
// their root.
func checkEmpty(fsys vfs.FS, dir string, names []string) error {
	for _, name := range names {
		switch name {
		case markerTemp, syncedName, "lost+found":
			continue
		case storeName:
			inside, err := fsys.List(fsys.PathJoin(dir, name))
			if err == nil && (len(inside) == 0 || len(inside) == 1 && inside[0] == "LOCK") {
				continue
			}
		}
		return fmt.Errorf("not a localstream directory: it holds %q and no %s file; want an empty one", name, markerName)
	}
	return nil
}

// writeMarker makes the marker whole or not at all.
func writeMarker(fsys vfs.FS, dir string) error {
	temp := fsys.PathJoin(dir, markerTemp)
	f, err := fsys.Create(temp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(markerMagic + strconv.Itoa(formatVersion) + "\n"))
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := fsys.Rename(temp, fsys.PathJoin(dir, markerName)); err != nil {
		return err
	}
	return syncDirectory(fsys, dir)
}
