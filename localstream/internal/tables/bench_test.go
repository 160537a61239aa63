package tables_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/shoal-stream/shoal/localstream/internal/tables"
)

// BenchmarkRenew is the write that a fleet makes most: a lease's counter moves on if it is what it was.
func BenchmarkRenew(b *testing.B) {
	s := open(b, vfs.NewMem(), tables.Options{})
	defer s.close(b)
	s.create(b, simple("app", "leaseKey"))
	var next atomic.Int64
	b.SetParallelism(8)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		key := item{"leaseKey": str(fmt.Sprint("shardId-", next.Add(1)))}
		s.put(b, "app", item{"leaseKey": key["leaseKey"], "leaseCounter": num("0"), "leaseOwner": str("worker-1"), "checkpoint": str("49590338271490256608559692538361571095921575989136588898"),
			"checkpointSubSequenceNumber": num("0"), "ownerSwitchesSinceCheckpoint": num("0"), "entityType": str("LEASE")})
		for counter := 0; pb.Next(); counter++ {
			_, err := s.UpdateItem(b.Context(), &dynamodb.UpdateItemInput{TableName: aws.String("app"), Key: key,
				UpdateExpression: aws.String("SET leaseCounter = :new"), ConditionExpression: aws.String("leaseCounter = :old AND attribute_not_exists(checkpointOwner)"),
				ExpressionAttributeValues: item{":new": num(fmt.Sprint(counter + 1)), ":old": num(fmt.Sprint(counter))}})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkScan is the leader's read of a fleet's 1,000 leases, without the client.
func BenchmarkScan(b *testing.B) {
	s := open(b, vfs.NewMem(), tables.Options{})
	defer s.close(b)
	s.create(b, simple("app", "leaseKey"))
	for i := range 1000 {
		s.put(b, "app", item{"leaseKey": str(fmt.Sprint("shardId-", i)), "leaseCounter": num(fmt.Sprint(i)), "leaseOwner": str("worker-1"),
			"checkpoint": str("49590338271490256608559692538361571095921575989136588898"), "checkpointSubSequenceNumber": num("0"),
			"ownerSwitchesSinceCheckpoint": num("0"), "entityType": str("LEASE"), "startingHashKey": str("0"), "endingHashKey": str("340282366920938463463374607431768211455")})
	}
	b.ReportAllocs()
	for b.Loop() {
		if status, _ := s.raw(b, "Scan", `{"TableName":"app"}`); status != 200 {
			b.Fatal(status)
		}
	}
}
