package localstream_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/shoal-stream/shoal/localstream"
)

// wantFull fails unless err is the service's internal error that says that the disk is nearly full.
func wantFull(t *testing.T, what string, err error) {
	t.Helper()
	var answer smithy.APIError
	if !errors.As(err, &answer) || !strings.HasPrefix(answer.ErrorCode(), "Internal") || !strings.Contains(answer.ErrorMessage(), "the disk is nearly full") {
		t.Errorf("%s on a disk that is nearly full: %v", what, err)
	}
}

func TestADiskThatIsNearlyFullIsReadAndTakesWritesAgainWhenThereIsRoom(t *testing.T) {
	disk := vfs.NewMem()
	srv, err := localstream.Open("data", localstream.Options{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	ctx := t.Context()
	c := newClient(t, srv)
	c.create(1)
	items := dynamodb.NewFromConfig(srv.AWSConfig(), func(o *dynamodb.Options) { o.RetryMaxAttempts = 1 })
	if _, err := items.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: aws.String("items"), BillingMode: ddb.BillingModePayPerRequest,
		AttributeDefinitions: []ddb.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: ddb.ScalarAttributeTypeS}},
		KeySchema:            []ddb.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: ddb.KeyTypeHash}},
	}); err != nil {
		t.Fatal(err)
	}
	item := map[string]ddb.AttributeValue{"id": &ddb.AttributeValueMemberS{Value: "a"}}
	put := func() error {
		_, err := items.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("items"), Item: item})
		return err
	}
	for round := range 3 {
		disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 40, TotalBytes: 1 << 40})
		c.put(10*round, 10)
		if err := put(); err != nil {
			t.Fatal(err)
		}
		disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 200 << 20, TotalBytes: 1 << 40})
		_, err := c.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: quakes, Records: entries(1000, 1)})
		wantFull(t, "PutRecords", err)
		wantFull(t, "PutItem", put())
		_, err = c.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("other"), ShardCount: aws.Int32(1)})
		wantFull(t, "CreateStream", err)
		if records, _ := c.all(0, 0); len(records) != 10*(round+1) {
			t.Errorf("%d records are read, want %d", len(records), 10*(round+1))
		}
		if out, err := items.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("items"), Key: item}); err != nil || len(out.Item) != 1 {
			t.Errorf("GetItem: %v, %v", out, err)
		}
		if _, err := items.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: aws.String("items"), Key: item}); err != nil {
			t.Errorf("what makes room is refused: %v", err)
		}
	}
}

func TestServeEndsWithTheFileAndTheReasonWhenTheDiskHasFailed(t *testing.T) {
	var failing atomic.Bool
	srv, err := localstream.Open("data", localstream.Options{FS: errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if failing.Load() && strings.Contains(op.Path, "records") && op.Kind == errorfs.OpFileSyncData {
			return syscall.EIO
		}
		return nil
	}))})
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, srv)
	c.create(1)
	c.put(0, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(context.WithoutCancel(t.Context()), l) }()
	failing.Store(true)
	var answer smithy.APIError
	if _, err := c.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: quakes, Records: entries(1, 1)}); !errors.As(err, &answer) || answer.ErrorCode() != "InternalFailure" {
		t.Errorf("PutRecords on a disk that fails: %v", err)
	}
	if err := <-ended; !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "syncing data/records/000001.log") {
		t.Errorf("Serve returned %v", err)
	}
	if err := srv.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("Close returned %v", err)
	}
}
