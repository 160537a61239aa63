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
				limited, cancel := c.WithTimeout(ctx, answerTimeout, errNoAnswer)
				defer cancel()
				out, metadata, err := next.HandleInitialize(limited, in)
				if err != nil && ctx.Err() == nil && limited.Err() != nil {
					err = fmt.Errorf("%w: %w", context.Cause(limited), err)
				}
				return out, metadata, err
			}), smithy.Before)
	}
}
