package kinesisstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/record/kinesiscbor"
	"github.com/shoal-stream/shoal/worker"
)

// iteratorLife is how long an iterator is used. The service's lasts 5 minutes (Kinesis API reference, GetRecords).
const iteratorLife = 4 * time.Minute

// Pages are asked for by their bytes where Options.Limit leaves it open: pageBytes is more than the service gives of a
// shard in a second, so that five reads a second never wait for it, and small enough that a page being processed, one
// that waits and one under way are little memory. How many records that is, the last page tells; firstLimit is asked for
// before there was one.
const (
	pageBytes  = 3 << 20
	firstLimit = 2_000
)

// limit is how many records the next page may have.
func (r *reader) limit() int {
	switch limit := r.stream.o.Limit; {
	case limit > 0:
		return limit
	case r.mean == 0:
		return firstLimit
	default:
		return max(1, min(pageBytes/r.mean, maxLimit))
	}
}

// Open makes a reader. LATEST is fixed when the first Read gets its iterator, or its subscription.
func (s *Stream) Open(shardID string, at record.Position) worker.Reader {
	r := &reader{stream: s, shardID: shardID, at: at}
	if s.o.FanOut != "" {
		return &follower{reader: r}
	}
	return r
}

// A reader polls one shard. Its place is at and after; the iterator is a short-lived form of it that can be had again
// at any time. Both change only when a page is given out.
type reader struct {
	stream  *Stream
	shardID string

	at    record.Position // where Open said, or the last record given out
	after bool            // that was given out

	iterator *string   // nil if none is at hand
	taken    time.Time // not after the service made it
	mean     int       // bytes of a record in the last page that had some, 0 before
	refused  error     // why iterator begins at the horizon though at is a number
}

// Close has nothing to free.
func (r *reader) Close() {}

// Read makes one GetRecords, behind a GetShardIterator where none is at hand. An iterator that the service takes no
// more is replaced at once.
func (r *reader) Read(ctx context.Context) (record.Page, error) {
	s := r.stream
	if s.err != nil {
		return record.Page{}, s.err
	}
	for attempt := 1; ; attempt++ {
		if err := r.locate(ctx); err != nil {
			return record.Page{}, r.failed(ctx, "placing a reader in", err)
		}
		sent := s.o.Clock.Now()
		var read kinesiscbor.Page
		out, err := s.getRecords(kinesiscbor.ReadInto(ctx, &read), &kinesis.GetRecordsInput{
			ShardIterator: r.iterator, Limit: aws.Int32(int32(r.limit())), StreamARN: s.byARN(),
		})
		given := read
		read = kinesiscbor.Page{} // who keeps the context does not keep the records
		if err == nil {
			page, err := r.accept(out, given, sent)
			if err != nil {
				r.iterator = nil
				err = fmt.Errorf("reading shard %s of stream %s: %w", r.shardID, s.name, err)
			}
			return page, err
		}
		dead := deadIterator(err)
		if dead {
			r.iterator = nil
		}
		if !dead || attempt == 2 {
			return record.Page{}, r.failed(ctx, "reading", err)
		}
	}
}

// deadIterator reports whether another iterator may mend err. ResourceNotFound counts too: the iterator may be of a
// stream that was deleted, and there is one of the same name again.
func deadIterator(err error) bool {
	return is[*types.ExpiredIteratorException](err) || is[*types.InvalidArgumentException](err) ||
		is[*types.ResourceNotFoundException](err)
}

// locate gets an iterator at the reader's place unless a good one is at hand.
func (r *reader) locate(ctx context.Context) error {
	s := r.stream
	if r.iterator != nil && s.o.Clock.Since(r.taken) < iteratorLife {
		return nil
	}
	in := &kinesis.GetShardIteratorInput{StreamName: s.byName(), StreamARN: s.byARN(), ShardId: &r.shardID}
	if err := r.aim(in); err != nil {
		return err
	}
	sent := s.o.Clock.Now()
	out, err := s.api.GetShardIterator(ctx, in)
	r.refused = nil
	if is[*types.InvalidArgumentException](err) && r.at.Kind() == record.KindSequence {
		// The service does not know the number any more. If all that it still has comes after it, that is where to go
		// on: accept looks whether it is so.
		r.refused = err
		in.ShardIteratorType, in.StartingSequenceNumber = types.ShardIteratorTypeTrimHorizon, nil
		sent = s.o.Clock.Now()
		out, err = s.api.GetShardIterator(ctx, in)
	}
	if err != nil {
		return err
	}
	if aws.ToString(out.ShardIterator) == "" {
		return errors.New("the answer has no ShardIterator")
	}
	r.iterator, r.taken = out.ShardIterator, sent
	if r.at.Kind() == record.KindLatest {
		// Should this iterator be lost before it has given a record, LATEST would mean a later place. The moment is at
		// most a little before it.
		r.at = record.AtTimestamp(s.serviceTime(out.ResultMetadata, sent))
	}
	return nil
}

// aim sets the position of an iterator request to the reader's place.
func (r *reader) aim(in *kinesis.GetShardIteratorInput) error {
	if err := r.at.Validate(); err != nil {
		return err
	}
	switch r.at.Kind() {
	case record.KindTrimHorizon:
		in.ShardIteratorType = types.ShardIteratorTypeTrimHorizon
	case record.KindLatest:
		in.ShardIteratorType = types.ShardIteratorTypeLatest
	case record.KindAtTimestamp:
		in.ShardIteratorType, in.Timestamp = types.ShardIteratorTypeAtTimestamp, aws.Time(r.at.Time())
	case record.KindSequence:
		in.ShardIteratorType, in.StartingSequenceNumber = types.ShardIteratorTypeAtSequenceNumber, aws.String(string(r.at.Sequence()))
		if r.after {
			in.ShardIteratorType = types.ShardIteratorTypeAfterSequenceNumber
		}
	default:
		return fmt.Errorf("open at position %v; want TRIM_HORIZON, LATEST, AT_TIMESTAMP or a sequence number", r.at)
	}
	return nil
}

// accept makes a page of an answer and moves the reader behind it, or returns an error and leaves the reader where it
// is if the answer cannot be true.
func (r *reader) accept(out *kinesis.GetRecordsOutput, read kinesiscbor.Page, sent time.Time) (record.Page, error) {
	page := record.Page{
		Records: read.Records, Plain: read.Plain,
		Behind: time.Duration(aws.ToInt64(out.MillisBehindLatest)) * time.Millisecond,
	}
	if page.Records == nil {
		page.Records = recordsOf(out.Records)
	}
	if err := r.follows(page.Records); err != nil {
		return record.Page{}, err
	}
	if aws.ToString(out.NextShardIterator) == "" {
		children, err := childrenOf(out.ChildShards)
		if err == nil && len(children) == 0 {
			err = errors.New("the answer ends the shard without naming its children")
		}
		if err != nil {
			return record.Page{}, err
		}
		out.NextShardIterator, page.End, page.Children = nil, true, children
	}
	if n := len(page.Records); n > 0 {
		r.passed(page.Records[n-1].SequenceNumber)
		bytes := 0
		for i := range page.Records {
			bytes += page.Records[i].Size()
		}
		r.mean = max(bytes/n, 1)
	}
	r.iterator, r.taken = out.NextShardIterator, sent
	return page, nil
}

// passed moves the place behind the record of that number. The number is copied: its memory is shared with others of
// its page.
func (r *reader) passed(seq record.SequenceNumber) {
	r.at, r.after, r.refused = record.At(record.SequenceNumber(strings.Clone(string(seq))), 0), true, nil
}

// follows returns an error unless records begin behind the reader's place, or at it if that was not given out yet.
func (r *reader) follows(records []record.Record) error {
	if len(records) == 0 {
		return nil
	}
	first := records[0].SequenceNumber
	if err := first.Validate(); err != nil {
		return err
	}
	if r.at.Kind() != record.KindSequence {
		return nil
	}
	switch c := first.Compare(r.at.Sequence()); {
	case c > 0 || c == 0 && !r.after:
		return nil
	case r.refused != nil:
		return fmt.Errorf("sequence number %s is refused, though the shard has records before it: %w", r.at.Sequence(), r.refused)
	default:
		return fmt.Errorf("the answer begins at %s, which is not behind %s", first, r.at.Sequence())
	}
}

// failed wraps an error of a call about the shard. The service says ResourceNotFound of a shard and of a stream; which
// of them it is, the stream tells.
func (r *reader) failed(ctx context.Context, doing string, err error) error {
	s := r.stream
	doing = fmt.Sprintf("%s shard %s of stream %s", doing, r.shardID, s.name)
	if !is[*types.ResourceNotFoundException](err) {
		return failed(doing, err, nil)
	}
	d, asking := s.describe(ctx)
	switch {
	case is[*types.ResourceNotFoundException](asking):
		return failed(doing, err, worker.ErrNoStream)
	case asking != nil:
		return fmt.Errorf("%s: %w; %w", doing, err, failed("looking for the stream", asking, nil))
	case d.StreamStatus == types.StreamStatusDeleting:
		return failed(doing, err, worker.ErrNoStream)
	case d.StreamStatus == types.StreamStatusCreating:
		return failed(doing, err, nil)
	default:
		return failed(doing, err, worker.ErrShardGone)
	}
}
