package processes

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/shoal-stream/shoal/integration/proc"
	"github.com/shoal-stream/shoal/internal/plainbody"
)

// tables calls the server's tables without retries.
func (s *server) tables() *dynamodb.Client {
	return dynamodb.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(s.url()),
		Credentials: credentials.NewStaticCredentialsProvider("AKIDLOCAL", "secret", ""),
		Retryer:     func() aws.Retryer { return aws.NopRetryer{} },
		HTTPClient:  plainbody.Wrap(http.DefaultClient),
	})
}

// A counter is an item that one client counts up, each time on condition that it holds what the client last saw.
type counter struct {
	id    string
	acked int // the last count that was acknowledged
	sent  int // the last that was sent
}

var counters = aws.String("counters")

func number(n int) ddb.AttributeValue { return &ddb.AttributeValueMemberN{Value: strconv.Itoa(n)} }

func counterKey(id string) map[string]ddb.AttributeValue {
	return map[string]ddb.AttributeValue{"id": &ddb.AttributeValueMemberS{Value: id}}
}

// count counts up until an update fails. Each one writes the count three times, so that half an update would show.
func (c *counter) count(ctx context.Context, api *dynamodb.Client, first chan<- struct{}) error {
	for {
		c.sent = c.acked + 1
		in := &dynamodb.UpdateItemInput{
			TableName: counters, Key: counterKey(c.id),
			UpdateExpression:          aws.String("SET twin = :next ADD n :one, added :one"),
			ConditionExpression:       aws.String("attribute_not_exists(n) OR n = :last"),
			ExpressionAttributeValues: map[string]ddb.AttributeValue{":next": number(c.sent), ":one": number(1), ":last": number(c.acked)},
		}
		// Not cut short before the server dies.
		_, err := api.UpdateItem(context.WithoutCancel(ctx), in)
		var refused *ddb.ConditionalCheckFailedException
		if errors.As(err, &refused) {
			return fmt.Errorf("%s does not hold %d, the last count that was acknowledged or found", c.id, c.acked)
		}
		var answer smithy.APIError
		if errors.As(err, &answer) {
			return fmt.Errorf("%s: %w", c.id, err)
		}
		if err != nil {
			return nil // the server died
		}
		c.acked = c.sent
		select {
		case first <- struct{}{}:
		default:
		}
	}
}

// settle compares the item after a restart with what was acknowledged, and goes on from what is there.
func (c *counter) settle(t *testing.T, api *dynamodb.Client) {
	t.Helper()
	out, err := api.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: counters, Key: counterKey(c.id), ConsistentRead: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	value := func(name string) int {
		v, ok := out.Item[name].(*ddb.AttributeValueMemberN)
		if !ok {
			return 0
		}
		n, err := strconv.Atoi(v.Value)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	n, twin, added := value("n"), value("twin"), value("added")
	if n != twin || n != added {
		t.Errorf("%s holds %d, %d and %d: half an update", c.id, n, twin, added)
	}
	if n != c.acked && n != c.sent {
		t.Errorf("%s holds %d; %d was acknowledged, %d sent", c.id, n, c.acked, c.sent)
	}
	c.acked = n
}

// TestG8KilledServerKeepsItsTables kills localstream during conditional updates: an acknowledged one is there, none is
// there twice or in half, and a condition never meets a value that had been overwritten.
func TestG8KilledServerKeepsItsTables(t *testing.T) {
	s := newServer(t, proc.Build(t, "localstream/cmd/localstream"))
	s.start()
	if _, err := s.tables().CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: counters, BillingMode: ddb.BillingModePayPerRequest,
		AttributeDefinitions: []ddb.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: ddb.ScalarAttributeTypeS}},
		KeySchema:            []ddb.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: ddb.KeyTypeHash}},
	}); err != nil {
		t.Fatal(err)
	}
	all := make([]*counter, 6)
	for i := range all {
		all[i] = &counter{id: fmt.Sprint("counter-", i)}
	}
	for round := range *kills {
		first := make(chan struct{}, len(all))
		failed := make(chan error, len(all))
		var wg sync.WaitGroup
		for _, c := range all {
			wg.Go(func() {
				if err := c.count(t.Context(), s.tables(), first); err != nil {
					failed <- err
				}
			})
		}
		s.killSoon(t, first)
		wg.Wait()
		select {
		case err := <-failed:
			t.Fatalf("round %d: %v", round, err)
		default:
		}
		s.start()
		for _, c := range all {
			c.settle(t, s.tables())
		}
	}
	sum := 0
	for _, c := range all {
		sum += c.acked
	}
	t.Logf("%d kills during %d updates", *kills, sum)
	if sum < 10**kills {
		t.Errorf("only %d updates in %d rounds: the test saw too little", sum, *kills)
	}
}

// killSoon kills the server up to 60 ms after something was acknowledged.
func (s *server) killSoon(t *testing.T, first <-chan struct{}) {
	t.Helper()
	select {
	case <-first:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was acknowledged")
	}
	<-time.After(time.Duration(rand.IntN(60)) * time.Millisecond)
	s.proc.Kill()
}
