package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/sirupsen/logrus"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/config"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/interfaces"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/worker"
	"github.com/vmware/vmware-go-kcl-v2/logger"

	"github.com/shoal-stream/shoal/integration/bench/job"
)

// vmware consumes with vmware-go-kcl-v2, listing shards so often that it takes its four leases at once.
func vmware(_ context.Context, j job.Job, tally *job.Tally) error {
	const shardSync = 200 // milliseconds
	logrus.SetLevel(logrus.ErrorLevel)
	quiet := logrus.New()
	quiet.SetLevel(logrus.ErrorLevel)
	key := credentials.NewStaticCredentialsProvider(job.KeyID, job.Secret, "")
	cfg := config.NewKinesisClientLibConfigWithCredentials(j.App, j.Stream, job.Region, "worker", &key, &key).
		WithKinesisEndpoint(j.URL).WithDynamoDBEndpoint(j.URL).
		WithInitialPositionInStream(config.TRIM_HORIZON).WithShardSyncIntervalMillis(shardSync).
		WithLogger(logger.NewLogrusLogger(quiet))
	w := worker.NewWorker(counters{tally}, cfg).WithKinesis(kinesis.NewFromConfig(awsConfig(j)))
	if err := w.Start(); err != nil {
		return err
	}
	<-tally.All()
	w.Shutdown()
	return nil
}

// counters make processors that count and checkpoint.
type counters struct{ tally *job.Tally }

func (c counters) CreateProcessor() interfaces.IRecordProcessor { return c }

func (c counters) Initialize(*interfaces.InitializationInput) {}

func (c counters) ProcessRecords(in *interfaces.ProcessRecordsInput) {
	n := len(in.Records)
	if n == 0 {
		return
	}
	if err := in.Checkpointer.Checkpoint(aws.String(*in.Records[n-1].SequenceNumber)); err != nil {
		panic(err)
	}
	c.tally.Add(n)
}

func (c counters) Shutdown(*interfaces.ShutdownInput) {}
