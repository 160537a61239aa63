package kinesiscbor_test

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/localstream"
	"github.com/shoal-stream/shoal/record/kinesiscbor"
)

// A client is given the codec when it is made; nothing else of its use changes.
func ExampleEnable() {
	ctx := context.Background()
	srv, err := localstream.Open("", localstream.Options{Memory: true}) // stands for AWS here
	if err != nil {
		panic(err)
	}
	defer srv.Close()
	client := kinesis.NewFromConfig(srv.AWSConfig(), kinesiscbor.Enable)

	stream, shard := aws.String("readings"), aws.String("shardId-000000000000")
	_, err = client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: stream, ShardCount: aws.Int32(1)})
	if err != nil {
		panic(err)
	}
	_, err = client.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: stream, PartitionKey: aws.String("sensor-1"), Data: []byte("21.5")})
	if err != nil {
		panic(err)
	}
	at, err := client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{StreamName: stream, ShardId: shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
	if err != nil {
		panic(err)
	}
	out, err := client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: at.ShardIterator})
	if err != nil {
		panic(err)
	}
	for _, r := range out.Records {
		fmt.Printf("%s: %s\n", *r.PartitionKey, r.Data)
	}
	// Output: sensor-1: 21.5
}
