package localstream_test

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/shoal-stream/shoal/localstream"
)

// Every method of the SDK's client that is an operation is sent with an empty input, past the client's own checks:
// localstream must know its name, whatever it says of the input.
func TestEveryOperationOfTheSDKIsKnown(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		unchecked := func(o *kinesis.Options) {
			o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
				if _, ok := stack.Initialize.Get("OperationInputValidation"); !ok {
					return nil
				}
				_, err := stack.Initialize.Remove("OperationInputValidation")
				return err
			})
		}
		methods, operations := reflect.ValueOf(c.Client), 0
		for i := range methods.NumMethod() {
			name, method := methods.Type().Method(i).Name, methods.Method(i)
			if method.Type().NumIn() != 3 || method.Type().In(0) != reflect.TypeFor[context.Context]() {
				continue
			}
			operations++
			input := reflect.New(method.Type().In(1).Elem())
			out := method.Call([]reflect.Value{reflect.ValueOf(t.Context()), input, reflect.ValueOf(unchecked)})
			if err, _ := out[1].Interface().(error); err != nil && strings.Contains(err.Error(), "UnknownOperationException") {
				if !strings.Contains(name, "Consumer") && name != "SubscribeToShard" {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		if operations < 45 {
			t.Errorf("found %d operations, want all 45", operations)
		}
		_, err := c.ListStreams(t.Context(), &kinesis.ListStreamsInput{}, func(o *kinesis.Options) {
			o.APIOptions = append(o.APIOptions, smithyhttp.SetHeaderValue("X-Amz-Target", "Kinesis_20131202.Nonsuch"))
		})
		if err == nil || !strings.Contains(err.Error(), "UnknownOperationException") {
			t.Errorf("an operation that is none: %v", err)
		}
	})
}

func TestChannelsAreRefusedAsToAnAccountWithoutThem(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		_, err := c.ListChannels(t.Context(), &kinesis.ListChannelsInput{})
		wantError(t, err, "AccessDeniedException", "User: arn:aws:iam::000000000000:user/localstream is not authorized to perform: kinesis:ListChannels because channels are not available to account 000000000000")
		for name, err := range map[string]error{
			"DescribeChannel": second(c.DescribeChannel(t.Context(), &kinesis.DescribeChannelInput{ChannelARN: aws.String("a")})),
			"DeleteChannel":   second(c.DeleteChannel(t.Context(), &kinesis.DeleteChannelInput{ChannelARN: aws.String("a")})),
			"UpdateChannel":   second(c.UpdateChannel(t.Context(), &kinesis.UpdateChannelInput{ChannelARN: aws.String("a")})),
		} {
			wantError(t, err, "AccessDeniedException", "User: arn:aws:iam::000000000000:user/localstream is not authorized to perform: kinesis:"+name+" because channels are not available to account 000000000000")
		}
	})
}

func second[T any](_ T, err error) error { return err }
