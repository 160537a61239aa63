package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// tick is how often each shard gets a record.
const tick = 100 * time.Millisecond

// A producer puts numbered records into a stream all the time, evenly over the hash keys: a batch per tick for each
// shard that the stream began with.
type producer struct {
	client  *kinesis.Client
	stream  string
	id      string // of the stream, account:name:epoch, where the fleet reads several; else ""
	lanes   int
	batch   int
	patient bool
	stop    context.CancelFunc
	done    chan struct{}
	put     atomic.Int64 // records that were acknowledged

	// Read them when done is closed.
	acknowledged map[string]bool // by lease/number
	err          error
}

func startProducer(ctx context.Context, client *kinesis.Client, stream, id string, c Config) *producer {
	p := &producer{
		client: client, stream: stream, id: id, lanes: c.Shards, batch: max(1, c.Batch), patient: c.Patient,
		done: make(chan struct{}), acknowledged: map[string]bool{},
	}
	ctx, p.stop = context.WithCancel(ctx)
	go func() {
		defer close(p.done)
		p.run(ctx)
	}()
	return p
}

// lease is the key of the lease of one of the stream's shards, as KCL forms it.
func (p *producer) lease(shard string) string {
	if p.id == "" {
		return shard
	}
	return p.id + ":" + shard
}

// progress is how many records were acknowledged so far. Its error is of a producer that could put no more.
func (p *producer) progress() (put int, err error) {
	select {
	case <-p.done:
		err = p.err
	default:
	}
	return int(p.put.Load()), err
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
		if p.err = p.putRound(context.WithoutCancel(ctx), round); p.err != nil {
			return
		}
	}
}

// putRound puts a round of records.
func (p *producer) putRound(ctx context.Context, round int) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	entries, err := p.round(round)
	if err != nil {
		return err
	}
	for {
		left, err := p.try(ctx, entries)
		if err == nil || !p.patient {
			return err
		}
		entries = left
		if Sleep(ctx, tick) != nil {
			return err
		}
	}
}

// round makes the records of a round.
func (p *producer) round(round int) ([]types.PutRecordsRequestEntry, error) {
	entries := make([]types.PutRecordsRequestEntry, 0, p.lanes*p.batch)
	for lane := range p.lanes {
		for n := round * p.batch; n < (round+1)*p.batch; n++ {
			data, err := json.Marshal(struct {
				Number  int    `json:"number"`
				Lane    int    `json:"lane"`
				Padding string `json:"padding"`
			}{n, lane, strings.Repeat("-", 150)})
			if err != nil {
				return nil, err
			}
			entries = append(entries, types.PutRecordsRequestEntry{
				Data: data, PartitionKey: aws.String(fmt.Sprint(lane)), ExplicitHashKey: aws.String(hashKey(lane, p.lanes, n)),
			})
		}
	}
	return entries, nil
}

// try puts records once and returns those that were not acknowledged.
func (p *producer) try(ctx context.Context, entries []types.PutRecordsRequestEntry) (left []types.PutRecordsRequestEntry, err error) {
	out, err := p.client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: &p.stream, Records: entries})
	if err != nil {
		return entries, fmt.Errorf("put records into %s: %w", p.stream, err)
	}
	for i, r := range out.Records {
		if r.ErrorCode != nil {
			left, err = append(left, entries[i]), fmt.Errorf("put a record into %s: %s", p.stream, *r.ErrorCode)
			continue
		}
		p.acknowledged[p.lease(aws.ToString(r.ShardId))+"/"+aws.ToString(r.SequenceNumber)] = true
	}
	p.put.Store(int64(len(p.acknowledged)))
	return left, err
}

// hashKey is a point in the lane's part of the hash keys, in each round another of sixteen.
func hashKey(lane, lanes, round int) string {
	const points = 16
	key := new(big.Int).Lsh(big.NewInt(1), 128)
	key.Mul(key, big.NewInt(int64(2*points*lane+2*(round*7%points)+1)))
	return key.Div(key, big.NewInt(int64(2*points*lanes))).String()
}
