// Package verify says whether each record of a stream is in exactly one object of an archive, in order. It reads the
// objects and the stream, and asks nothing of the archivers' own memory.
package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/shoal-stream/shoal/examples/s3archive/archive"
	"github.com/shoal-stream/shoal/integration/check"
	"github.com/shoal-stream/shoal/record"
)

// Objects is the bucket that is read.
type Objects interface {
	List(ctx context.Context, prefix string) ([]archive.Listed, error)
	Get(ctx context.Context, key string) ([]byte, *archive.Meta, error)
}

// A Report counts what was found.
type Report struct {
	// Records is how many the stream holds that the transform wants, InExactlyOne how many of them are in one object
	// and no other, as records or as dead letters.
	Records      int `json:"records"`
	InExactlyOne int `json:"in_exactly_one"`
	// Missing are in no object. Waiting are those among them behind the last stored record of their output: an archiver
	// at work has not come to them yet.
	Missing int `json:"missing"`
	Waiting int `json:"waiting"`
	// Repeated counts the places of a record beyond its first.
	Repeated int `json:"repeated"`
	// OutOfOrder counts records that come after a later one of their output, within an object or in the order of keys.
	OutOfOrder int `json:"out_of_order"`
	// Dropped are records that the transform does not want, DeadLetters those that are stored as such, Redriven those
	// of them that were stored as records later.
	Dropped     int `json:"dropped"`
	DeadLetters int `json:"dead_letters"`
	Redriven    int `json:"redriven"`
	// Objects and Bytes count the objects that were read. Older are those that begin before the oldest record that the
	// stream still keeps: of them the hash and the metadata alone were checked.
	Objects int   `json:"objects"`
	Bytes   int64 `json:"bytes"`
	Older   int   `json:"older"`
	// Bad counts what is wrong with objects themselves: a hash or metadata that do not fit the body, a key that is not
	// the first record's, contents that are in no record.
	Bad int `json:"bad"`
	// Problems tells the first of all these in words.
	Problems []string `json:"problems,omitempty"`
}

// OK reports whether nothing is wrong. Records that wait are no fault.
func (r *Report) OK() bool {
	return r.Missing == r.Waiting && r.Repeated == 0 && r.OutOfOrder == 0 && r.Bad == 0
}

// Complete reports whether nothing is wrong and nothing waits.
func (r *Report) Complete() bool { return r.OK() && r.Missing == 0 }

const mostProblems = 20

func (r *Report) problem(format string, args ...any) {
	if len(r.Problems) < mostProblems {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

func (r *Report) bad(key, format string, args ...any) {
	r.Bad++
	r.problem("%s: %s", key, fmt.Sprintf(format, args...))
}

// A judge compares one stream with one archive.
type judge struct {
	a      *archive.Archiver
	report Report
	shards map[string]*shard
}

// A shard is what a shard of the stream holds and what was found of it.
type shard struct {
	index   map[record.Position]int
	records []expected
	outputs map[string][]int // the records of each output, by their place in records
}

type expected struct {
	at    record.Position
	data  []byte
	fate  archive.Fate
	order int // its place among the records of its output
	found int // in how many places it is stored
	again int // how often it is stored as a record that was a dead letter
}

// Run reads the stream as it was given and every object of the archive that a configures.
func Run(ctx context.Context, a *archive.Archiver, name string, stream check.Stream, objects Objects) (*Report, error) {
	j := &judge{a: a, shards: map[string]*shard{}}
	for i := range stream.Shards {
		if err := j.expect(ctx, name, &stream.Shards[i]); err != nil {
			return nil, err
		}
	}
	records, dead, hasDead := a.Folders()
	if err := j.folder(ctx, objects, records, false); err != nil {
		return nil, err
	}
	if hasDead {
		if err := j.folder(ctx, objects, dead, true); err != nil {
			return nil, err
		}
	}
	j.count()
	return &j.report, nil
}

// expect notes what is to be found of a shard.
func (j *judge) expect(ctx context.Context, stream string, in *check.Shard) error {
	s := &shard{index: map[record.Position]int{}, outputs: map[string][]int{}}
	for i := range in.Records {
		r := &in.Records[i]
		fate, err := j.a.Fate(ctx, stream, in.ID, r)
		if err != nil {
			return err
		}
		e := expected{at: r.Position(), data: r.Data, fate: fate, order: -1}
		if !fate.Dropped {
			e.order = len(s.outputs[fate.Output])
			s.outputs[fate.Output] = append(s.outputs[fate.Output], i)
		}
		s.index[e.at] = i
		s.records = append(s.records, e)
	}
	j.shards[in.ID] = s
	return nil
}

// folder reads all objects of a folder, chain by chain in the order of their keys' records.
func (j *judge) folder(ctx context.Context, objects Objects, folder string, dead bool) error {
	listed, err := objects.List(ctx, folder)
	if err != nil {
		return err
	}
	slices.SortStableFunc(listed, func(a, b archive.Listed) int { return strings.Compare(base(a.Key), base(b.Key)) })
	ends := map[string]record.Position{} // of each chain: the last record stored so far
	for _, o := range listed {
		if strings.HasPrefix(base(o.Key), "_") { // the marker
			continue
		}
		body, meta, err := objects.Get(ctx, o.Key)
		if err != nil {
			return err
		}
		j.report.Objects++
		j.report.Bytes += int64(len(body))
		if meta == nil {
			j.report.bad(o.Key, "%v", archive.ErrForeign)
			continue
		}
		if sum := sha256.Sum256(body); meta.SHA256 != hex.EncodeToString(sum[:]) {
			j.report.bad(o.Key, "the body's SHA-256 is not the one in the metadata")
		}
		j.object(o.Key, body, meta, dead, ends)
	}
	return nil
}

func base(key string) string { return key[strings.LastIndexByte(key, '/')+1:] }

// object compares an object with the records from its first on.
func (j *judge) object(key string, body []byte, meta *archive.Meta, dead bool, ends map[string]record.Position) {
	first, err := archive.FirstOf(key)
	if err != nil {
		j.report.bad(key, "%v", err)
		return
	}
	s := j.shards[meta.Shard]
	if s == nil {
		j.report.Older++
		return
	}
	begin, ok := s.index[first]
	if !ok {
		if len(s.records) > 0 && first.Compare(s.records[0].at) > 0 {
			j.report.bad(key, "begins with a record that the stream does not hold")
			return
		}
		j.report.Older++
		return
	}
	o := &reading{judge: j, shard: s, key: key, meta: meta, dead: dead, at: begin}
	if fate := &s.records[begin].fate; !dead && !meta.Redriven && fate.Key != key {
		j.report.bad(key, "the configuration names the object that begins with this record %s", fate.Key)
	}
	n := 0
	for content, err := range j.a.Decode(dead, body) {
		if err != nil {
			j.report.bad(key, "%v", err)
			break
		}
		o.content(content)
		n++
	}
	o.end(n, first)
	chain := meta.Shard + "\x00" + s.records[begin].fate.Output
	if meta.Redriven || o.last.IsZero() {
		return
	}
	if end, ok := ends[chain]; ok && end.Compare(first) >= 0 {
		j.report.OutOfOrder++
		j.report.problem("%s: begins with a record that the object before it reaches beyond, to %v", key, end)
	}
	if o.last.Compare(ends[chain]) > 0 {
		ends[chain] = o.last
	}
}

// A reading goes through the contents of one object.
type reading struct {
	*judge
	shard *shard
	key   string
	meta  *archive.Meta
	dead  bool
	at    int // the record that the next content is looked for from
	began record.Position
	last  record.Position
}

// content finds the record of a content: the next one of the output with this content, or else one before.
func (o *reading) content(content []byte) {
	i, ahead := o.find(content)
	if i < 0 {
		o.report.bad(o.key, "holds something that is in no record of shard %s", o.meta.Shard)
		return
	}
	e := &o.shard.records[i]
	if o.meta.Redriven {
		e.again++
	} else {
		e.found++
	}
	if !ahead {
		o.report.OutOfOrder++
		o.report.problem("%s: record %v comes after a later one", o.key, e.at)
		return
	}
	if o.began.IsZero() {
		o.began = e.at
	}
	o.last, o.at = e.at, i+1
}

func (o *reading) find(content []byte) (i int, ahead bool) {
	if o.dead {
		return o.findDead(content)
	}
	begin, _ := o.shard.index[o.meta.First]
	out := o.shard.outputs[o.shard.records[begin].fate.Output]
	from, _ := slices.BinarySearch(out, o.at)
	for _, i := range out[from:] {
		if string(o.shard.records[i].fate.Content) == string(content) {
			return i, true
		}
	}
	for _, i := range out[:from] {
		if string(o.shard.records[i].fate.Content) == string(content) {
			return i, false
		}
	}
	return -1, false
}

// findDead finds the record of a dead letter, which says which one it is.
func (o *reading) findDead(content []byte) (i int, ahead bool) {
	var letter archive.DeadLetter
	if err := json.Unmarshal(content, &letter); err != nil {
		return -1, false
	}
	r := letter.Record()
	i, ok := o.shard.index[r.Position()]
	if !ok || string(o.shard.records[i].data) != string(r.Data) {
		return -1, false
	}
	o.report.DeadLetters++
	return i, i >= o.at
}

// end compares what was read with what the key and the metadata say.
func (o *reading) end(n int, first record.Position) {
	switch {
	case o.meta.Records != n:
		o.report.bad(o.key, "holds %d records; its metadata says %d", n, o.meta.Records)
	case o.meta.First != first:
		o.report.bad(o.key, "its metadata says that it begins with %v", o.meta.First)
	case o.began != first:
		o.report.bad(o.key, "begins with record %v", o.began)
	case o.last != o.meta.Last:
		o.report.bad(o.key, "ends with record %v; its metadata says %v", o.last, o.meta.Last)
	}
}

// count sums up what was found of the records.
func (j *judge) count() {
	r := &j.report
	for id, s := range j.shards {
		furthest := map[string]int{} // of each output: its last record that is stored
		for i := range s.records {
			if e := &s.records[i]; e.found > 0 {
				furthest[e.fate.Output] = i
			}
		}
		for i := range s.records {
			e := &s.records[i]
			if e.fate.Dropped && e.found == 0 {
				r.Dropped++
				continue
			}
			r.Records++
			r.Redriven += min(1, e.again)
			switch {
			case e.found == 0:
				r.Missing++
				if far, ok := furthest[e.fate.Output]; !ok || i > far {
					r.Waiting++
				}
				r.problem("shard %s: record %v is in no object", id, e.at)
			case e.found == 1:
				r.InExactlyOne++
			}
			if again := max(0, e.found-1) + max(0, e.again-1); again > 0 {
				r.Repeated += again
				r.problem("shard %s: record %v is in %d places", id, e.at, e.found+e.again)
			}
		}
	}
}
