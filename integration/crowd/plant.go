package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/shoal-stream/shoal/integration/check"
	"github.com/shoal-stream/shoal/integration/fleet"
	"github.com/shoal-stream/shoal/record"
)

// plant plants the faults that are in what was written down.
func (a *account) plant() {
	switch a.fault {
	case "drop":
		a.outcome.Log = withoutOne(a.outcome.Log)
	case "amnesia":
		a.outcome.Acknowledged[fleet.ShardID(0)+"/1"] = true
		a.outcome.Missing++
	}
}

// withoutOne leaves out a batch from the middle of a log, with records that no other batch has.
func withoutOne(log []check.Batch) []check.Batch {
	times := map[place]int{}
	for i := range log {
		for _, p := range log[i].Records {
			times[place{log[i].Shard, p}]++
		}
	}
	for i := len(log) / 2; i < len(log); i++ {
		if !slices.ContainsFunc(log[i].Records, func(p record.Position) bool { return times[place{log[i].Shard, p}] > 1 }) {
			return slices.Delete(slices.Clone(log), i, i+1)
		}
	}
	return log
}

// rewind writes an older checkpoint into a row, as a stale owner would if nothing held it back.
func (c *crowd) rewind(ctx context.Context) error {
	rows, err := c.fleet.Rows(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(rows, func(r fleet.Row) bool { return len(r.Checkpoint) > 20 })
	if at < 0 {
		return fmt.Errorf("no row has a checkpoint to rewind: %v", rows)
	}
	_, err = c.site.Tables.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: aws.String(name), Key: map[string]types.AttributeValue{"leaseKey": &types.AttributeValueMemberS{Value: rows[at].Key}},
		UpdateExpression:          aws.String("SET #checkpoint = :old"),
		ExpressionAttributeNames:  map[string]string{"#checkpoint": "checkpoint"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":old": &types.AttributeValueMemberS{Value: "TRIM_HORIZON"}},
		ReturnValues:              types.ReturnValueAllNew,
	}, func(o *dynamodb.Options) { o.BaseEndpoint = &c.lives[len(c.lives)-1].proxy.URL })
	return err
}
