package kinesisstream_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/localstream"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/internal/streamtest"
	"github.com/shoal-stream/shoal/worker/kinesisstream"
)

// A local is a localstream in memory with one stream, "s".
type local struct{ api *kinesis.Client }

func newLocal(t *testing.T, shards int, o localstream.Options) local {
	t.Helper()
	o.Memory = true
	srv, err := localstream.Open("", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	l := local{kinesis.NewFromConfig(srv.AWSConfig())}
	_, err = l.api.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("s"), ShardCount: aws.Int32(int32(shards))})
	l.settled(t, err)
	return l
}

// settled checks a change of the stream and waits until it is in force.
func (l local) settled(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		err = kinesis.NewStreamExistsWaiter(l.api).Wait(t.Context(), &kinesis.DescribeStreamInput{StreamName: aws.String("s")}, time.Minute)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (l local) put(t *testing.T, h record.HashKey, data string) (string, record.SequenceNumber) {
	t.Helper()
	out, err := l.api.PutRecord(t.Context(), &kinesis.PutRecordInput{
		StreamName: aws.String("s"), PartitionKey: aws.String("key"), ExplicitHashKey: aws.String(h.String()), Data: []byte(data),
	})
	if err != nil {
		t.Fatal(err)
	}
	return *out.ShardId, record.SequenceNumber(*out.SequenceNumber)
}

func (l local) split(t *testing.T, id string, at record.HashKey) {
	t.Helper()
	_, err := l.api.SplitShard(t.Context(), &kinesis.SplitShardInput{StreamName: aws.String("s"), ShardToSplit: &id, NewStartingHashKey: aws.String(at.String())})
	l.settled(t, err)
}

func (l local) merge(t *testing.T, a, b string) {
	t.Helper()
	_, err := l.api.MergeShards(t.Context(), &kinesis.MergeShardsInput{StreamName: aws.String("s"), ShardToMerge: &a, AdjacentShardToMerge: &b})
	l.settled(t, err)
}

func TestConformanceOverLocalstream(t *testing.T) {
	streamtest.Run(t, func(t *testing.T, shards int) streamtest.Backend {
		l := newLocal(t, shards, localstream.Options{Limits: localstream.RealLimits})
		return streamtest.Backend{
			Stream: kinesisstream.New(l.api, "s", kinesisstream.Options{Limit: streamtest.PageRecords}),
			Put:    l.put, Split: l.split, Merge: l.merge,
		}
	})
}

// The stream goes away under a reader and comes again with the same name: the reader says so and goes on with nothing
// but the new stream's records.
func TestAStreamThatIsDeletedAndMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, 1, localstream.Options{})
		s := kinesisstream.New(l.api, "s")
		id, _ := l.put(t, record.HashKey{}, "old")
		r := s.Open(id, record.TrimHorizon)
		if page, err := r.Read(t.Context()); err != nil || len(page.Records) != 1 {
			t.Fatal(page, err)
		}
		before, err := s.Identify(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.api.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String("s")}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Read(t.Context()); !errors.Is(err, worker.ErrNoStream) {
			t.Errorf("Read = %v, want ErrNoStream", err)
		}
		if _, err := s.Identify(t.Context()); !errors.Is(err, worker.ErrNoStream) {
			t.Errorf("Identify = %v, want ErrNoStream", err)
		}
		if _, _, err := s.Shards(t.Context(), record.Position{}); !errors.Is(err, worker.ErrNoStream) {
			t.Errorf("Shards = %v, want ErrNoStream", err)
		}
		time.Sleep(10 * time.Second)
		_, err = l.api.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("s"), ShardCount: aws.Int32(1)})
		l.settled(t, err)
		l.put(t, record.HashKey{}, "new")
		var data []string
		for range 4 {
			time.Sleep(time.Second)
			if page, err := r.Read(t.Context()); err == nil {
				for _, rec := range page.Records {
					data = append(data, string(rec.Data))
				}
			}
		}
		if len(data) != 1 || data[0] != "new" {
			t.Errorf("read %v of the new stream", data)
		}
		if after, err := s.Identify(t.Context()); err != nil || after.Epoch <= before.Epoch {
			t.Errorf("identity %+v, before %+v, %v", after, before, err)
		}
	})
}

// Every third call fails in some way, some of them after they were carried out, and iterators grow old meanwhile.
func TestFaultsOfTheServiceNeitherSkipNorRepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		l := newLocal(t, 1, localstream.Options{Fault: func(c localstream.Call) localstream.Fault {
			if c.Operation != "GetRecords" && c.Operation != "GetShardIterator" {
				return localstream.Fault{}
			}
			calls++
			return [...]localstream.Fault{
				{}, {Reject: &localstream.Error{Type: "ProvisionedThroughputExceededException"}},
				{}, {}, {Reject: &localstream.Error{Type: "InternalFailure", Status: 500}},
				{}, {CutAfter: true},
				{}, {Reject: &localstream.Error{Type: "ExpiredIteratorException"}}, {}, {},
			}[calls%11]
		}})
		var id string
		for i := range 200 {
			id, _ = l.put(t, record.HashKey{}, fmt.Sprintf("r%d", i))
		}
		l.split(t, id, record.HashKey{Hi: 1})
		r := kinesisstream.New(l.api, "s", kinesisstream.Options{Limit: 3}).Open(id, record.TrimHorizon)
		next, failures := 0, 0
		for end := false; !end; {
			time.Sleep(time.Duration(calls%7) * time.Minute)
			page, err := r.Read(t.Context())
			if err != nil {
				if failures++; failures > 1000 {
					t.Fatal(err)
				}
				continue
			}
			for _, rec := range page.Records {
				if string(rec.Data) != fmt.Sprintf("r%d", next) {
					t.Fatalf("read %s, want r%d", rec.Data, next)
				}
				next++
			}
			end = page.End
		}
		if next != 200 || failures < 20 {
			t.Errorf("read %d records through %d failures", next, failures)
		}
	})
}
