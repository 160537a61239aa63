package kinesis

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/localstream/internal/storage"
	"github.com/shoal-stream/shoal/localstream/internal/wire"
	"github.com/shoal-stream/shoal/record"
)

// maxRequest is the most that a PutRecords may carry, keys included.
const maxRequest = 10 << 20

type putRecordInput struct {
	streamRef
	putEntry
	SequenceNumberForOrdering *string `pattern:"0|([1-9]\\d{0,128})"`
	DryRun                    *bool
}

type putRecordsInput struct {
	streamRef
	Records []putEntry `required:"true" len:"1..500"`
	DryRun  *bool
}

type putEntry struct {
	Data            []byte    `required:"true" len:"0..10485760"`
	PartitionKey    wire.Text `len:"1..256"` // required unless the stream's distribution is auto
	ExplicitHashKey *string   `pattern:"0|([1-9]\\d{0,38})"`
}

// Member is where the data and the key go.
func (e *putEntry) Member(name string) (data *[]byte, text *wire.Text) {
	switch name {
	case "Data":
		return &e.Data, nil
	case "PartitionKey":
		return nil, &e.PartitionKey
	}
	return nil, nil
}

// Valid reports that the constraints hold, for entries as they usually are.
func (e *putEntry) Valid() bool {
	return e.Data != nil && len(e.Data) <= maxRequest && len(e.PartitionKey) > 0 && len(e.PartitionKey) <= 256 && e.ExplicitHashKey == nil
}

// A write is one PutRecord or PutRecords on its way: prepared in its caller's goroutine, numbered on the writer.
type write struct {
	s       *Service
	name    string
	entries []putEntry
	hashes  []record.HashKey

	routed    *stream // the version that what is below is for
	chunks    []*draft
	placed    []place        // by entry
	block     *storage.Block // the chunks' bodies, in their order
	encrypted bool           // the records show as such
}

// A draft is a chunk before it has its numbers.
type draft struct {
	shard   *shard
	entries int
	size    int // of its body
	sizes   sizes
	rest    []byte // of its body, where the next record goes
	first   uint64
	arrival int64

	run run    // writes its numbers
	id  string // of its shard, once it was wanted
}

// A place says where an entry went: the how-manieth record of which chunk. Without a chunk it was throttled.
type place struct {
	chunk *draft
	shard *shard
	nth   uint64
}

func (s *Service) putRecord(ctx context.Context, in *putRecordInput) (any, error) {
	w, err := s.prepare(&in.streamRef, []putEntry{in.putEntry}, "partitionKey")
	if err == nil {
		err = s.checkOrdering(w.routed, in.SequenceNumberForOrdering, s.now())
	}
	if err == nil {
		err = dryRun(in.DryRun)
	}
	if err != nil {
		return nil, err
	}
	if err := w.run(ctx); err != nil {
		return nil, err
	}
	p := w.placed[0]
	id := p.shard.id()
	if p.chunk == nil {
		return nil, wire.Errorf(throughput, "%s", s.throttled(w.name, id))
	}
	number := p.number().String()
	return &kinesis.PutRecordOutput{ShardId: &id, SequenceNumber: &number, EncryptionType: w.encryption()}, nil
}

func (s *Service) putRecords(ctx context.Context, in *putRecordsInput) (any, error) {
	w, err := s.prepare(&in.streamRef, in.Records, "records.%d.member.partitionKey")
	if err == nil {
		err = dryRun(in.DryRun)
	}
	if err != nil {
		return nil, err
	}
	if err := w.run(ctx); err != nil {
		return nil, err
	}
	return putReply{w}, nil
}

// prepare checks the entries and makes the chunks of them, but for their numbers. path is the format of
// where their partition keys are, for messages.
func (s *Service) prepare(ref *streamRef, entries []putEntry, path string) (*write, error) {
	st, err := s.find(ref)
	if err != nil {
		return nil, err
	}
	if err := keysMissing(st, entries, path); err != nil {
		return nil, err
	}
	w := &write{s: s, name: st.Name, entries: entries, hashes: make([]record.HashKey, len(entries))}
	total := 0
	for i := range entries {
		e := &entries[i]
		size := len(e.Data) + len(e.PartitionKey)
		if most := st.MaxRecord << 10; size > most {
			return nil, wire.Errorf(invalidArgument, "Record size of %d bytes exceeds the maximum of %d bytes.", size, most)
		}
		total += size
		if w.hashes[i], err = s.hash(st, e); err != nil {
			return nil, err
		}
	}
	if total > maxRequest {
		return nil, wire.Errorf(invalidArgument, "Records size exceeds 10 MB limit")
	}
	if err := s.writable(st); err != nil {
		return nil, err
	}
	w.route(st, s.now())
	return w, nil
}

// writable refuses streams that do not take records: those that are being created or deleted.
func (s *Service) writable(st *stream) error {
	if state := st.state(s.now()); state == creating || state == "" {
		return s.streamNotFound(st.Name)
	}
	return nil
}

// keysMissing refuses entries without partition keys, unless the stream does without.
func keysMissing(st *stream, entries []putEntry, path string) error {
	if st.Distribution == auto {
		return nil
	}
	var paths []string
	for i := range entries {
		if entries[i].PartitionKey != nil {
			continue
		}
		at := path
		if strings.Contains(path, "%d") {
			at = fmt.Sprintf(path, i+1)
		}
		paths = append(paths, at)
	}
	return wire.Missing(paths...)
}

// hash is the entry's point in the hash key space: a random one where the service distributes the records.
func (s *Service) hash(st *stream, e *putEntry) (record.HashKey, error) {
	if st.Distribution == auto {
		return record.HashKey{Hi: s.o.Clock.Uint64(), Lo: s.o.Clock.Uint64()}, nil
	}
	if e.ExplicitHashKey == nil {
		return record.HashOf(string(e.PartitionKey)), nil
	}
	h, err := record.ParseHashKey(*e.ExplicitHashKey)
	if err != nil {
		return h, wire.Errorf(invalidArgument, "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was %s", *e.ExplicitHashKey)
	}
	return h, nil
}

// route sorts the entries into chunks for the open shards of st.
func (w *write) route(st *stream, now time.Time) {
	w.routed = st
	w.chunks = nil
	w.placed = make([]place, len(w.entries))
	open := st.open()
	current := make([]*draft, len(open))
	for i := range w.entries {
		h := w.hashes[i]
		n, _ := slices.BinarySearchFunc(open, h, func(sh *shard, h record.HashKey) int { return sh.Range.End.Compare(h) })
		sh := open[n]
		w.placed[i].shard = sh
		key, data := len(w.entries[i].PartitionKey), len(w.entries[i].Data)
		if !sh.tail.writes.take(now, 1, data+key, w.s.o.Limits.write()) {
			continue
		}
		d, size := current[n], recordSize(key, data)
		if d == nil || d.size+size > chunkBytes {
			d = &draft{shard: sh}
			current[n] = d
			w.chunks = append(w.chunks, d)
		}
		w.placed[i].chunk, w.placed[i].nth = d, uint64(d.entries)
		d.entries++
		d.size += size
	}
	w.encode()
}

// encode makes the chunks' bodies.
func (w *write) encode() {
	sizes := make([]int, len(w.chunks))
	for i, d := range w.chunks {
		sizes[i] = d.size
	}
	w.block = storage.NewBlock(sizes...)
	for i, d := range w.chunks {
		d.rest = w.block.Body(i)
	}
	for i, p := range w.placed {
		if p.chunk != nil {
			p.chunk.rest = putRecord(p.chunk.rest, w.entries[i].PartitionKey, w.entries[i].Data)
			p.chunk.sizes.add(w.entries[i].PartitionKey, w.entries[i].Data)
		}
	}
	w.block.Seal()
}

// run stores what was routed: all of it or, on an error, nothing that is known of.
func (w *write) run(ctx context.Context) error {
	w.encrypted = w.routed.encrypts(w.s.now())
	if len(w.chunks) == 0 {
		return nil
	}
	err := w.s.store.Update(ctx, func(tx *storage.Tx) error {
		now := w.s.now()
		st, err := w.s.live(w.s.latest, w.name, now)
		if err != nil {
			return err
		}
		if err := tx.Space(); err != nil {
			return err
		}
		if st.ID != w.routed.ID || st.Next != w.routed.Next {
			w.route(st, now) // a reshard came between
			if len(w.chunks) == 0 {
				return nil // all throttled
			}
		}
		w.encrypted = st.encrypts(now)
		entries := make([]storage.Entry, len(w.chunks))
		for i, d := range w.chunks {
			entries[i].Note = d.number(now, w.encrypted)
			entries[i].Key = chunkKey(st.ID, d.shard.Index, d.first)
		}
		tx.Append(w.block, entries...)
		tx.OnCommit(w.publish)
		return nil
	})
	if err == nil {
		w.block.Free()
	}
	return err
}

// number takes the chunk's numbers from its shard's tail and returns its note.
func (d *draft) number(now time.Time, encrypted bool) []byte {
	t := &d.shard.tail.written
	t.arrival = max(t.arrival, now.UnixMilli())
	d.first, d.arrival = t.next, t.arrival
	t.next += uint64(d.entries)
	c := chunk{arrival: d.arrival, count: uint64(d.entries), encrypted: encrypted, sizes: d.sizes}
	return c.note()
}

// publish lets readers see the chunks.
func (w *write) publish() {
	for _, d := range w.chunks {
		d.shard.tail.visible.Store(&end{d.first + uint64(d.entries), d.arrival})
		d.shard.tail.arrived.ring()
	}
}

func (p place) number() sequence {
	return p.chunk.shard.number(p.chunk.first+p.nth, p.chunk.arrival)
}

func (w *write) encryption() types.EncryptionType {
	if w.encrypted {
		return types.EncryptionTypeKms
	}
	return ""
}

// dryRun answers a call that asks only whether it would succeed.
func dryRun(asked *bool) error {
	if asked != nil && *asked {
		return wire.Errorf("DryRunOperationException", "Request would have succeeded, but DryRun flag is set.")
	}
	return nil
}

func (s *Service) throttled(name, id string) string {
	var b strings.Builder
	b.WriteString("Rate exceeded for shard ")
	b.WriteString(id + " in stream " + name + " under account " + s.o.Account + ".")
	return b.String()
}
