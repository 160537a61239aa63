package tables_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/shoal-stream/shoal/localstream"
)

// TestTablesThroughLocalstream uses the server as programs do: its AWSConfig, the SDK's waiters, statuses that take
// time, and a second server on the same directory after the first.
func TestTablesThroughLocalstream(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		use := func(f func(c *dynamodb.Client)) {
			srv, err := localstream.Open(dir, localstream.Options{Transition: 2 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			f(dynamodb.NewFromConfig(srv.AWSConfig()))
			if err := srv.Close(); err != nil {
				t.Error(err)
			}
		}
		key := item{"id": str("counter")}
		use(func(c *dynamodb.Client) {
			if _, err := c.CreateTable(ctx, simple("counters", "id")); err != nil {
				t.Fatal(err)
			}
			if err := dynamodb.NewTableExistsWaiter(c).Wait(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("counters")}, time.Minute); err != nil {
				t.Fatal(err)
			}
			var adders sync.WaitGroup
			for range 8 {
				adders.Go(func() {
					for range 25 {
						_, err := c.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: aws.String("counters"), Key: key,
							UpdateExpression: aws.String("ADD n :one"), ExpressionAttributeValues: item{":one": num("1")}})
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
			adders.Wait()
		})
		use(func(c *dynamodb.Client) {
			out, err := c.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("counters"), Key: key})
			if err != nil {
				t.Fatal(err)
			}
			wantItem(t, out.Item, item{"id": str("counter"), "n": num(fmt.Sprint(8 * 25))})
			if _, err := c.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: aws.String("counters")}); err != nil {
				t.Fatal(err)
			}
			if err := dynamodb.NewTableNotExistsWaiter(c).Wait(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("counters")}, time.Minute); err != nil {
				t.Fatal(err)
			}
		})
	})
}
