package kinesisstream

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	smithy "github.com/aws/smithy-go/middleware"

	"github.com/shoal-stream/shoal/internal/clock"
)

// limitWaits bounds each call that is no read: for how long one of those is waited for is the worker's to say. The SDK's
// clients wait for ever, and a connection can be lost without a word.
func limitWaits(c clock.Clock, most time.Duration) func(*smithy.Stack) error {
	return func(stack *smithy.Stack) error {
		return stack.Initialize.Add(smithy.InitializeMiddlewareFunc("limitWaits",
			func(ctx context.Context, in smithy.InitializeInput, next smithy.InitializeHandler) (smithy.InitializeOutput, smithy.Metadata, error) {
				switch in.Parameters.(type) {
				case *kinesis.GetRecordsInput, *kinesis.GetShardIteratorInput, *kinesis.SubscribeToShardInput:
					return next.HandleInitialize(ctx, in)
				}
				limited, cancel := c.WithTimeout(ctx, most, errNoAnswer)
				defer cancel()
				out, metadata, err := next.HandleInitialize(limited, in)
				if err != nil && ctx.Err() == nil && limited.Err() != nil {
					err = fmt.Errorf("%w: %w", context.Cause(limited), err)
				}
				return out, metadata, err
			}), smithy.Before)
	}
}
