package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamotypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/integration/bench/calm"
)

// An account is a server with so many streams, shards and leases, under a load that does not depend on how many.
type account struct {
	streams, shards, leases int

	server    *server
	kinesis   *kinesis.Client
	dynamo    *dynamodb.Client
	inputs    []*kinesis.PutRecordsInput // one a stream
	iterators []*string                  // one a shard
	puts      turns
	gets      turns
}

// The load on an account, a second.
const (
	manyPuts     = 100 // of manyRecords
	manyGets     = 100
	manyRenewals = 50
	manyRecords  = 20
	leaseTable   = "leases"
	manyTurns    = 7 // how often the two accounts take turns
)

// sizesOfAccount compares a small and a large account at the same load, by turns.
func (c *config) sizesOfAccount(ctx context.Context, r *report) error {
	small := &account{streams: 1, shards: 4, leases: 10}
	large := &account{streams: 100, shards: 1000, leases: 10_000}
	for _, a := range []*account{small, large} {
		var err error
		if a.server, err = startLocalstream(ctx, c.program, c.work, fmt.Sprintf("many-%d", a.shards)); err != nil {
			return err
		}
		defer a.server.kill()
		if err := a.fill(ctx); err != nil {
			return fmt.Errorf("filling an account of %d shards: %w", a.shards, err)
		}
	}
	both := []*account{small, large}
	for _, a := range both {
		if err := a.load(ctx, c.many); err != nil { // which warms it
			return fmt.Errorf("account of %d shards: %w", a.shards, err)
		}
	}
	small.puts, small.gets, large.puts, large.gets = nil, nil, nil, nil
	counted, _, err := calm.Rounds(manyTurns, 2*manyTurns, mostStolen, nil, func(int) error {
		slices.Reverse(both)
		for _, a := range both {
			if err := a.load(ctx, c.many); err != nil {
				return fmt.Errorf("account of %d shards: %w", a.shards, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, a := range both {
		a.puts, a.gets = calm.Only(a.puts, counted), calm.Only(a.gets, counted)
	}
	for _, a := range []*account{small, large} {
		r.note(fmt.Sprintf("%d streams, %d shards, %d leases: put p50 %.2f p99 %.2f ms, get p50 %.2f p99 %.2f ms (medians of %d turns)",
			a.streams, a.shards, a.leases, a.puts.ms(50), a.puts.ms(99), a.gets.ms(50), a.gets.ms(99), manyTurns))
	}
	r.add(figure{name: "many_shards_put_p99", value: large.puts.beside(small.puts), most: 1.5})
	r.add(figure{name: "many_shards_get_p99", value: large.gets.beside(small.gets), most: 1.5})
	return nil
}

// turns are how long the calls of each turn took.
type turns [][]time.Duration

// ms is the median of the turns' percentiles, in milliseconds.
func (t turns) ms(p int) float64 { return median(t.percentiles(p)) }

func (t turns) percentiles(p int) []float64 {
	var all []float64
	for _, turn := range t {
		all = append(all, percentile(turn, p).Seconds()*1000)
	}
	return all
}

// beside is the median of how many times the other's p99 each turn's is: a disk that stalls once decides one turn.
func (t turns) beside(other turns) float64 {
	ratios := t.percentiles(99)
	for i, p99 := range other.percentiles(99) {
		ratios[i] /= p99
	}
	return median(ratios)
}

// fill makes the streams, an iterator for each shard, and the leases.
func (a *account) fill(ctx context.Context) error {
	cfg := configure(a.server.url)
	a.kinesis, a.dynamo = kinesis.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)
	group := gather(ctx).WithMaxGoroutines(16)
	a.iterators = make([]*string, a.shards)
	a.inputs = make([]*kinesis.PutRecordsInput, a.streams)
	each := a.shards / a.streams
	for i := range a.streams {
		name := fmt.Sprintf("stream-%d", i)
		a.inputs[i] = batches(name, 1, manyRecords)[0]
		group.Go(func(ctx context.Context) error {
			if err := createStream(ctx, a.kinesis, name, int32(each)); err != nil {
				return err
			}
			for j := range each {
				id := fmt.Sprintf("shardId-%012d", j)
				it, err := a.kinesis.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{StreamName: &name, ShardId: &id, ShardIteratorType: types.ShardIteratorTypeLatest})
				if err != nil {
					return err
				}
				a.iterators[i*each+j] = it.ShardIterator
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return a.fillLeases(ctx)
}

func (a *account) fillLeases(ctx context.Context) error {
	if _, err := a.dynamo.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: aws.String(leaseTable), BillingMode: dynamotypes.BillingModePayPerRequest,
		AttributeDefinitions: []dynamotypes.AttributeDefinition{{AttributeName: aws.String("leaseKey"), AttributeType: dynamotypes.ScalarAttributeTypeS}},
		KeySchema:            []dynamotypes.KeySchemaElement{{AttributeName: aws.String("leaseKey"), KeyType: dynamotypes.KeyTypeHash}},
	}); err != nil {
		return err
	}
	group := gather(ctx).WithMaxGoroutines(16)
	for i := range a.leases {
		group.Go(func(ctx context.Context) error { return a.renew(ctx, i) })
	}
	return group.Wait()
}

// renew counts a lease up, as its owner does.
func (a *account) renew(ctx context.Context, lease int) error {
	_, err := a.dynamo.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: aws.String(leaseTable), Key: map[string]dynamotypes.AttributeValue{"leaseKey": &dynamotypes.AttributeValueMemberS{Value: fmt.Sprint("lease-", lease)}},
		UpdateExpression:          aws.String("SET leaseOwner = :o ADD leaseCounter :one"),
		ExpressionAttributeValues: map[string]dynamotypes.AttributeValue{":o": &dynamotypes.AttributeValueMemberS{Value: "worker-1"}, ":one": &dynamotypes.AttributeValueMemberN{Value: "1"}},
	})
	return err
}

// load runs the load for a turn.
func (a *account) load(ctx context.Context, limit time.Duration) error {
	var puts, gets []time.Duration
	defer func() { a.puts, a.gets = append(a.puts, puts), append(a.gets, gets) }()
	group := gather(ctx)
	group.Go(func(ctx context.Context) error {
		return paced(ctx, limit, manyPuts, &puts, func() error {
			out, err := a.kinesis.PutRecords(ctx, a.inputs[rand.IntN(a.streams)])
			if err == nil && aws.ToInt32(out.FailedRecordCount) > 0 {
				err = fmt.Errorf("PutRecords: records failed")
			}
			return err
		})
	})
	var mu sync.Mutex // guards the iterators: two reads of a shard may be under way
	group.Go(func(ctx context.Context) error {
		return paced(ctx, limit, manyGets, &gets, func() error {
			i := rand.IntN(a.shards)
			mu.Lock()
			it := a.iterators[i]
			mu.Unlock()
			out, err := a.kinesis.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it})
			if err == nil {
				mu.Lock()
				a.iterators[i] = out.NextShardIterator
				mu.Unlock()
			}
			return err
		})
	})
	group.Go(func(ctx context.Context) error {
		return paced(ctx, limit, manyRenewals, new([]time.Duration), func() error { return a.renew(ctx, rand.IntN(a.leases)) })
	})
	return group.Wait()
}

// paced starts a call perSecond times a second whether or not the earlier ones have ended, and notes how long each
// took.
func paced(ctx context.Context, limit time.Duration, perSecond int, latencies *[]time.Duration, call func() error) error {
	var mu sync.Mutex // guards latencies
	group := gather(ctx)
	ticker := time.NewTicker(time.Second / time.Duration(perSecond))
	defer ticker.Stop()
	for deadline := time.Now().Add(limit); time.Now().Before(deadline) && ctx.Err() == nil; <-ticker.C {
		group.Go(func(ctx context.Context) error {
			start := time.Now()
			err := call()
			mu.Lock()
			defer mu.Unlock()
			*latencies = append(*latencies, time.Since(start))
			return err
		})
	}
	return group.Wait()
}
