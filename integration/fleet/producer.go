package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// tick is how often each shard gets a record.
const tick = 100 * time.Millisecond

// A producer puts numbered records into a stream all the time, evenly over the hash keys: a record per tick for each
// shard that the stream began with.
type producer struct {
	client *kinesis.Client
	stream string
	lanes  int
	stop   context.CancelFunc
	done   chan struct{}

	// Read them when done is closed.
	acknowledged map[string]bool // sequence numbers, by shard/number
	err          error
}

func startProducer(ctx context.Context, client *kinesis.Client, stream string, lanes int) *producer {
	p := &producer{client: client, stream: stream, lanes: lanes, done: make(chan struct{}), acknowledged: map[string]bool{}}
	ctx, p.stop = context.WithCancel(ctx)
	go func() {
		defer close(p.done)
		p.run(ctx)
	}()
	return p
}

// end stops it and waits until nothing is under way.
func (p *producer) end() error {
	p.stop()
	<-p.done
	return p.err
}

func (p *producer) run(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for round := 0; ; round++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if p.err = p.put(context.WithoutCancel(ctx), round); p.err != nil {
			return
		}
	}
}

// put puts a round of records.
func (p *producer) put(ctx context.Context, round int) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	entries := make([]types.PutRecordsRequestEntry, p.lanes)
	for lane := range entries {
		data, err := json.Marshal(struct {
			Number  int    `json:"number"`
			Lane    int    `json:"lane"`
			Padding string `json:"padding"`
		}{round, lane, strings.Repeat("-", 150)})
		if err != nil {
			return err
		}
		entries[lane] = types.PutRecordsRequestEntry{
			Data: data, PartitionKey: aws.String(fmt.Sprint(lane)), ExplicitHashKey: aws.String(hashKey(lane, p.lanes, round)),
		}
	}
	out, err := p.client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: &p.stream, Records: entries})
	if err != nil {
		return fmt.Errorf("put records into %s: %w", p.stream, err)
	}
	for _, r := range out.Records {
		if r.ErrorCode != nil {
			return fmt.Errorf("put a record into %s: %s", p.stream, *r.ErrorCode)
		}
		p.acknowledged[aws.ToString(r.ShardId)+"/"+aws.ToString(r.SequenceNumber)] = true
	}
	return nil
}

// hashKey is a point in the lane's part of the hash keys, in each round another of sixteen.
func hashKey(lane, lanes, round int) string {
	const points = 16
	key := new(big.Int).Lsh(big.NewInt(1), 128)
	key.Mul(key, big.NewInt(int64(2*points*lane+2*(round*7%points)+1)))
	return key.Div(key, big.NewInt(int64(2*points*lanes))).String()
}
