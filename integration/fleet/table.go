package fleet

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// A Row is a lease as the table has it, read without Shoal's own code. Stream and Shard are there only where the
// application reads several streams.
type Row struct {
	Key, Stream, Shard                 string
	Owner, CheckpointOwner, Checkpoint string
	Counter                            int64
}

// Holder is who processes the shard: during a hand-over that is not yet the owner.
func (r Row) Holder() string {
	if r.CheckpointOwner != "" {
		return r.CheckpointOwner
	}
	return r.Owner
}

// Rows reads all leases, none if there is no table yet.
func (f *Fleet) Rows(ctx context.Context) ([]Row, error) {
	items, err := f.Items(ctx)
	if err != nil {
		return nil, err
	}
	var rows []Row
	for _, item := range items {
		if _, ok := item["leaseCounter"]; !ok {
			continue // the leader, metrics, and so on
		}
		counter, err := strconv.ParseInt(text(item["leaseCounter"]), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("lease table %s: leaseCounter: %w", f.Name, err)
		}
		rows = append(rows, Row{
			Key: text(item["leaseKey"]), Stream: text(item["streamName"]), Shard: text(item["shardId"]),
			Owner: text(item["leaseOwner"]), CheckpointOwner: text(item["checkpointOwner"]),
			Checkpoint: text(item["checkpoint"]), Counter: counter,
		})
	}
	return rows, nil
}

// Items reads the whole lease table, nothing if there is none yet.
func (f *Fleet) Items(ctx context.Context) (items []map[string]types.AttributeValue, err error) {
	in := &dynamodb.ScanInput{TableName: &f.Name, ConsistentRead: aws.Bool(true)}
	for {
		out, err := f.site.Tables.Scan(ctx, in)
		if none := (*types.ResourceNotFoundException)(nil); errors.As(err, &none) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the lease table %s: %w", f.Name, err)
		}
		items = append(items, out.Items...)
		if out.LastEvaluatedKey == nil {
			return items, nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

// text is a string or number of an item, "" for anything else.
func text(v types.AttributeValue) string {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return v.Value
	case *types.AttributeValueMemberN:
		return v.Value
	default:
		return ""
	}
}

// Leader is the worker that the Leader item names, "" if there is none. The item is in the lease table, or in that of the
// coordinator's state if the application has one.
func (f *Fleet) Leader(ctx context.Context) (string, error) {
	for _, at := range []struct{ table, key string }{{f.Name + "-CoordinatorState", "key"}, {f.Name, "leaseKey"}} {
		out, err := f.site.Tables.GetItem(ctx, &dynamodb.GetItemInput{
			TableName: &at.table, ConsistentRead: aws.Bool(true),
			Key: map[string]types.AttributeValue{at.key: &types.AttributeValueMemberS{Value: "Leader"}},
		})
		if none := (*types.ResourceNotFoundException)(nil); errors.As(err, &none) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("read who leads %s: %w", f.Name, err)
		}
		if owner := text(out.Item["ownerName"]); owner != "" && out.Item["isReleased"] == nil {
			return owner, nil
		}
	}
	return "", nil
}

// Held counts the unfinished leases that each worker holds; "" are those without an owner.
func Held(rows []Row) map[string]int {
	held := map[string]int{}
	for _, r := range rows {
		if r.Checkpoint != shardEnd {
			held[r.Holder()]++
		}
	}
	return held
}

const shardEnd = "SHARD_END"

// Keys are the keys of the unfinished leases that a worker holds and keeps.
func Keys(rows []Row, worker string) []string {
	var keys []string
	for _, r := range rows {
		if r.Checkpoint != shardEnd && r.Owner == worker && r.CheckpointOwner == "" {
			keys = append(keys, r.Key)
		}
	}
	return keys
}

// Even reports whether exactly these workers share all unfinished leases, none with more than one above another.
func Even(rows []Row, workers ...string) bool {
	held := Held(rows)
	if len(held) > len(workers) {
		return false
	}
	least, most := len(rows), 0
	for _, w := range workers {
		least, most = min(least, held[w]), max(most, held[w])
	}
	return least > 0 && most-least <= 1
}

// Ask starts a hand-over of a lease as a leader does: it names the next owner, if the lease has not moved meanwhile.
func (f *Fleet) Ask(ctx context.Context, key, from, to string) error {
	_, err := f.site.Tables.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &f.Name, Key: map[string]types.AttributeValue{"leaseKey": &types.AttributeValueMemberS{Value: key}},
		UpdateExpression:    aws.String("SET leaseOwner = :to, checkpointOwner = :from"),
		ConditionExpression: aws.String("leaseOwner = :from AND attribute_not_exists(checkpointOwner)"),
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":from": &types.AttributeValueMemberS{Value: from}, ":to": &types.AttributeValueMemberS{Value: to},
		},
	})
	if err != nil {
		return fmt.Errorf("ask %s to hand %s to %s: %w", from, key, to, err)
	}
	return nil
}

// WaitRows reads the table until ok says yes.
func (f *Fleet) WaitRows(ctx context.Context, what string, limit time.Duration, ok func([]Row) bool) error {
	var last []Row
	err := f.wait(ctx, what, limit, func() (bool, error) {
		rows, err := f.Rows(ctx)
		last = rows
		return err == nil && ok(rows), err
	})
	if err != nil {
		return fmt.Errorf("%w; leases held: %v", err, Held(last))
	}
	return nil
}

// WaitLeader waits until a worker leads.
func (f *Fleet) WaitLeader(ctx context.Context, worker string, limit time.Duration) error {
	return f.wait(ctx, worker+" leads", limit, func() (bool, error) {
		leader, err := f.Leader(ctx)
		return leader == worker, err
	})
}

// WaitOtherLeader waits until a worker other than the given one leads.
func (f *Fleet) WaitOtherLeader(ctx context.Context, than string, limit time.Duration) error {
	return f.wait(ctx, "another leads than "+than, limit, func() (bool, error) {
		leader, err := f.Leader(ctx)
		return leader != "" && leader != than, err
	})
}

// Flowing waits until all of the table's open shards, at least n, have been processed further than they are now, each
// by one of the given workers, or by any if none is given.
func (f *Fleet) Flowing(ctx context.Context, n int, limit time.Duration, workers ...string) error {
	before, err := f.Rows(ctx)
	if err != nil {
		return err
	}
	at := map[string]string{}
	for _, r := range before {
		at[r.Key] = r.Checkpoint
	}
	return f.WaitRows(ctx, fmt.Sprintf("%d shards flow at %v", n, workers), limit, func(rows []Row) bool {
		flow := 0
		for _, r := range rows {
			if r.Checkpoint == shardEnd {
				continue
			}
			among := len(workers) == 0
			for _, w := range workers {
				among = among || r.Holder() == w
			}
			if !among || len(r.Checkpoint) < 20 || r.Checkpoint == at[r.Key] { // 20: a number, not TRIM_HORIZON
				return false
			}
			flow++
		}
		return flow >= n
	})
}
