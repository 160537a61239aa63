package main

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	kinesistypes "github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	consumer "github.com/harlow/kinesis-consumer"
	"github.com/harlow/kinesis-consumer/store/ddb"

	"github.com/shoal-stream/shoal/integration/bench/job"
)

// harlow consumes with harlow/kinesis-consumer and its checkpoints in DynamoDB.
func harlow(ctx context.Context, j job.Job, tally *job.Tally) error {
	cfg := awsConfig(j)
	tables := dynamodb.NewFromConfig(cfg)
	_, err := tables.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: &j.App, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("namespace"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String("shard_id"), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("namespace"), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String("shard_id"), KeyType: types.KeyTypeRange},
		},
	})
	if err != nil {
		return err
	}
	store, err := ddb.New(j.App, j.App, ddb.WithDynamoClient(tables))
	if err != nil {
		return err
	}
	c, err := consumer.New(j.Stream, consumer.WithClient(kinesis.NewFromConfig(cfg)), consumer.WithStore(store),
		consumer.WithShardIteratorType(string(kinesistypes.ShardIteratorTypeTrimHorizon)))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		<-tally.All()
		cancel()
	}()
	err = c.Scan(ctx, func(*consumer.Record) error {
		tally.Add(1)
		return nil
	})
	if ctx.Err() == nil {
		return errors.Join(errors.New("Scan ended early"), err)
	}
	return store.Shutdown()
}
