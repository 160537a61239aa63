package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/localstream"
)

// A seed is what a server is to have: {"streams": [{"name": "quakes", "shards": 4}], "tables": [{"name": "users",
// "hash": "id:S"}]}.
type seed struct {
	Streams []seedStream `json:"streams"`
	Tables  []seedTable  `json:"tables"`
}

type seedStream struct {
	Name string `json:"name"`
	// Shards makes a provisioned stream; without it the stream is on demand.
	Shards         int32             `json:"shards"`
	RetentionHours int32             `json:"retentionHours"`
	Tags           map[string]string `json:"tags"`
}

// A seedTable is paid per request. Its keys are written NAME:TYPE with type S, N or B.
type seedTable struct {
	Name    string      `json:"name"`
	Hash    string      `json:"hash"`
	Range   string      `json:"range"`
	Indexes []seedIndex `json:"indexes"`
}

// A seedIndex is a global one of all attributes.
type seedIndex struct {
	Name  string `json:"name"`
	Hash  string `json:"hash"`
	Range string `json:"range"`
}

func readSeed(file string) (*seed, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("-seed: %w", err)
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	s := new(seed)
	if err := d.Decode(s); err != nil {
		return nil, fmt.Errorf("-seed %s: %w", file, err)
	}
	for i, t := range s.Tables {
		if _, err := t.input(); err != nil {
			return nil, fmt.Errorf("-seed %s: table %d: %w", file, i+1, err)
		}
	}
	return s, nil
}

// seedConfig is srv's configuration with credentials that it accepts.
func seedConfig(srv *localstream.Server, o localstream.Options) aws.Config {
	cfg := srv.AWSConfig()
	for id, secret := range o.Keys {
		cfg.Credentials = credentials.NewStaticCredentialsProvider(id, secret, "")
		break
	}
	return cfg
}

// plant creates what is missing and leaves alone what is there.
func (s *seed) plant(ctx context.Context, cfg aws.Config) error {
	streams := kinesis.NewFromConfig(cfg)
	for _, st := range s.Streams {
		if err := st.plant(ctx, streams); err != nil {
			return fmt.Errorf("stream %q: %w", st.Name, err)
		}
	}
	tables := dynamodb.NewFromConfig(cfg)
	for _, t := range s.Tables {
		in, err := t.input()
		if err != nil {
			return fmt.Errorf("table %q: %w", t.Name, err)
		}
		var exists *ddb.ResourceInUseException
		if _, err := tables.CreateTable(ctx, in); err != nil && !errors.As(err, &exists) {
			return fmt.Errorf("table %q: %w", t.Name, err)
		}
	}
	return nil
}

func (st *seedStream) plant(ctx context.Context, client *kinesis.Client) error {
	in := &kinesis.CreateStreamInput{StreamName: &st.Name, Tags: st.Tags}
	if st.Shards > 0 {
		in.ShardCount = &st.Shards
	} else {
		in.StreamModeDetails = &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand}
	}
	var exists *types.ResourceInUseException
	if _, err := client.CreateStream(ctx, in); errors.As(err, &exists) {
		return nil
	} else if err != nil {
		return err
	}
	if st.RetentionHours <= 24 {
		return nil
	}
	active := kinesis.NewStreamExistsWaiter(client, func(o *kinesis.StreamExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 50*time.Millisecond, time.Second
	})
	if err := active.Wait(ctx, &kinesis.DescribeStreamInput{StreamName: &st.Name}, time.Minute); err != nil {
		return err
	}
	_, err := client.IncreaseStreamRetentionPeriod(ctx, &kinesis.IncreaseStreamRetentionPeriodInput{StreamName: &st.Name, RetentionPeriodHours: &st.RetentionHours})
	return err
}

// input is the request that creates the table.
func (t *seedTable) input() (*dynamodb.CreateTableInput, error) {
	in := &dynamodb.CreateTableInput{TableName: &t.Name, BillingMode: ddb.BillingModePayPerRequest}
	kinds := map[string]ddb.ScalarAttributeType{}
	schema := func(hash, sort string) ([]ddb.KeySchemaElement, error) {
		var keys []ddb.KeySchemaElement
		for i, key := range []string{hash, sort} {
			if i == 1 && key == "" {
				break
			}
			name, kind, _ := strings.Cut(key, ":")
			if name == "" || len(kind) != 1 || !strings.Contains("SNB", kind) {
				return nil, fmt.Errorf("key %q; want NAME:S, NAME:N or NAME:B", key)
			}
			if had := kinds[name]; had != "" && string(had) != kind {
				return nil, fmt.Errorf("key %q; it is of type %s elsewhere", key, had)
			} else if had == "" {
				kinds[name] = ddb.ScalarAttributeType(kind)
				in.AttributeDefinitions = append(in.AttributeDefinitions, ddb.AttributeDefinition{AttributeName: &name, AttributeType: kinds[name]})
			}
			keys = append(keys, ddb.KeySchemaElement{AttributeName: &name, KeyType: []ddb.KeyType{ddb.KeyTypeHash, ddb.KeyTypeRange}[i]})
		}
		return keys, nil
	}
	var err error
	if in.KeySchema, err = schema(t.Hash, t.Range); err != nil {
		return nil, err
	}
	for _, x := range t.Indexes {
		keys, err := schema(x.Hash, x.Range)
		if err != nil {
			return nil, fmt.Errorf("index %q: %w", x.Name, err)
		}
		in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, ddb.GlobalSecondaryIndex{
			IndexName: &x.Name, KeySchema: keys, Projection: &ddb.Projection{ProjectionType: ddb.ProjectionTypeAll},
		})
	}
	return in, nil
}
