//go:build oracle

package oracle

import (
	"flag"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"fmt"
	"sync/atomic"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/dynamo"
	"github.com/shoal-stream/shoal/lease/leasetest"
	"github.com/shoal-stream/shoal/localstream"
)

var (
	operations = flag.Int("operations", 2000, "how many operations to compare")
	seed       = flag.Uint64("seed", 1, "where the operations come from")
)

func TestLocalstreamAnswersLikeDynamoDBLocal(t *testing.T) {
	endpoint := start(t)
	srv, err := localstream.Open("", localstream.Options{Memory: true})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	report, err := Run(t.Context(), http.DefaultClient, srv.AWSConfig().HTTPClient, endpoint, *seed, *operations)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(report)
	for _, d := range report.Unlisted {
		t.Error(d)
	}
}

func TestLeasesInDynamoDBLocal(t *testing.T) {
	client := dynamodb.New(dynamodb.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(start(t)),
		Credentials: credentials.NewStaticCredentialsProvider("oracle", "oracle", ""),
	})
	var n atomic.Int64
	leasetest.Run(t, func(t *testing.T) lease.Store { return dynamo.New(client, fmt.Sprintf("leases-%d", n.Add(1))) })
}

func start(t *testing.T) string {
	endpoint, stop, err := StartDynamoDBLocal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return endpoint
}
