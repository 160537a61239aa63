package kinesis

import (
	"context"
	"encoding/json"
	"maps"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// maxPolicy is the longest resource policy, in bytes.
const maxPolicy = 20 << 10

type putResourcePolicyInput struct {
	resourceRef
	Policy *string `required:"true"`
}

// putResourcePolicy stores the policy; nothing evaluates it.
func (s *Service) putResourcePolicy(ctx context.Context, in *putResourcePolicyInput) (any, error) {
	var object map[string]json.RawMessage
	switch err := json.Unmarshal([]byte(*in.Policy), &object); {
	case err != nil || object == nil:
		return nil, wire.Errorf(invalidArgument, "The resource policy is not a valid JSON object.")
	case len(*in.Policy) > maxPolicy:
		return nil, wire.Errorf(invalidArgument, "The resource policy of %d bytes exceeds the maximum of %d bytes.", len(*in.Policy), maxPolicy)
	}
	r, err := s.resource(*in.ResourceARN)
	if err != nil {
		return nil, err
	}
	return nil, s.annotate(ctx, r, func(next *stream) error {
		policies := map[string]string{r.consumer: *in.Policy}
		for consumer, policy := range next.Policies {
			if consumer != r.consumer && (consumer == "" || next.hasConsumer(consumer)) {
				policies[consumer] = policy
			}
		}
		next.Policies = policies
		return nil
	})
}

type getResourcePolicyInput struct{ resourceRef }

// getResourcePolicy answers an empty policy when there is none, as the service does.
func (s *Service) getResourcePolicy(_ context.Context, in *getResourcePolicyInput) (any, error) {
	st, r, err := s.findResource(*in.ResourceARN)
	if err != nil {
		return nil, err
	}
	policy, ok := st.Policies[r.consumer]
	if !ok {
		policy = "{}"
	}
	return &kinesis.GetResourcePolicyOutput{Policy: &policy}, nil
}

type deleteResourcePolicyInput struct{ resourceRef }

func (s *Service) deleteResourcePolicy(ctx context.Context, in *deleteResourcePolicyInput) (any, error) {
	r, err := s.resource(*in.ResourceARN)
	if err != nil {
		return nil, err
	}
	return nil, s.annotate(ctx, r, func(next *stream) error {
		if _, ok := next.Policies[r.consumer]; !ok {
			return wire.Errorf(resourceNotFound, "No resource policy found for resource ARN %s", *in.ResourceARN)
		}
		next.Policies = maps.Clone(next.Policies)
		delete(next.Policies, r.consumer)
		return nil
	})
}
