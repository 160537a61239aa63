package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/shoal-stream/shoal/examples/s3archive/prefix"
	"github.com/shoal-stream/shoal/record"
)

// An output is where records go: the objects of one set of partition values, or the dead letters of one kind. Each has
// a chain of its own.
type output struct {
	name   string
	values []string
	// errorType is the kind of dead letters, "" for records.
	errorType string
}

// Kinds of dead letters, as Firehose calls them.
const (
	processingFailed = "processing-failed"
	conversionFailed = "format-conversion-failed"
)

// A route is what becomes of one record.
type route struct {
	out     *output // nil if it is dropped
	content []byte
	cause   error // why it is a dead letter
}

// route decides on a record. It depends on the record and the configuration alone; an error says that it could not be
// decided now.
func (a *Archiver) route(ctx context.Context, shard string, r *record.Record) (route, error) {
	kept := *r
	if a.cfg.Transform != nil {
		switch result := a.cfg.Transform(ctx, r); {
		case transient(result.Err):
			return route{}, fmt.Errorf("transform record %v: %w", r.Position(), result.Err)
		case result.Verdict == Drop:
			return route{}, nil
		case result.Verdict == OK:
			kept.Data = result.Data
		default:
			return a.dead(shard, r, processingFailed, "Transform.Failed", result.Err)
		}
	}
	out := &output{}
	if a.cfg.Query != nil {
		values, err := a.cfg.Query.Values(kept.Data, a.cfg.Prefix.Names())
		switch {
		case transient(err):
			return route{}, fmt.Errorf("partition record %v: %w", r.Position(), err)
		case err != nil:
			return a.dead(shard, r, processingFailed, "DynamicPartitioning.MetadataExtractionFailed", err)
		}
		out.values, out.name = values, strings.Join(values, "\x00")
	}
	content, err := a.cfg.Format.Content(&kept)
	if err != nil {
		return a.dead(shard, r, conversionFailed, "DataFormatConversion.InvalidRecord", err)
	}
	return route{out: out, content: content}, nil
}

// transient reports whether an error tells nothing about the record.
func transient(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// A DeadLetter is a record that could not be stored, as a line of JSON in an object below the error prefix. The fields
// are Firehose's; those from ShardID on are ours, for the way back.
type DeadLetter struct {
	AttemptsMade           int    `json:"attemptsMade"`
	ArrivalTimestamp       int64  `json:"arrivalTimestamp"`
	ErrorCode              string `json:"errorCode"`
	ErrorMessage           string `json:"errorMessage"`
	AttemptEndingTimestamp int64  `json:"attemptEndingTimestamp"`
	RawData                []byte `json:"rawData"`
	ShardID                string `json:"shardId"`
	SequenceNumber         string `json:"sequenceNumber"`
	SubSequenceNumber      uint64 `json:"subsequenceNumber"`
	PartitionKey           string `json:"partitionKey"`
}

// Record is the record that failed.
func (d *DeadLetter) Record() record.Record {
	return record.Record{
		SequenceNumber: record.SequenceNumber(d.SequenceNumber), SubSequenceNumber: d.SubSequenceNumber,
		PartitionKey: d.PartitionKey, Data: d.RawData, ArrivalTime: time.UnixMilli(d.ArrivalTimestamp),
	}
}

// dead makes a dead letter of a record, if there is a place for them.
func (a *Archiver) dead(shard string, r *record.Record, kind, code string, cause error) (route, error) {
	if cause == nil {
		cause = errors.New("the transform gave no reason")
	}
	if a.cfg.ErrorPrefix == nil {
		return route{}, fmt.Errorf("record %v: %s: %w (there is no error prefix to put it in)", r.Position(), code, cause)
	}
	line, err := json.Marshal(DeadLetter{
		AttemptsMade: 1, ArrivalTimestamp: r.ArrivalTime.UnixMilli(), ErrorCode: code, ErrorMessage: cause.Error(),
		AttemptEndingTimestamp: a.cfg.Clock.Now().UnixMilli(), RawData: r.Data, ShardID: shard,
		SequenceNumber: string(r.SequenceNumber), SubSequenceNumber: r.SubSequenceNumber, PartitionKey: r.PartitionKey,
	})
	if err != nil {
		return route{}, fmt.Errorf("record %v: write dead letter: %w", r.Position(), err)
	}
	return route{out: &output{name: "\x00" + kind, errorType: kind}, content: line, cause: cause}, nil
}

// key is the key of the object of an output that begins with the record at p.
func (a *Archiver) key(out *output, stream, shard string, p record.Position, arrival time.Time) string {
	first := &prefix.First{Stream: stream, Shard: shard, Arrival: arrival, Values: out.values, ErrorType: out.errorType}
	template, extension := a.cfg.Prefix, a.cfg.Format.Extension()
	if out.errorType != "" {
		template, extension = a.cfg.ErrorPrefix, deadFormat(a.cfg.Compression).Extension()
	}
	key := template.Eval(first)
	if !template.HasShard() {
		key += shard + "/"
	}
	return key + name(p) + extension
}

// A Fate is what the configuration makes of a record, for those who check what is stored.
type Fate struct {
	// Dropped: the transform does not want it.
	Dropped bool
	// Output tells outputs of a shard apart, ErrorType is the kind of dead letter that the record is, "" if it is none.
	Output, ErrorType string
	// Content is what the object says about the record; of dead letters it differs from attempt to attempt.
	Content []byte
	// Key is the key of an object that begins with the record.
	Key string
}

// Fate tells what becomes of a record of a shard.
func (a *Archiver) Fate(ctx context.Context, stream, shard string, r *record.Record) (Fate, error) {
	to, err := a.route(ctx, shard, r)
	if err != nil || to.out == nil {
		return Fate{Dropped: err == nil}, err
	}
	return Fate{
		Output: to.out.name, ErrorType: to.out.errorType, Content: to.content,
		Key: a.key(to.out, stream, shard, r.Position(), r.ArrivalTime),
	}, nil
}

// Folders are what the keys of all objects and of all dead letters begin with.
func (a *Archiver) Folders() (records, dead string, hasDead bool) {
	if a.cfg.ErrorPrefix == nil {
		return a.cfg.Prefix.Static(), "", false
	}
	return a.cfg.Prefix.Static(), a.cfg.ErrorPrefix.Static(), true
}

// Decode reads the contents of an object's body.
func (a *Archiver) Decode(dead bool, body []byte) iter.Seq2[[]byte, error] {
	f := a.cfg.Format
	if dead {
		f = deadFormat(a.cfg.Compression)
	}
	return f.Decode(bytes.NewReader(body), int64(len(body)))
}
