package dynamo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/shoal-stream/shoal/lease"
)

// indexName is the index from owners to keys, by which workers find what they were assigned.
const indexName = "LeaseOwnerToLeaseKeyIndex"

const (
	indexPatience = time.Hour        // as KCL 3.5.1 has
	indexPoll     = 10 * time.Second // at most
	indexTalk     = 30 * time.Second // between two reports of progress
)

func indexKeys() []types.KeySchemaElement {
	return []types.KeySchemaElement{
		{AttributeName: aws.String(attrOwner), KeyType: types.KeyTypeHash},
		{AttributeName: aws.String(attrKey), KeyType: types.KeyTypeRange},
	}
}

func indexAttributes() []types.AttributeDefinition {
	return []types.AttributeDefinition{
		{AttributeName: aws.String(attrKey), AttributeType: types.ScalarAttributeTypeS},
		{AttributeName: aws.String(attrOwner), AttributeType: types.ScalarAttributeTypeS},
	}
}

func keysOnly() *types.Projection {
	return &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly}
}

// indexOf is the index of a table, nil if it has none.
func indexOf(t *types.TableDescription) *types.GlobalSecondaryIndexDescription {
	for i := range t.GlobalSecondaryIndexes {
		if aws.ToString(t.GlobalSecondaryIndexes[i].IndexName) == indexName {
			return &t.GlobalSecondaryIndexes[i]
		}
	}
	return nil
}

// prepareIndex has the index ready. In a fleet that was rolled back to KCL 2.x nobody uses it: the tool that rolls back
// deletes it (KclMigrationTool.py), and it is made when the fleet is rolled forward.
func (s *Store) prepareIndex(ctx context.Context, t *types.TableDescription) error {
	if index := indexOf(t); index != nil && index.IndexStatus == types.IndexStatusActive {
		return nil
	}
	m, err := s.Migration(ctx, lease.ClientVersion)
	switch {
	case err != nil && !errors.Is(err, lease.ErrNotFound):
		return err
	case m.State == lease.Client2X:
		return nil
	}
	return s.awaitIndex(ctx, t)
}

// awaitIndex returns when the index can be read. A table of KCL 2.x or of another maker gets it, unless NoCreate is set.
func (s *Store) awaitIndex(ctx context.Context, t *types.TableDescription) error {
	start, failures := s.cfg.Clock.Now(), 0
	talked := start
	for attempt := 1; ; attempt++ {
		state, err := s.tryIndex(ctx, t)
		switch {
		case err == nil && state == types.IndexStatusActive:
			return nil
		case err == nil:
			failures = 0
		case errors.Is(err, lease.ErrSchema) || hopeless(err):
			return err
		default:
			if failures++; failures >= troubles {
				return err
			}
		}
		now := s.cfg.Clock.Now()
		if now.Sub(start) >= indexPatience {
			return fmt.Errorf("it is %s after %v; want ACTIVE", state, indexPatience)
		}
		if now.Sub(talked) >= indexTalk && s.cfg.Progress != nil {
			talked = now
			s.cfg.Progress(fmt.Sprintf("index %s of table %s to become ACTIVE: it is %s after %v", indexName, s.cfg.Table, state, now.Sub(start)))
		}
		if err := s.cfg.Clock.Sleep(ctx, s.cfg.Clock.Backoff(attempt, firstPoll, indexPoll)); err != nil {
			return fmt.Errorf("wait for it to become ACTIVE: %w", err)
		}
		out, err := s.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &s.cfg.Table})
		if err == nil {
			t = out.Table
			continue
		}
		if failures++; failures >= troubles || hopeless(err) {
			return err
		}
	}
}

// tryIndex is the status of the index; it makes the index if there is none.
func (s *Store) tryIndex(ctx context.Context, t *types.TableDescription) (types.IndexStatus, error) {
	if index := indexOf(t); index != nil {
		return index.IndexStatus, nil
	}
	if s.cfg.NoCreate {
		return "", fmt.Errorf("%w: there is none, and NoCreate is set; want one with the keys %s and %s", lease.ErrSchema, attrOwner, attrKey)
	}
	return types.IndexStatusCreating, s.addIndex(ctx, t)
}

// addIndex begins to make the index.
func (s *Store) addIndex(ctx context.Context, t *types.TableDescription) error {
	add := &types.CreateGlobalSecondaryIndexAction{IndexName: aws.String(indexName), KeySchema: indexKeys(), Projection: keysOnly()}
	if p := t.ProvisionedThroughput; p != nil && aws.ToInt64(p.WriteCapacityUnits) > 0 {
		add.ProvisionedThroughput = &types.ProvisionedThroughput{
			ReadCapacityUnits: p.ReadCapacityUnits, WriteCapacityUnits: p.WriteCapacityUnits,
		}
	}
	_, err := s.client.UpdateTable(ctx, &dynamodb.UpdateTableInput{
		TableName: &s.cfg.Table, AttributeDefinitions: indexAttributes(),
		GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{Create: add}},
	})
	if err == nil {
		return nil
	}
	// Another worker may have been quicker, or the table is busy with another change.
	var inUse *types.ResourceInUseException
	var limit *types.LimitExceededException
	if errors.As(err, &inUse) || errors.As(err, &limit) {
		return nil
	}
	out, again := s.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &s.cfg.Table})
	if again == nil && indexOf(out.Table) != nil {
		return nil
	}
	return fmt.Errorf("add it: %w", err)
}
