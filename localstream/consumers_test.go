package localstream_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/shoal-stream/shoal/localstream"
)

func (c *client) tryRegister(name string) (*types.Consumer, error) {
	out, err := c.RegisterStreamConsumer(c.t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: aws.String(arn), ConsumerName: &name})
	if err != nil {
		return nil, err
	}
	return out.Consumer, nil
}

// register registers a consumer and returns its ARN.
func (c *client) register(name string) *string {
	c.t.Helper()
	consumer, err := c.tryRegister(name)
	if err != nil {
		c.t.Fatal(err)
	}
	return consumer.ConsumerARN
}

func (c *client) deregister(consumer *string) {
	c.t.Helper()
	if _, err := c.DeregisterStreamConsumer(c.t.Context(), &kinesis.DeregisterStreamConsumerInput{ConsumerARN: consumer}); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) consumer(in kinesis.DescribeStreamConsumerInput) (*types.ConsumerDescription, error) {
	out, err := c.DescribeStreamConsumer(c.t.Context(), &in)
	if err != nil {
		return nil, err
	}
	return out.ConsumerDescription, nil
}

// consumers lists all, by pages of that size.
func (c *client) consumers(size int32) (all []string) {
	c.t.Helper()
	pages := kinesis.NewListStreamConsumersPaginator(c, &kinesis.ListStreamConsumersInput{StreamARN: aws.String(arn), MaxResults: &size})
	for pages.HasMorePages() {
		out, err := pages.NextPage(c.t.Context())
		if err != nil {
			c.t.Fatal(err)
		}
		for _, consumer := range out.Consumers {
			all = append(all, fmt.Sprintf("%s %s", *consumer.ConsumerName, consumer.ConsumerStatus))
		}
	}
	return all
}

func TestConsumersPassThroughTheirStates(t *testing.T) {
	const second = time.Second
	bubble(t, localstream.Options{Transition: second}, func(t *testing.T, c *client) {
		c.create(1)
		_, err := c.tryRegister("early")
		wantError(t, err, "ResourceInUseException", "Stream quakes under account 000000000000 not ACTIVE, instead in state CREATING")
		time.Sleep(second)
		got, err := c.tryRegister("alerts")
		if err != nil || got.ConsumerStatus != types.ConsumerStatusCreating || *got.ConsumerARN != arn+"/consumer/alerts:946684801" || !got.ConsumerCreationTimestamp.Equal(time.Now()) {
			t.Fatalf("registered: %+v, %v", got, err)
		}
		_, err = c.tryRegister("alerts")
		wantError(t, err, "ResourceInUseException", "Consumer alerts under stream quakes, account 000000000000 already exists.")
		_, err = c.trySubscribe(got.ConsumerARN, 0, trimHorizon)
		wantError(t, err, "ResourceInUseException", "Consumer alerts with creation timestamp 946684801 under stream: quakes , account 000000000000 is not in ACTIVE status.")
		for i := range 4 {
			c.register(fmt.Sprint("more-", i))
		}
		_, err = c.tryRegister("sixth")
		wantError(t, err, "LimitExceededException", "Limit of 5 concurrent RegisterStreamConsumer requests exceeded for stream quakes under account 000000000000.")
		time.Sleep(second)
		for _, in := range []kinesis.DescribeStreamConsumerInput{
			{ConsumerARN: got.ConsumerARN},
			{StreamARN: aws.String(arn), ConsumerName: aws.String("alerts")},
			{StreamARN: aws.String(arn), ConsumerName: aws.String("alerts"), ConsumerARN: got.ConsumerARN},
		} {
			d, err := c.consumer(in)
			if err != nil || d.ConsumerStatus != types.ConsumerStatusActive || *d.StreamARN != arn || *d.ConsumerName != "alerts" || *d.ConsumerARN != *got.ConsumerARN {
				t.Errorf("described: %+v, %v", d, err)
			}
		}
		if n := *c.summary().ConsumerCount; n != 5 {
			t.Errorf("%d consumers counted", n)
		}
		c.deregister(got.ConsumerARN)
		c.deregister(got.ConsumerARN)
		if got := fmt.Sprint(c.consumers(2)); got != "[alerts DELETING more-0 ACTIVE more-1 ACTIVE more-2 ACTIVE more-3 ACTIVE]" {
			t.Errorf("listed: %s", got)
		}
		time.Sleep(second)
		if got := fmt.Sprint(c.consumers(4)); got != "[more-0 ACTIVE more-1 ACTIVE more-2 ACTIVE more-3 ACTIVE]" {
			t.Errorf("listed: %s", got)
		}
		_, err = c.consumer(kinesis.DescribeStreamConsumerInput{ConsumerARN: got.ConsumerARN})
		wantError(t, err, "ResourceNotFoundException", "Consumer alerts, account 000000000000 not found.")
		if again := c.register("alerts"); *again == *got.ConsumerARN {
			t.Errorf("registered again with the same ARN %s", *again)
		}
	})
}

func TestConsumersAreNamedByARNOrByStreamAndName(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		c.create(1)
		consumer := c.register("alerts")
		_, err := c.consumer(kinesis.DescribeStreamConsumerInput{StreamARN: aws.String(arn)})
		wantError(t, err, "InvalidArgumentException", "Either ConsumerARN, or both StreamARN and ConsumerName should be provided.")
		_, err = c.consumer(kinesis.DescribeStreamConsumerInput{ConsumerARN: consumer, ConsumerName: aws.String("other")})
		wantError(t, err, "InvalidArgumentException", "StreamARN and ConsumerName do not match ConsumerARN "+*consumer+".")
		_, err = c.consumer(kinesis.DescribeStreamConsumerInput{ConsumerARN: aws.String(arn + "/consumer/alerts:1")})
		wantError(t, err, "ResourceNotFoundException", "Consumer alerts, account 000000000000 not found.")
		_, err = c.consumer(kinesis.DescribeStreamConsumerInput{StreamARN: aws.String(arn + "x"), ConsumerName: aws.String("alerts")})
		wantError(t, err, "ResourceNotFoundException", "Stream quakesx under account 000000000000 not found.")
		_, err = c.consumer(kinesis.DescribeStreamConsumerInput{ConsumerARN: aws.String("arn:aws:kinesis:eu-west-1:000000000000:stream/quakes/consumer/alerts:1")})
		wantError(t, err, "ResourceNotFoundException", "Consumer alerts, account 000000000000 not found.")
		_, err = c.ListStreamConsumers(t.Context(), &kinesis.ListStreamConsumersInput{StreamARN: aws.String(arn), NextToken: aws.String("x")})
		wantError(t, err, "InvalidArgumentException", "NextToken is invalid.")
	})
}

func TestAStreamTakesTwentyConsumers(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		c.create(1)
		for i := range 20 {
			c.register(fmt.Sprint("consumer-", i))
		}
		_, err := c.tryRegister("one-more")
		wantError(t, err, "LimitExceededException", "Limit of 20 consumers exceeded for stream quakes under account 000000000000.")
		if got := c.consumers(7); len(got) != 20 {
			t.Errorf("%d listed by pages of 7", len(got))
		}
	})
}

func TestAStreamWithConsumersIsDeletedOnlyIfThatIsMeant(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		c.create(1)
		consumer := c.register("alerts")
		for _, enforce := range []*bool{nil, aws.Bool(false)} {
			_, err := c.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: quakes, EnforceConsumerDeletion: enforce})
			wantError(t, err, "ResourceInUseException", "Stream quakes under account 000000000000 has 1 registered consumers. Deregister them, or set EnforceConsumerDeletion.")
		}
		if _, err := c.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: quakes, EnforceConsumerDeletion: aws.Bool(true)}); err != nil {
			t.Fatal(err)
		}
		c.create(1)
		_, err := c.consumer(kinesis.DescribeStreamConsumerInput{ConsumerARN: consumer})
		wantError(t, err, "ResourceNotFoundException", "Consumer alerts, account 000000000000 not found.")
	})
}

func TestConsumersAndTheirTagsOutliveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := localstream.Options{FS: vfs.NewMem()}
		var consumer *string
		for round := range 2 {
			srv, err := localstream.Open("data", o)
			if err != nil {
				t.Fatal(err)
			}
			c := newClient(t, srv)
			if round == 0 {
				c.create(1)
				out, err := c.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: aws.String(arn), ConsumerName: aws.String("alerts"), Tags: map[string]string{"team": "sea"}})
				if err != nil {
					t.Fatal(err)
				}
				consumer = out.Consumer.ConsumerARN
			}
			tags, err := c.ListTagsForResource(t.Context(), &kinesis.ListTagsForResourceInput{ResourceARN: consumer})
			if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].Value != "sea" {
				t.Errorf("round %d: tags %+v, %v", round, tags, err)
			}
			if d, err := c.consumer(kinesis.DescribeStreamConsumerInput{ConsumerARN: consumer}); err != nil || d.ConsumerStatus != types.ConsumerStatusActive {
				t.Errorf("round %d: %+v, %v", round, d, err)
			}
			if err := srv.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestOnDemandStreamsOfACommittedAccountHaveFiftyConsumers(t *testing.T) {
	bubble(t, localstream.Options{}, func(t *testing.T, c *client) {
		if err := c.createOnDemand(kinesis.CreateStreamInput{StreamName: quakes}); err != nil {
			t.Fatal(err)
		}
		fill := func(most int) {
			t.Helper()
			for i := len(c.consumers(100)); i < most; i++ {
				c.register(fmt.Sprint("consumer-", i))
			}
			_, err := c.tryRegister("one-more")
			wantError(t, err, "LimitExceededException", fmt.Sprintf("Limit of %d consumers exceeded for stream quakes under account 000000000000.", most))
		}
		fill(20)
		c.commit(types.MinimumThroughputBillingCommitmentInputStatusEnabled)
		fill(50)
	})
}
