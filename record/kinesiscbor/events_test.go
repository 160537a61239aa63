package kinesiscbor

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/eventstream"
)

// A stream is an HTTP client that answers with a stream of these bytes.
type stream []byte

func (s stream) Do(req *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: 200, Header: http.Header{"Content-Type": {"application/vnd.amazon.eventstream"}},
		Body: io.NopCloser(bytes.NewReader(s)), ContentLength: -1, Request: req,
	}, nil
}

func TestASubscriptionThatBeginsWithAnExceptionIsThatError(t *testing.T) {
	for what, payload := range map[string]string{
		"in CBOR": "\xa1\x67message\x64busy", "in JSON": `{"message":"busy"}`,
	} {
		for code, known := range map[string]bool{"ResourceInUseException": true, "NobodyKnowsThisException": false} {
			first := encodeFrame(t, "exception", eventstream.ExceptionTypeHeader, code, []byte(payload))
			client := kinesis.New(kinesis.Options{
				Region: "us-east-1", HTTPClient: stream(first), Retryer: aws.NopRetryer{}, Credentials: aws.AnonymousCredentials{},
			}, Enable)
			_, err := client.SubscribeToShard(t.Context(), &kinesis.SubscribeToShardInput{
				ConsumerARN: aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c:1"), ShardId: aws.String("shardId-000000000000"),
				StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeLatest},
			})
			api, ok := errors.AsType[smithy.APIError](err)
			if !ok || api.ErrorCode() != code || api.ErrorMessage() != "busy" {
				t.Errorf("%s, %s: %v", code, what, err)
			}
			if _, modelled := errors.AsType[*types.ResourceInUseException](err); modelled != known {
				t.Errorf("%s, %s: %T", code, what, api)
			}
		}
	}
}
