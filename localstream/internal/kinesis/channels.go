package kinesis

import (
	"context"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// channelInput is the input of the channel operations: whether one may call them is decided before any member counts.
type channelInput struct{}

// channelOperations are refused as the service refuses an account that has no permission for them.
func (s *Service) channelOperations() []wire.Operation {
	var operations []wire.Operation
	for _, name := range []string{"CreateChannel", "DeleteChannel", "DescribeChannel", "ListChannels", "UpdateChannel"} {
		operations = append(operations, wire.Op(name, func(context.Context, *channelInput) (any, error) {
			return nil, wire.Errorf("AccessDeniedException", "User: arn:aws:iam::%s:user/localstream is not authorized to perform: kinesis:%s because channels are not available to account %s", s.o.Account, name, s.o.Account)
		}))
	}
	return operations
}
