package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/shoal-stream/shoal/localstream"
)

// Group commit is looked at with a disk whose every sync takes at least this long.
const (
	syncDelay   = 2 * time.Millisecond
	groupWriter = 32
)

// slowFS adds syncDelay to each sync of the log, and counts them.
type slowFS struct {
	vfs.FS
	syncs atomic.Int64
}

func (f *slowFS) wrap(name string, file vfs.File, err error) (vfs.File, error) {
	if err != nil || !strings.HasSuffix(name, ".log") {
		return file, err
	}
	return &slowFile{file, f}, nil
}

func (f *slowFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, c)
	return f.wrap(name, file, err)
}

func (f *slowFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.ReuseForWrite(old, name, c)
	return f.wrap(name, file, err)
}

func (f *slowFS) Unwrap() vfs.FS { return f.FS }

func (f *slowFS) delay() {
	f.syncs.Add(1)
	time.Sleep(syncDelay)
}

type slowFile struct {
	vfs.File
	fs *slowFS
}

func (f *slowFile) Sync() error {
	f.fs.delay()
	return f.File.Sync()
}

func (f *slowFile) SyncData() error {
	f.fs.delay()
	return f.File.SyncData()
}

// commits compares one goroutine that puts single records with many, on an embedded server.
func (c *config) commits(ctx context.Context, r *report) (err error) {
	fs := &slowFS{FS: vfs.Default}
	srv, err := localstream.Open(filepath.Join(c.work, "commit"), localstream.Options{FS: fs})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.Close()) }()
	cfg := srv.AWSConfig()
	api := kinesis.NewFromConfig(cfg)
	if err := createStream(ctx, api, "commit", shardCount); err != nil {
		return err
	}
	one, _, err := putSingles(ctx, api, fs, 1, c.commit)
	if err != nil {
		return err
	}
	many, perSync, err := putSingles(ctx, api, fs, groupWriter, c.commit)
	if err != nil {
		return err
	}
	r.note(fmt.Sprintf("group commit: %v added to each sync: one goroutine %.0f puts/s; %d goroutines %.0f puts/s, %.1f puts a sync", syncDelay, one, groupWriter, many, perSync))
	r.add(figure{name: "puts_per_fsync", value: perSync, least: 8})
	r.add(figure{name: "group_commit_speedup", value: many / one, least: 8})
	return nil
}

func putSingles(ctx context.Context, api *kinesis.Client, fs *slowFS, goroutines int, limit time.Duration) (rate, perSync float64, err error) {
	var acknowledged atomic.Int64
	synced, start := fs.syncs.Load(), time.Now()
	group := gather(ctx)
	for g := range goroutines {
		stream, key := "commit", fmt.Sprint("key-", g)
		in := &kinesis.PutRecordInput{StreamName: &stream, PartitionKey: &key, Data: make([]byte, recordBytes)}
		group.Go(func(ctx context.Context) error {
			for time.Since(start) < limit {
				if _, err := api.PutRecord(ctx, in); err != nil {
					return err
				}
				acknowledged.Add(1)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return 0, 0, err
	}
	n := float64(acknowledged.Load())
	return n / time.Since(start).Seconds(), n / float64(fs.syncs.Load()-synced), nil
}
