package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/integration/proxy"
	"github.com/shoal-stream/shoal/record"
)

type fault func(ctx context.Context) error

// plan draws n faults: 21 in 100 are stops, 14 kills of the server, 10 lost requests, 10 lost answers, 7 late
// requests, 7 reshards, the rest kills of an archiver.
func (s *scene) plan(n int) []fault {
	share := func(percent int) int { return (n*percent + 99) / 100 }
	var all []fault
	add := func(count int, f fault) {
		for range min(count, n-len(all)) {
			all = append(all, f)
		}
	}
	add(share(21), s.suspend)
	add(share(14), s.killGateway)
	add(share(10), s.lose(loseRequest))
	add(share(10), s.lose(loseAnswer))
	add(share(7), s.lose(late))
	add(share(7), s.reshard)
	add(n, s.kill)
	s.random.Shuffle(n, func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// kill kills an archiver; another one starts at once and waits for the leases of the dead one.
func (s *scene) kill(ctx context.Context) error {
	s.result.Kills++
	victim := s.slots[s.random.IntN(len(s.slots))]
	if err := s.aim(ctx, victim); err != nil {
		return err
	}
	return victim.kill()
}

// aim waits, two times out of three, for the worst moment to end a process: its object is there, and it has not heard
// of it. When none comes soon, any moment will do.
func (s *scene) aim(ctx context.Context, victim *slot) error {
	if s.random.IntN(3) == 0 || victim.isStopped() {
		return nil
	}
	timer := time.NewTimer(1500 * time.Millisecond)
	defer timer.Stop()
	defer victim.proxy.forget()
	select {
	case <-victim.proxy.moment():
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// suspend stops an archiver for longer than its leases last.
func (s *scene) suspend(ctx context.Context) error {
	d := lease + time.Duration(500+s.random.IntN(2000))*time.Millisecond
	for {
		running := slices.DeleteFunc(slices.Clone(s.slots), (*slot).isStopped)
		if len(running) > 1 { // one at least goes on
			victim := running[s.random.IntN(len(running))]
			if err := s.aim(ctx, victim); err != nil {
				return err
			}
			ok, err := victim.suspend(d)
			if err != nil || ok {
				s.result.Stops++
				return err
			}
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// killGateway kills the S3 server; it is back after up to a second.
func (s *scene) killGateway(ctx context.Context) error {
	s.result.Gateway++
	s.gateway.end()
	if err := pause(ctx, time.Duration(s.random.IntN(1000))*time.Millisecond); err != nil {
		return err
	}
	return s.gateway.up(ctx)
}

// lose lets the next attempt at an object get lost.
func (s *scene) lose(f proxy.Fate) fault {
	return func(context.Context) error {
		s.slots[s.random.IntN(len(s.slots))].proxy.arm(f)
		return nil
	}
}

// reshard splits the widest shard, or merges two neighbours when there are many.
func (s *scene) reshard(ctx context.Context) error {
	s.result.Reshards++
	out, err := s.stream.ListShards(ctx, &kinesis.ListShardsInput{StreamName: aws.String(streamName)})
	if err != nil {
		return err
	}
	var open []shard
	for _, in := range out.Shards {
		if in.SequenceNumberRange.EndingSequenceNumber != nil {
			continue
		}
		from, err1 := record.ParseHashKey(aws.ToString(in.HashKeyRange.StartingHashKey))
		to, err2 := record.ParseHashKey(aws.ToString(in.HashKeyRange.EndingHashKey))
		if err := cmp.Or(err1, err2); err != nil {
			return err
		}
		open = append(open, shard{aws.ToString(in.ShardId), from, to})
	}
	slices.SortFunc(open, func(a, b shard) int { return a.from.Compare(b.from) })
	if len(open) > firstShards && s.random.IntN(2) == 0 {
		i := s.random.IntN(len(open) - 1)
		_, err := s.stream.MergeShards(ctx, &kinesis.MergeShardsInput{
			StreamName: aws.String(streamName), ShardToMerge: &open[i].id, AdjacentShardToMerge: &open[i+1].id,
		})
		return err
	}
	widest := slices.MaxFunc(open, func(a, b shard) int { return cmp.Compare(a.to.Hi-a.from.Hi, b.to.Hi-b.from.Hi) })
	middle := record.HashKey{Hi: widest.from.Hi + (widest.to.Hi-widest.from.Hi)/2}
	_, err = s.stream.SplitShard(ctx, &kinesis.SplitShardInput{
		StreamName: aws.String(streamName), ShardToSplit: &widest.id, NewStartingHashKey: aws.String(middle.String()),
	})
	return err
}

type shard struct {
	id       string
	from, to record.HashKey
}

// feed puts flights into the stream until there are n, each with a number of its own.
func (s *scene) feed(ctx context.Context, n int) error {
	for s.put < n {
		var entries []types.PutRecordsRequestEntry
		for i := s.put; i < min(n, s.put+500); i++ {
			var flight struct{ Origin string }
			if err := json.Unmarshal([]byte(s.flights[i]), &flight); err != nil {
				return err
			}
			line := fmt.Sprintf(`{"id":%d,%s`, i, s.flights[i][1:])
			entries = append(entries, types.PutRecordsRequestEntry{PartitionKey: &flight.Origin, Data: []byte(line)})
		}
		out, err := s.stream.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: aws.String(streamName), Records: entries})
		if err != nil {
			return fmt.Errorf("put flights: %w", err)
		}
		if failed := aws.ToInt32(out.FailedRecordCount); failed > 0 {
			return fmt.Errorf("put flights: %d were refused", failed)
		}
		s.put += len(entries)
	}
	return nil
}
