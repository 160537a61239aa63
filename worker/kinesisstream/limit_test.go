package kinesisstream

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/record"
)

// A mute is a service that never answers.
type mute struct{}

func (mute) Do(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestNoCallButAReadWaitsForEver(t *testing.T) {
	client := kinesis.New(kinesis.Options{
		Region: "us-east-1", HTTPClient: mute{}, BaseEndpoint: aws.String("http://localhost"),
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})
	for name, call := range map[string]func(context.Context, *Stream) error{
		"Shards":   func(ctx context.Context, s *Stream) error { _, _, err := s.Shards(ctx, record.Position{}); return err },
		"Identify": func(ctx context.Context, s *Stream) error { _, err := s.Identify(ctx); return err },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, began := New(client, "s"), time.Now()
				if err := call(t.Context(), s); time.Since(began) != 30*time.Second || !errors.Is(err, errNoAnswer) {
					t.Errorf("after %v: %v", time.Since(began), err)
				}
			})
		})
	}
	t.Run("Read", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			_, err := New(client, "s").Open("shardId-000000000000", record.Latest).Read(ctx)
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errNoAnswer) {
				t.Errorf("a read that may take an hour ended with %v", err)
			}
		})
	})
}
