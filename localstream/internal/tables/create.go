package tables

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/shoal-stream/shoal/localstream/internal/storage"
)

type createTableInput struct {
	TableName                 *string               `required:"true"`
	AttributeDefinitions      []attributeDefinition `required:"true"`
	KeySchema                 []keySchemaElement    `required:"true" len:"1..2"`
	LocalSecondaryIndexes     []indexDefinition
	GlobalSecondaryIndexes    []indexDefinition
	BillingMode               string `enum:"PROVISIONED, PAY_PER_REQUEST"`
	ProvisionedThroughput     *provisionedThroughput
	DeletionProtectionEnabled bool
	Tags                      []tagMember
}

func (s *Service) createTable(ctx context.Context, in *createTableInput) (any, error) {
	t, err := s.newTable(in)
	if err != nil {
		return nil, err
	}
	err = s.store.Update(ctx, func(tx *storage.Tx) error {
		if s.newest[t.Name] != nil {
			return inUse("Table already exists: %s", t.Name)
		}
		number, err := nextNumber(tx)
		if err != nil {
			return err
		}
		if err := tx.Space(); err != nil {
			return err
		}
		t.Number = number
		tx.Set(numberKey(), binary.BigEndian.AppendUint64(nil, number+1))
		s.saveAndSettle(tx, t)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &dynamodb.CreateTableOutput{TableDescription: s.describe(t.during(creating), stats{}, nil)}, nil
}

// nextNumber reads the number that the next table gets.
func nextNumber(tx *storage.Tx) (uint64, error) {
	value, ok, err := tx.Get(numberKey())
	if err != nil || !ok || len(value) != 8 {
		return 1, err
	}
	return binary.BigEndian.Uint64(value), nil
}

// newTable checks the request and makes the table, yet without a number.
func (s *Service) newTable(in *createTableInput) (*table, error) {
	if n := len(*in.TableName); n < minName || n > maxName {
		return nil, invalid("TableName must be at least 3 characters long and at most 255 characters long")
	}
	name, err := s.tableName(*in.TableName)
	if err != nil {
		return nil, err
	}
	t := &table{
		Version: metaVersion, Name: name, ID: s.uuid(), Created: s.o.Clock.Now().UTC(), Status: active,
		Billing: cmp.Or(in.BillingMode, provisioned), DeletionProtection: in.DeletionProtectionEnabled,
	}
	if s.o.Delay > 0 {
		t.Status = creating
	}
	if err := checkThroughput(t.Billing, in.ProvisionedThroughput); err != nil {
		return nil, err
	}
	t.Throughput = in.ProvisionedThroughput.units()
	if t.Billing == onDemand {
		t.OnDemandSince = t.Created
	}
	if err := t.setSchema(in); err != nil {
		return nil, err
	}
	if err := t.setTags(in.Tags); err != nil {
		return nil, err
	}
	return t.derive(), nil
}

func (t *table) setSchema(in *createTableInput) (err error) {
	if len(in.KeySchema) > len(in.AttributeDefinitions) {
		return invalid("Invalid KeySchema: Some index key attribute have no definition")
	}
	if t.Attributes, err = definitions(in.AttributeDefinitions); err != nil {
		return err
	}
	if t.Key, err = keySchema(in.KeySchema, t.Attributes); err != nil {
		return err
	}
	if err := t.setIndexes("LocalSecondaryIndexes", in.LocalSecondaryIndexes, false); err != nil {
		return err
	}
	if err := t.setIndexes("GlobalSecondaryIndexes", in.GlobalSecondaryIndexes, true); err != nil {
		return err
	}
	return t.checkDefinitionsUsed()
}

func (t *table) setIndexes(member string, defs []indexDefinition, global bool) error {
	switch {
	case defs == nil:
		return nil
	case len(defs) == 0:
		return invalid(parameterProblem+"List of %s is empty", member)
	case !global && len(t.Key) != 2:
		return invalid(parameterProblem + "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex")
	}
	for _, d := range defs {
		x, err := t.secondary(d, global)
		if err != nil {
			return err
		}
		if err := t.add(x); err != nil {
			return err
		}
	}
	switch {
	case !global && len(defs) > maxLocalIndexes:
		return invalid(parameterProblem+"Number of LocalSecondaryIndexes exceeds per-table limit of %d", maxLocalIndexes)
	case global && len(defs) > maxGlobalIndexes:
		return invalid(parameterProblem+"GlobalSecondaryIndex count exceeds the per-table limit of %d", maxGlobalIndexes)
	}
	return nil
}

// during is t while a change is under way.
func (t *table) during(status string) *table {
	c := t.clone()
	c.Status = status
	return c
}

func (s *Service) uuid() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], s.o.Clock.Uint64())
	binary.BigEndian.PutUint64(b[8:], s.o.Clock.Uint64())
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
