package localstream_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/shoal-stream/shoal/localstream"
	"github.com/shoal-stream/shoal/record"
)

func TestEverythingSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		start := func() (*localstream.Server, *client) {
			srv, err := localstream.Open("data", localstream.Options{FS: disk})
			if err != nil {
				t.Fatal(err)
			}
			return srv, newClient(t, srv)
		}
		srv, c := start()
		if _, err := localstream.Open("data", localstream.Options{FS: disk}); err == nil || !strings.Contains(err.Error(), "data directory data: in use by another localstream") {
			t.Errorf("a second server on the same data: %v", err)
		}
		c.create(1)
		created := *c.describe().StreamCreationTimestamp
		var newest record.SequenceNumber
		put := 0
		for round := range 5 {
			out := c.put(put, 30)
			put += 30
			if first := record.SequenceNumber(*out.Records[0].SequenceNumber); first.Compare(newest) <= 0 {
				t.Fatalf("round %d: %s after %s", round, first, newest)
			}
			newest = record.SequenceNumber(*out.Records[29].SequenceNumber)
			it := c.horizon(0)
			if err := srv.Close(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			srv, c = start()
			if out := c.get(it, 0); len(out.Records) != put { // iterators outlive the restart
				t.Fatalf("round %d: %d of %d records", round, len(out.Records), put)
			}
		}
		if err := c.retain(48); err != nil {
			t.Fatal(err)
		}
		c.split(0, middle)
		time.Sleep(50 * time.Hour)
		c.put(put, 30) // all before this expire and are deleted
		if err := srv.Close(); err != nil {
			t.Fatal(err)
		}
		srv, c = start()
		d := c.describe()
		if fmt.Sprint(ids(d.Shards)) != "[1 2]" || *d.RetentionPeriodHours != 48 || !d.StreamCreationTimestamp.Equal(created) {
			t.Errorf("after the restart: %+v", d)
		}
		one, _ := c.all(1, 0)
		two, _ := c.all(2, 0)
		if len(one)+len(two) != 30 {
			t.Errorf("%d records after the restart", len(one)+len(two))
		}
		time.Sleep(50 * time.Hour)
		if err := srv.Close(); err != nil { // every chunk is deleted now: numbers go on from the floor
			t.Fatal(err)
		}
		srv, c = start()
		highest := map[string]record.SequenceNumber{*shardID(1): number(one), *shardID(2): number(two)}
		for _, r := range c.put(0, 30).Records {
			if record.SequenceNumber(*r.SequenceNumber).Compare(highest[*r.ShardId]) <= 0 {
				t.Fatalf("number %s in %s after %s", *r.SequenceNumber, *r.ShardId, highest[*r.ShardId])
			}
		}
		if err := srv.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// number is the sequence number of the last record.
func number(records []types.Record) record.SequenceNumber {
	return record.SequenceNumber(*records[len(records)-1].SequenceNumber)
}

// A powered server has writers that put numbered requests, and its power can be cut.
type powered struct {
	t     *testing.T
	disk  *vfs.MemFS
	begun [3]atomic.Int64
	acked [3]atomic.Int64
	tick  chan struct{}
}

const perRequest = 20 // records of a request, over both shards

func (p *powered) write(ctx context.Context, c *client, w int) {
	for ctx.Err() == nil {
		n := p.begun[w].Add(1)
		in := &kinesis.PutRecordsInput{StreamName: quakes}
		for i := range perRequest {
			in.Records = append(in.Records, types.PutRecordsRequestEntry{
				PartitionKey: aws.String(fmt.Sprint(w, i)), Data: fmt.Appendf(nil, "%d %d %d", w, n, i),
			})
		}
		if _, err := c.PutRecords(ctx, in); err != nil {
			if ctx.Err() == nil {
				p.t.Error(err)
			}
			return
		}
		p.acked[w].Store(n)
		select {
		case p.tick <- struct{}{}:
		case <-ctx.Done():
		}
	}
}

// cut cuts the power and reads back what a new server has: for each writer all of requests 1 to n for some n that is
// at least what was acknowledged, nothing of the others, in order within each shard.
func (p *powered) cut(rng *rand.Rand) error {
	var acked [3]int64
	for w := range acked {
		acked[w] = p.acked[w].Load()
	}
	srv, err := localstream.Open("data", localstream.Options{FS: p.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})})
	if err != nil {
		return err
	}
	defer srv.Close()
	c := newClient(p.t, srv)
	found := map[[2]int64]int{}
	for shard := range 2 {
		var newest [3]int64
		records, _ := c.all(shard, 0)
		for _, r := range records {
			var w, n, i int64
			if _, err := fmt.Sscan(string(r.Data), &w, &n, &i); err != nil {
				return err
			}
			if n < newest[w] {
				return fmt.Errorf("shard %d: request %d of writer %d after %d", shard, n, w, newest[w])
			}
			newest[w] = n
			found[[2]int64{w, n}]++
		}
	}
	for w := range acked {
		last := int64(0)
		for n := int64(1); n <= p.begun[w].Load()+1; n++ {
			switch got := found[[2]int64{int64(w), n}]; {
			case got == perRequest && last == n-1:
				last = n
			case got != 0:
				return fmt.Errorf("writer %d: %d of %d records of request %d, after request %d", w, got, perRequest, n, last)
			}
		}
		if last < acked[w] {
			return fmt.Errorf("writer %d: %d requests acknowledged, %d found", w, acked[w], last)
		}
	}
	return nil
}

func TestG8PowerCutsDuringPutRecordsLoseNothing(t *testing.T) {
	for seed := range 10 {
		rng := rand.New(rand.NewPCG(uint64(seed), 8))
		p := &powered{t: t, disk: vfs.NewCrashableMem(), tick: make(chan struct{})}
		srv, err := localstream.Open("data", localstream.Options{FS: p.disk})
		if err != nil {
			t.Fatal(err)
		}
		c := newClient(t, srv)
		c.create(2)
		ctx, stop := context.WithCancel(t.Context())
		var writers sync.WaitGroup
		for w := range p.acked {
			writers.Go(func() { p.write(ctx, c, w) })
		}
		for cut := range 50 {
			for range rng.IntN(4) {
				<-p.tick
			}
			if err := p.cut(rng); err != nil {
				t.Fatalf("seed %d, cut %d: %v", seed, cut, err)
			}
		}
		stop()
		writers.Wait()
		if err := srv.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
