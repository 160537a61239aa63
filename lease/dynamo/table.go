package dynamo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/shoal-stream/shoal/lease"
)

const (
	firstPoll = 20 * time.Millisecond // a table that is made in no time is found in no time
	mostPoll  = 3 * time.Second
	troubles  = 5 // failed calls in a row that Open bears
)

// Open waits until the table can be used, and makes it, and its index, if they are missing; a fleet that was rolled back to
// KCL 2.x is left without the index. Its errors wrap lease.ErrSchema if the table is not one of leases.
func (s *Store) Open(ctx context.Context) error {
	if err := s.cfg.validate(); err != nil {
		return err
	}
	table, err := s.await(ctx)
	if err != nil {
		return fmt.Errorf("open lease table %q: %w", s.cfg.Table, err)
	}
	s.segments.Store(segmentsOf(aws.ToInt64(table.TableSizeBytes)))
	if err := s.lookForOldTables(ctx); err != nil {
		return fmt.Errorf("open lease table %q: %w", s.cfg.Table, err)
	}
	if err := s.prepareIndex(ctx, table); err != nil {
		return fmt.Errorf("open lease table %q: index %s: %w", s.cfg.Table, indexName, err)
	}
	if s.cfg.NoCreate {
		return nil
	}
	if s.cfg.PointInTimeRecovery {
		if err := s.backUp(ctx); err != nil {
			return fmt.Errorf("open lease table %q: turn on point-in-time recovery: %w", s.cfg.Table, err)
		}
	}
	return nil
}

// validate returns an error that names the field unless a table can be made by c.
func (c *Config) validate() error {
	switch {
	case !legalName(c.Table):
		return fmt.Errorf(`%w: lease table: Table %q: want %s`, lease.ErrInvalid, c.Table, legalNames)
	case c.CoordinatorTable != "" && !legalName(c.CoordinatorTable):
		return fmt.Errorf(`%w: lease table %q: CoordinatorTable %q: want %s`, lease.ErrInvalid, c.Table, c.CoordinatorTable, legalNames)
	case c.MetricsTable != "" && !legalName(c.MetricsTable):
		return fmt.Errorf(`%w: lease table %q: MetricsTable %q: want %s`, lease.ErrInvalid, c.Table, c.MetricsTable, legalNames)
	case c.ReadCapacity < 0 || c.WriteCapacity < 0 || (c.ReadCapacity == 0) != (c.WriteCapacity == 0):
		return fmt.Errorf("%w: lease table %q: ReadCapacity %d and WriteCapacity %d: want both from 1, or both 0 for billing by request",
			lease.ErrInvalid, c.Table, c.ReadCapacity, c.WriteCapacity)
	}
	return nil
}

const legalNames = `3 to 255 letters, digits and "_", "-", "."`

func legalName(table string) bool {
	legal := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' || r == '.'
	}
	return len(table) >= 3 && len(table) <= 255 && !slices.ContainsFunc([]rune(table), func(r rune) bool { return !legal(r) })
}

// await returns the table once it can be used, and makes it if there is none.
func (s *Store) await(ctx context.Context) (*types.TableDescription, error) {
	failures := 0
	for attempt := 1; ; attempt++ {
		out, err := s.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &s.cfg.Table})
		var missing *types.ResourceNotFoundException
		switch {
		case errors.As(err, &missing) && s.cfg.NoCreate:
			return nil, fmt.Errorf("there is none, and NoCreate is set: %w", err)
		case errors.As(err, &missing):
			if err = s.create(ctx); err == nil {
				attempt = 0
			}
		case err == nil:
			if err := checkSchema(out.Table); err != nil {
				return nil, err
			}
			switch out.Table.TableStatus {
			case types.TableStatusActive, types.TableStatusUpdating:
				return out.Table, nil
			case types.TableStatusCreating, types.TableStatusDeleting: // the second: made again when it is gone
			default:
				return nil, fmt.Errorf("its status is %s", out.Table.TableStatus)
			}
		}
		if failures++; err == nil {
			failures = 0
		}
		if err != nil && (failures >= troubles || hopeless(err)) {
			return nil, err
		}
		if err := s.cfg.Clock.Sleep(ctx, s.cfg.Clock.Backoff(max(attempt, 1), firstPoll, mostPoll)); err != nil {
			return nil, fmt.Errorf("wait for it to become ACTIVE: %w", err)
		}
	}
}

// create makes the table, or finds that another worker has.
func (s *Store) create(ctx context.Context) error {
	in := &dynamodb.CreateTableInput{
		TableName:                 &s.cfg.Table,
		AttributeDefinitions:      indexAttributes(),
		KeySchema:                 []types.KeySchemaElement{{AttributeName: aws.String(attrKey), KeyType: types.KeyTypeHash}},
		GlobalSecondaryIndexes:    []types.GlobalSecondaryIndex{{IndexName: aws.String(indexName), KeySchema: indexKeys(), Projection: keysOnly()}},
		BillingMode:               types.BillingModePayPerRequest,
		DeletionProtectionEnabled: aws.Bool(s.cfg.DeletionProtection),
	}
	if s.cfg.ReadCapacity > 0 {
		in.BillingMode = types.BillingModeProvisioned
		in.ProvisionedThroughput = &types.ProvisionedThroughput{
			ReadCapacityUnits: &s.cfg.ReadCapacity, WriteCapacityUnits: &s.cfg.WriteCapacity,
		}
		in.GlobalSecondaryIndexes[0].ProvisionedThroughput = in.ProvisionedThroughput
	}
	for key, value := range s.cfg.Tags {
		in.Tags = append(in.Tags, types.Tag{Key: aws.String(key), Value: aws.String(value)})
	}
	_, err := s.client.CreateTable(ctx, in)
	var inUse *types.ResourceInUseException
	if errors.As(err, &inUse) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create it: %w", err)
	}
	return nil
}

// checkSchema names how a table differs from one of leases.
func checkSchema(t *types.TableDescription) error {
	if err := checkKey(t, attrKey); err != nil {
		return err
	}
	for _, def := range t.AttributeDefinitions {
		name := aws.ToString(def.AttributeName)
		if (name == attrKey || name == attrOwner) && def.AttributeType != types.ScalarAttributeTypeS {
			return fmt.Errorf("%w: its key attribute %q is of type %s; want S", lease.ErrSchema, name, def.AttributeType)
		}
	}
	return nil
}

func checkKey(t *types.TableDescription, want string) error {
	for _, key := range t.KeySchema {
		switch name := aws.ToString(key.AttributeName); {
		case key.KeyType == types.KeyTypeRange:
			return fmt.Errorf("%w: it has the sort key %q; want none", lease.ErrSchema, name)
		case name != want:
			return fmt.Errorf("%w: its partition key is %q; want %q", lease.ErrSchema, name, want)
		}
	}
	return nil
}

// segmentsOf is in how many segments KCL scans a table (DynamoDBLeaseRefresher.java): one for each 0.2 GB, up to 32.
func segmentsOf(bytes int64) int32 {
	const segment = 1 << 30 / 5
	return int32(min(max((bytes+segment-1)/segment, 1), 32))
}

// backUp turns continuous backups on, which a new table may not be ready for.
func (s *Store) backUp(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		_, err := s.client.UpdateContinuousBackups(ctx, &dynamodb.UpdateContinuousBackupsInput{
			TableName:                        &s.cfg.Table,
			PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true)},
		})
		if err == nil || attempt >= 2*troubles || hopeless(err) {
			return err
		}
		if err := s.cfg.Clock.Sleep(ctx, s.cfg.Clock.Backoff(attempt, firstPoll, mostPoll)); err != nil {
			return err
		}
	}
}

// hopeless reports whether trying again will not help: the service understood and refused.
func hopeless(err error) bool {
	var api interface{ ErrorCode() string }
	if !errors.As(err, &api) {
		return false
	}
	switch api.ErrorCode() {
	case "AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException", "ValidationException",
		"ExpiredTokenException", "MissingAuthenticationTokenException":
		return true
	}
	return false
}
