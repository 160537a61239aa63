// Package kinesis is localstream's Kinesis Data Streams: streams and shards, writing, reading, resharding, retention.
//
//	k, err := kinesis.New(store, kinesis.Options{})
//	h := wire.NewHandler(wire.Options{}, k.Wire())
//	err = k.Run(ctx) // in a goroutine: deletes what has expired
//
// # Who owns what
//
// The store's writer owns the newest state: Service.latest, and each shard's tail.written. Operations that change
// something run there, one after another, and make new immutable streams; when the group is on disk the same writer
// publishes them as Service.published and tail.visible, which are all that readers use. So a reader never sees what
// could still be lost, and records of a shard become visible in order.
package kinesis

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/localstream/internal/storage"
)

// Options of a Service; the zero value is ready to use.
type Options struct {
	// Region and Account appear in ARNs and messages; they default to us-east-1 and 000000000000.
	Region, Account string
	Clock           clock.Clock
	Logger          *zap.Logger
	// Limits are enforced per shard. Zero members are not.
	Limits Limits
	// Transition is how long a stream stays CREATING, UPDATING or DELETING. Zero is not at all.
	Transition time.Duration
}

// A Service holds the streams of one account in one region.
type Service struct {
	o     Options
	store *storage.Store
	log   *zap.Logger
	seal  sealer
	meter meter

	latest        catalogue // the store's writer's, like latestAccount
	latestAccount account
	published     atomic.Pointer[catalogue]
	changed       bell // rings when published changes
	account       atomic.Pointer[account]

	subscriptions subscriptions
	damaged       sync.Map // by the storage.Place of chunks that could not be read
}

// New makes a service of what store holds.
func New(store *storage.Store, o Options) (*Service, error) {
	o.Region = cmp.Or(o.Region, "us-east-1")
	o.Account = cmp.Or(o.Account, "000000000000")
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	s := &Service{o: o, store: store, log: o.Logger}
	if err := s.loadSecret(); err != nil {
		return nil, fmt.Errorf("kinesis: loading the iterator key: %w", err)
	}
	if err := s.loadAccount(); err != nil {
		return nil, fmt.Errorf("kinesis: loading the account: %w", err)
	}
	streams, err := s.load()
	if err != nil {
		return nil, fmt.Errorf("kinesis: loading streams: %w", err)
	}
	s.latest = streams
	s.published.Store(&streams)
	return s, nil
}

func (s *Service) now() time.Time { return s.o.Clock.Now() }

// loadSecret reads the key that iterators are sealed with, or draws it when the store is new.
func (s *Service) loadSecret() error {
	return s.store.Update(context.Background(), func(tx *storage.Tx) error {
		secret, ok, err := tx.Get([]byte(keySecret))
		if err != nil {
			return err
		}
		if !ok {
			for range 4 {
				secret = binary.BigEndian.AppendUint64(secret, s.o.Clock.Uint64())
			}
			tx.Set([]byte(keySecret), secret)
		}
		s.seal = sealer{key: secret, clock: s.o.Clock}
		return nil
	})
}

// load reads all streams and finds where their shards end.
func (s *Service) load() (catalogue, error) {
	streams := catalogue{}
	it, err := s.store.Iter([]byte(prefixMeta), []byte(prefixMeta+"\xff"))
	if err != nil {
		return nil, err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		st := new(stream)
		if err := json.Unmarshal(it.Value(), st); err != nil {
			return nil, fmt.Errorf("stream %q: %w", it.Key()[len(prefixMeta):], err)
		}
		for i := range st.Shards {
			if err := s.loadTail(st, &st.Shards[i]); err != nil {
				return nil, fmt.Errorf("stream %q, %s: %w", st.Name, st.Shards[i].id(), err)
			}
		}
		st.complete()
		streams[st.Name] = st
	}
	return streams, it.Error()
}

// loadTail finds the end of a shard: behind its last chunk, or where its floor says if all chunks are deleted.
func (s *Service) loadTail(st *stream, sh *shard) error {
	e := end{next: 1}
	var base uint64
	value, ok, err := s.store.Get(floorKey(st.ID, sh.Index))
	if err != nil {
		return err
	}
	if ok {
		f, err := decodeFloor(value)
		if err != nil {
			return err
		}
		e, base = end{f.next, f.arrival}, f.next
	}
	it, err := s.store.Iter(shardBounds(st.ID, sh.Index))
	if err != nil {
		return err
	}
	defer it.Close()
	if it.Last() {
		c, err := openChunk(it.Key(), it.Note())
		if err != nil {
			return err
		}
		e = end{max(e.next, c.end()), max(e.arrival, c.arrival)}
	}
	sh.tail = newTail(e)
	sh.tail.floor.Store(base)
	return it.Error()
}

// streams is the catalogue as it is on disk.
func (s *Service) streams() catalogue { return *s.published.Load() }

// change runs f on the store's writer with the newest version of the stream called name. f checks, and returns the
// version that is to take its place: nil removes it, the same one changes nothing.
func (s *Service) change(ctx context.Context, name string, f func(tx *storage.Tx, st *stream, now time.Time) (*stream, error)) error {
	return s.store.Update(ctx, func(tx *storage.Tx) error {
		now := s.now()
		st, err := s.live(s.latest, name, now)
		if err != nil {
			return err
		}
		next, err := f(tx, st, now)
		if err != nil || next == st {
			return err
		}
		s.put(tx, name, next)
		return nil
	})
}

// put stores the stream and makes it the newest; readers get it when it is on disk. It runs on the store's writer.
func (s *Service) put(tx *storage.Tx, name string, st *stream) {
	if st == nil {
		tx.Delete(metaKey(name))
	} else {
		st.complete()
		tx.Set(metaKey(name), encodeMeta(st))
	}
	all := s.latest.with(name, st)
	s.latest = all
	tx.OnCommit(func() {
		s.published.Store(&all)
		s.changed.ring()
	})
}

// live finds a stream that is not gone.
func (s *Service) live(all catalogue, name string, now time.Time) (*stream, error) {
	st, ok := all[name]
	if !ok || st.state(now) == "" {
		return nil, s.streamNotFound(name)
	}
	return st, nil
}
