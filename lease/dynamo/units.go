package dynamo

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	smithy "github.com/aws/smithy-go/middleware"
)

// countUnits makes each call ask what it consumed and tell count.
func countUnits(count func(op string, read, write float64)) func(*smithy.Stack) error {
	const total = types.ReturnConsumedCapacityTotal
	return func(stack *smithy.Stack) error {
		return stack.Initialize.Add(smithy.InitializeMiddlewareFunc("countUnits",
			func(ctx context.Context, in smithy.InitializeInput, next smithy.InitializeHandler) (smithy.InitializeOutput, smithy.Metadata, error) {
				writes := true
				switch p := in.Parameters.(type) {
				case *dynamodb.GetItemInput:
					p.ReturnConsumedCapacity, writes = total, false
				case *dynamodb.ScanInput:
					p.ReturnConsumedCapacity, writes = total, false
				case *dynamodb.QueryInput:
					p.ReturnConsumedCapacity, writes = total, false
				case *dynamodb.PutItemInput:
					p.ReturnConsumedCapacity = total
				case *dynamodb.UpdateItemInput:
					p.ReturnConsumedCapacity = total
				case *dynamodb.DeleteItemInput:
					p.ReturnConsumedCapacity = total
				case *dynamodb.TransactWriteItemsInput:
					p.ReturnConsumedCapacity = total
				}
				out, metadata, err := next.HandleInitialize(ctx, in)
				tell(count, middleware.GetOperationName(ctx), writes, out.Result, err)
				return out, metadata, err
			}), smithy.After)
	}
}

// tell tells count what a call consumed.
func tell(count func(op string, read, write float64), op string, writes bool, result any, err error) {
	switch units, ok := consumed(result, err); {
	case ok && writes:
		count(op, 0, units)
	case ok:
		count(op, units, 0)
	}
}

// consumed is what a call consumed, as the service says. Of a write whose condition failed it says nothing: that is one
// unit for an item of at most 1 KiB.
func consumed(result any, err error) (units float64, ok bool) {
	var refused *types.ConditionalCheckFailedException
	if errors.As(err, &refused) {
		return 1, true
	}
	if err != nil {
		return 0, false
	}
	var told []types.ConsumedCapacity
	one := func(c *types.ConsumedCapacity) {
		if c != nil {
			told = append(told, *c)
		}
	}
	switch r := result.(type) {
	case *dynamodb.GetItemOutput:
		one(r.ConsumedCapacity)
	case *dynamodb.ScanOutput:
		one(r.ConsumedCapacity)
	case *dynamodb.QueryOutput:
		one(r.ConsumedCapacity)
	case *dynamodb.PutItemOutput:
		one(r.ConsumedCapacity)
	case *dynamodb.UpdateItemOutput:
		one(r.ConsumedCapacity)
	case *dynamodb.DeleteItemOutput:
		one(r.ConsumedCapacity)
	case *dynamodb.TransactWriteItemsOutput:
		told = r.ConsumedCapacity
	}
	for _, c := range told {
		units += aws.ToFloat64(c.CapacityUnits)
	}
	return units, len(told) > 0
}
