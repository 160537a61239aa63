package processes

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/integration/proc"
	"github.com/shoal-stream/shoal/record"
)

// A putLog holds what clients sent and what was acknowledged. A request is named by its round, client and number; each of
// its records carries that name, its place in the request and the request's length.
type putLog struct {
	mu   sync.Mutex
	sent map[string]int   // records of a request
	acks map[string][]ack // of a request that was acknowledged
}

type ack struct {
	shard string
	seq   record.SequenceNumber
}

// TestG8KilledServerKeepsWhatItAcknowledged kills localstream during PutRecords, again and again on the same data: every
// acknowledged record is there afterwards under its sequence number, in order, and a request that was not acknowledged
// is wholly there or not at all.
func TestG8KilledServerKeepsWhatItAcknowledged(t *testing.T) {
	const clients = 6
	s := newServer(t, proc.Build(t, "localstream/cmd/localstream"))
	s.start()
	if _, err := s.client().CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("puts"), ShardCount: aws.Int32(4)}); err != nil {
		t.Fatal(err)
	}
	reader := &tailer{last: map[string]record.SequenceNumber{}}
	acked, unacked := 0, 0
	for round := range *kills {
		log := &putLog{sent: map[string]int{}, acks: map[string][]ack{}}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		first := make(chan struct{}, clients)
		var wg sync.WaitGroup
		for c := range clients {
			wg.Go(func() { log.put(ctx, s.client(), fmt.Sprintf("%d-%d", round, c), first) })
		}
		select {
		case <-first:
		case <-ctx.Done():
			t.Fatalf("round %d: nothing was acknowledged", round)
		}
		time.AfterFunc(time.Duration(rand.IntN(60))*time.Millisecond, cancel)
		<-ctx.Done()
		s.proc.Kill()
		wg.Wait()
		s.start()
		found := reader.read(t, s.client())
		n := log.verify(t, round, found)
		acked += n
		unacked += len(found) - n
	}
	t.Logf("%d kills: %d acknowledged records were there, and %d of whole requests that were not acknowledged", *kills, acked, unacked)
	if acked < 100**kills {
		t.Errorf("only %d records were acknowledged in %d rounds: the test saw too little", acked, *kills)
	}
}

// put sends requests until one fails.
func (l *putLog) put(ctx context.Context, api *kinesis.Client, name string, first chan<- struct{}) {
	for i := 0; ; i++ {
		id, n := fmt.Sprintf("%s-%d", name, i), 1+rand.IntN(60)
		in := &kinesis.PutRecordsInput{StreamName: aws.String("puts")}
		for j := range n {
			in.Records = append(in.Records, types.PutRecordsRequestEntry{
				Data: fmt.Appendf(nil, "%s/%d/%d/%s", id, j, n, strings.Repeat("x", rand.IntN(200))), PartitionKey: aws.String(fmt.Sprintf("%s/%d", id, j)),
			})
		}
		l.mu.Lock()
		l.sent[id] = n
		l.mu.Unlock()
		// The request's own context: what is under way when the server dies must not be cut short before.
		out, err := api.PutRecords(context.WithoutCancel(ctx), in)
		if err != nil {
			return
		}
		l.mu.Lock()
		for _, r := range out.Records {
			l.acks[id] = append(l.acks[id], ack{aws.ToString(r.ShardId), record.SequenceNumber(aws.ToString(r.SequenceNumber))})
		}
		l.mu.Unlock()
		select {
		case first <- struct{}{}:
		default:
		}
	}
}

// verify compares what was found after the restart with the log and returns how many records were acknowledged.
func (l *putLog) verify(t *testing.T, round int, found map[ack]string) (acked int) {
	t.Helper()
	present := map[string]int{}
	for at, data := range found {
		var place, n int
		id, rest, _ := strings.Cut(data, "/")
		if _, err := fmt.Sscanf(rest, "%d/%d/", &place, &n); err != nil || l.sent[id] != n {
			t.Fatalf("round %d: %v holds %.40q, which nobody sent", round, at, data)
		}
		present[id]++
	}
	for id, n := range present {
		if n != l.sent[id] {
			t.Errorf("round %d: %d of the %d records of request %s are there; acknowledged: %t", round, n, l.sent[id], id, l.acks[id] != nil)
		}
	}
	for id, acks := range l.acks {
		for i, a := range acks {
			acked++
			if !strings.HasPrefix(found[a], fmt.Sprintf("%s/%d/", id, i)) {
				t.Errorf("round %d: record %d of request %s was acknowledged as %v; there is %.40q", round, i, id, a, found[a])
			}
		}
	}
	return acked
}

// A tailer reads on where it stopped.
type tailer struct {
	last map[string]record.SequenceNumber
}

// read returns what has come since the last read, and checks that sequence numbers rise within each shard.
func (r *tailer) read(t *testing.T, api *kinesis.Client) map[ack]string {
	t.Helper()
	found := map[ack]string{}
	shards, err := api.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String("puts")})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range shards.Shards {
		id := aws.ToString(s.ShardId)
		in := &kinesis.GetShardIteratorInput{StreamName: aws.String("puts"), ShardId: s.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon}
		if seq := r.last[id]; seq != "" {
			in.ShardIteratorType, in.StartingSequenceNumber = types.ShardIteratorTypeAfterSequenceNumber, aws.String(string(seq))
		}
		it, err := api.GetShardIterator(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for next := it.ShardIterator; ; {
			page, err := api.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: next})
			if err != nil {
				t.Fatal(err)
			}
			for _, rec := range page.Records {
				seq := record.SequenceNumber(aws.ToString(rec.SequenceNumber))
				if seq.Compare(r.last[id]) <= 0 {
					t.Errorf("%s: %s comes after %s", id, seq, r.last[id])
				}
				r.last[id] = seq
				found[ack{id, seq}] = string(rec.Data)
			}
			if len(page.Records) == 0 && aws.ToInt64(page.MillisBehindLatest) == 0 {
				break
			}
			next = page.NextShardIterator
		}
	}
	return found
}
