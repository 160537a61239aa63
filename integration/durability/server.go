package main

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/shoal-stream/shoal/localstream"
)

// dir is the data directory on file systems in memory.
const dir = "data"

// patience is how long a call may take before it is taken for one that hangs.
const patience = time.Minute

var errHangs = errors.New("the call hangs")

// api is what calls a server, without retries: what was sent is known.
type api struct {
	streams *kinesis.Client
	tables  *dynamodb.Client
}

func newAPI(c aws.Config) api {
	c.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	return api{kinesis.NewFromConfig(c), dynamodb.NewFromConfig(c)}
}

// open starts a server on a file system in memory.
func open(fs vfs.FS) (*localstream.Server, api, error) {
	srv, err := localstream.Open(dir, localstream.Options{FS: fs})
	if err != nil {
		return nil, api{}, err
	}
	return srv, newAPI(srv.AWSConfig()), nil
}

// bounded is a context for one call; hung turns the error of a call that it ended.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, patience, errHangs)
}

func hung(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errHangs) {
		return errHangs
	}
	return err
}

var (
	stream = aws.String("puts")
	table  = aws.String("items")
)

const streamARN = "arn:aws:kinesis:us-east-1:000000000000:stream/puts"

// furnish makes the stream and the table.
func furnish(ctx context.Context, a api) error {
	if _, err := a.streams.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: stream, ShardCount: aws.Int32(2)}); err != nil {
		var there *types.ResourceInUseException
		if !errors.As(err, &there) {
			return err
		}
	}
	_, err := a.tables.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: table, BillingMode: ddb.BillingModePayPerRequest,
		AttributeDefinitions: []ddb.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: ddb.ScalarAttributeTypeS}},
		KeySchema:            []ddb.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: ddb.KeyTypeHash}},
	})
	var there *ddb.ResourceInUseException
	if errors.As(err, &there) {
		return nil
	}
	return err
}
