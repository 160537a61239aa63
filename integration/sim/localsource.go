package sim

import (
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
	"github.com/shoal-stream/shoal/worker/kinesisstream"
)

// A localSource is a stream of layer 2: a real one on the server, over the AWS SDK.
type localSource struct {
	worker.Stream
	client *kinesis.Client
}

// newLocalSource makes a stream on the server.
func newLocalSource(l *local, name string, shards int) (*localSource, error) {
	client := kinesis.NewFromConfig(l.config())
	_, err := client.CreateStream(background, &kinesis.CreateStreamInput{StreamName: &name, ShardCount: aws.Int32(int32(shards))})
	if err != nil {
		return nil, err
	}
	return &localSource{Stream: kinesisstream.New(client, name), client: client}, nil
}

func decimal(h record.HashKey) *string {
	n := new(big.Int).SetUint64(h.Hi)
	return aws.String(n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(h.Lo)).String())
}

// PutTo puts one record.
func (s *localSource) PutTo(h record.HashKey, partitionKey string, data []byte) (string, record.SequenceNumber, error) {
	out, err := s.client.PutRecord(background, &kinesis.PutRecordInput{
		StreamName: aws.String(s.Name()), PartitionKey: &partitionKey, ExplicitHashKey: decimal(h), Data: data,
	})
	if err != nil {
		return "", "", err
	}
	return *out.ShardId, record.SequenceNumber(*out.SequenceNumber), nil
}

// Split splits a shard.
func (s *localSource) Split(shard string, at record.HashKey) (lower, upper string, err error) {
	_, err = s.client.SplitShard(background, &kinesis.SplitShardInput{
		StreamName: aws.String(s.Name()), ShardToSplit: &shard, NewStartingHashKey: decimal(at),
	})
	if err != nil {
		return "", "", err
	}
	children, err := s.childrenOf(shard, 2)
	if err != nil {
		return "", "", err
	}
	return children[0], children[1], nil
}

// Merge merges two shards.
func (s *localSource) Merge(a, b string) (string, error) {
	_, err := s.client.MergeShards(background, &kinesis.MergeShardsInput{StreamName: aws.String(s.Name()), ShardToMerge: &a, AdjacentShardToMerge: &b})
	if err != nil {
		return "", err
	}
	children, err := s.childrenOf(a, 1)
	if err != nil {
		return "", err
	}
	return children[0], nil
}

func (s *localSource) childrenOf(shard string, n int) ([]string, error) {
	all, _, err := s.Shards(background, record.Position{})
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, sh := range all {
		if slices.Contains(sh.Parents, shard) {
			ids = append(ids, sh.ID)
		}
	}
	if len(ids) != n {
		return nil, fmt.Errorf("%s has the children %v; want %d", shard, ids, n)
	}
	return ids, nil
}

// playPowerCut makes the server's power go at one of the next writes to its disk; a little later it starts again.
func (w *world) playPowerCut() {
	blown := w.local.cutAfter(1 + w.dice.n(40))
	down := w.dice.between(100*time.Millisecond, 8*time.Second)
	w.under.Go(func() {
		select {
		case <-blown:
		case <-w.quit:
			return
		}
		w.count(func(t *Totals) { t.PowerCuts++ })
		w.note(PowerCut, nil, down)
		time.Sleep(down)
		w.powerOn()
	})
}

// powerOn starts the server after a power cut and looks at what it has.
func (w *world) powerOn() {
	w.tableMu <- struct{}{}
	defer func() { <-w.tableMu }()
	defer w.local.quiet()()
	if err := w.local.start(); err != nil {
		w.violate("I16", err.Error())
		return
	}
	table := w.store.(*localTable)
	table.lookAgain()
	wrong, err := table.compare()
	if err != nil {
		w.violate("I16", err.Error())
	}
	for _, what := range wrong {
		w.violate("I16", "after a power cut the row "+what)
	}
	w.mu.Lock()
	streams := slices.Clone(w.streams)
	w.mu.Unlock()
	for _, s := range streams {
		if err := w.listShards(s); err != nil {
			w.violate("I16", err.Error())
		}
	}
}
