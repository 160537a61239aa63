package check

import (
	"crypto/md5"
	"fmt"
	"math/big"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/localstream"
	"github.com/shoal-stream/shoal/record"
)

func TestReadGivesEveryRecordOfOpenAndClosedShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := localstream.Open("", localstream.Options{Memory: true, Limits: localstream.RealLimits})
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Close()
		client := kinesis.NewFromConfig(srv.AWSConfig())
		name := aws.String("s")
		if _, err := client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: name, ShardCount: aws.Int32(2)}); err != nil {
			t.Fatal(err)
		}
		want := map[string][]string{} // by shard
		put := func(n int) {
			for i := range n {
				data := fmt.Sprint(len(want), " ", i)
				out, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: name, PartitionKey: &data, Data: []byte(data)})
				if err != nil {
					t.Fatal(err)
				}
				want[*out.ShardId] = append(want[*out.ShardId], data+" "+*out.SequenceNumber)
			}
		}
		put(50)
		quarter := new(big.Int).Lsh(big.NewInt(1), 126).String()
		if _, err := client.SplitShard(t.Context(), &kinesis.SplitShardInput{StreamName: name, ShardToSplit: aws.String("shardId-000000000000"), NewStartingHashKey: &quarter}); err != nil {
			t.Fatal(err)
		}
		put(50)
		if _, err := client.MergeShards(t.Context(), &kinesis.MergeShardsInput{StreamName: name, ShardToMerge: aws.String("shardId-000000000003"), AdjacentShardToMerge: aws.String("shardId-000000000001")}); err != nil {
			t.Fatal(err)
		}
		put(50)

		stream, err := Read(t.Context(), client, *name)
		if err != nil {
			t.Fatal(err)
		}
		if stream.Len() != 150 || len(stream.Shards) != 5 {
			t.Errorf("%d records in %d shards, want 150 in 5", stream.Len(), len(stream.Shards))
		}
		parents := map[string]int{}
		for _, s := range stream.Shards {
			parents[s.ID] = len(s.Parents)
			var got []string
			for _, r := range s.Records {
				got = append(got, string(r.Data)+" "+string(r.SequenceNumber))
			}
			if fmt.Sprint(got) != fmt.Sprint(want[s.ID]) {
				t.Errorf("%s: got %v, want %v", s.ID, got, want[s.ID])
			}
		}
		if parents["shardId-000000000002"] != 1 || parents["shardId-000000000004"] != 2 {
			t.Errorf("numbers of parents: %v", parents)
		}
	})
}

func TestReadOpensAggregates(t *testing.T) {
	// Two records, "one" and "two", with the partition key "k", as the Kinesis Producer Library packs them.
	aggregate := "\xf3\x89\x9a\xc2\n\x01k\x1a\x07\x08\x00\x1a\x03one\x1a\x07\x08\x00\x1a\x03two"
	whole := types.Record{SequenceNumber: aws.String("7"), PartitionKey: aws.String("a"), Data: []byte(aggregate)}
	sum := md5.Sum(whole.Data[4:])
	whole.Data = append(whole.Data, sum[:]...)
	records := recordsOf(&whole)
	if len(records) != 2 || records[1].Position() != record.At("7", 1) || string(records[1].Data) != "two" || records[1].PartitionKey != "k" {
		t.Errorf("got %+v", records)
	}
	whole.Data = append(whole.Data, 0)
	if records := recordsOf(&whole); len(records) != 1 || records[0].Position() != record.At("7", 0) {
		t.Errorf("a damaged aggregate gives %+v", records)
	}
}
