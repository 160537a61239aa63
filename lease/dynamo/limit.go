package dynamo

import (
	"context"
	"errors"
	"fmt"
	"time"

	smithy "github.com/aws/smithy-go/middleware"

	"github.com/shoal-stream/shoal/internal/clock"
)

// answerTimeout is how long a call may wait for its answer. The SDK's clients wait for ever, and a connection can be lost
// without a word. Whoever needs an answer sooner gives a context that ends sooner.
const answerTimeout = 10 * time.Second

var errNoAnswer = errors.New("no answer from DynamoDB in time")

// limitWaits bounds each call.
func limitWaits(c clock.Clock) func(*smithy.Stack) error {
	return func(stack *smithy.Stack) error {
		return stack.Initialize.Add(smithy.InitializeMiddlewareFunc("limitWaits",
			func(ctx context.Context, in smithy.InitializeInput, next smithy.InitializeHandler) (smithy.InitializeOutput, smithy.Metadata, error) {
				var out smithy.InitializeOutput
				var metadata smithy.Metadata
				err := limitWait(ctx, c, func(ctx context.Context) (err error) {
					out, metadata, err = next.HandleInitialize(ctx, in)
					return err
				})
				return out, metadata, err
			}), smithy.Before)
	}
}

// limitWait bounds one call, and makes none for a context that has ended: a client that finds an idle connection may not
// look.
func limitWait(ctx context.Context, c clock.Clock, call func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	limited, cancel := c.WithTimeout(ctx, answerTimeout, errNoAnswer)
	defer cancel()
	err := call(limited)
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(limited), err)
	}
	return err
}
