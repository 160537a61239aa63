package dynamo_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/shoal-stream/shoal/lease/dynamo"
)

// A silence is a service that never answers.
type silence struct{}

func (silence) Do(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestNoCallWaitsForEver(t *testing.T) {
	store := dynamo.New(dynamodb.New(dynamodb.Options{
		Region: "us-east-1", HTTPClient: silence{}, Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
		BaseEndpoint: aws.String("http://localhost"),
	}), "table")
	for name, call := range map[string]func(context.Context) error{
		"Get":    func(ctx context.Context) error { _, err := store.Get(ctx, "a"); return err },
		"Survey": func(ctx context.Context) error { _, _, err := store.Survey(ctx); return err },
		"Owned":  func(ctx context.Context) error { _, err := store.Owned(ctx, "w"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				err := call(t.Context())
				if took := time.Since(began); took != 10*time.Second || err == nil || !strings.Contains(err.Error(), "no answer from DynamoDB in time") {
					t.Errorf("after %v: %v", took, err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				began = time.Now()
				err = call(ctx)
				if took := time.Since(began); took != time.Second || !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "in time") {
					t.Errorf("with a context of one second, after %v: %v", took, err)
				}
			})
		})
	}
}
