package tables

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

type describeTableInput struct {
	TableName *string `required:"true"`
}

func (s *Service) describeTable(_ context.Context, in *describeTableInput) (any, error) {
	t, err := s.known(in.TableName)
	if err != nil {
		return nil, err
	}
	total, perIndex, err := s.measure(t)
	if err != nil {
		return nil, err
	}
	return &dynamodb.DescribeTableOutput{Table: s.describe(t, total, perIndex)}, nil
}

// known is the published table of that name in whatever status.
func (s *Service) known(member *string) (*table, error) {
	name, err := s.tableName(*member)
	if err != nil {
		return nil, err
	}
	if t := (*s.catalog.Load())[name]; t != nil {
		return t, nil
	}
	return nil, notFound("Requested resource not found: Table: %s not found", name)
}

// measure reads how many items the table and each of its indexes have.
func (s *Service) measure(t *table) (total stats, perIndex map[string]stats, err error) {
	if total, err = readStats(s.store.Get, t, t.base); err != nil {
		return total, nil, err
	}
	perIndex = map[string]stats{}
	for _, x := range t.Indexes {
		if perIndex[x.Name], err = readStats(s.store.Get, t, x); err != nil {
			return total, nil, err
		}
	}
	return total, perIndex, nil
}

func (s *Service) describe(t *table, total stats, perIndex map[string]stats) *types.TableDescription {
	d := &types.TableDescription{
		TableName: &t.Name, TableArn: aws.String(s.arn(t.Name)), TableId: &t.ID, TableStatus: types.TableStatus(t.Status),
		CreationDateTime: &t.Created, KeySchema: describeKey(t.Key), ProvisionedThroughput: t.Throughput.describe(),
		ItemCount: &total.count, TableSizeBytes: &total.bytes, DeletionProtectionEnabled: &t.DeletionProtection,
	}
	for _, a := range t.Attributes {
		d.AttributeDefinitions = append(d.AttributeDefinitions,
			types.AttributeDefinition{AttributeName: &a.Name, AttributeType: types.ScalarAttributeType(a.Kind.String())})
	}
	if !t.OnDemandSince.IsZero() {
		d.BillingModeSummary = &types.BillingModeSummary{BillingMode: types.BillingMode(t.Billing), LastUpdateToPayPerRequestDateTime: &t.OnDemandSince}
	}
	for _, x := range t.Indexes {
		s.describeIndex(d, t, x, perIndex[x.Name])
	}
	return d
}

func (s *Service) describeIndex(d *types.TableDescription, t *table, x *index, size stats) {
	arn := aws.String(s.arn(t.Name) + "/index/" + x.Name)
	projection := &types.Projection{ProjectionType: types.ProjectionType(x.Projection), NonKeyAttributes: x.NonKey}
	if !x.Global {
		d.LocalSecondaryIndexes = append(d.LocalSecondaryIndexes, types.LocalSecondaryIndexDescription{
			IndexName: &x.Name, IndexArn: arn, KeySchema: describeKey(x.Key), Projection: projection,
			ItemCount: &size.count, IndexSizeBytes: &size.bytes,
		})
		return
	}
	status := x.Status
	if t.Status == creating {
		status = creating // with its table
	}
	g := types.GlobalSecondaryIndexDescription{
		IndexName: &x.Name, IndexArn: arn, KeySchema: describeKey(x.Key), Projection: projection, IndexStatus: types.IndexStatus(status),
		ProvisionedThroughput: x.Throughput.describe(), ItemCount: &size.count, IndexSizeBytes: &size.bytes,
	}
	if x.Status == creating && t.Status == updating {
		g.Backfilling = aws.Bool(true)
	}
	d.GlobalSecondaryIndexes = append(d.GlobalSecondaryIndexes, g)
}

func describeKey(parts []keyPart) []types.KeySchemaElement {
	var elements []types.KeySchemaElement
	for i, k := range parts {
		kind := types.KeyTypeHash
		if i > 0 {
			kind = types.KeyTypeRange
		}
		elements = append(elements, types.KeySchemaElement{AttributeName: &k.Name, KeyType: kind})
	}
	return elements
}

func (p throughput) describe() *types.ProvisionedThroughputDescription {
	return &types.ProvisionedThroughputDescription{
		ReadCapacityUnits: &p.Read, WriteCapacityUnits: &p.Write, NumberOfDecreasesToday: &p.Decreases,
		LastIncreaseDateTime: unlessZero(p.Increased), LastDecreaseDateTime: unlessZero(p.Decreased),
	}
}

func unlessZero(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

type listTablesInput struct {
	ExclusiveStartTableName *string `len:"3..255" pattern:"[a-zA-Z0-9_.-]+"`
	Limit                   *int32  `range:"1..100"`
}

func (s *Service) listTables(_ context.Context, in *listTablesInput) (any, error) {
	limit := 100
	if in.Limit != nil {
		limit = int(*in.Limit)
	}
	out := &dynamodb.ListTablesOutput{TableNames: []string{}}
	for _, name := range sortedNames(*s.catalog.Load()) {
		if in.ExclusiveStartTableName != nil && name <= *in.ExclusiveStartTableName {
			continue
		}
		if len(out.TableNames) == limit {
			out.LastEvaluatedTableName = &out.TableNames[limit-1]
			break
		}
		out.TableNames = append(out.TableNames, name)
	}
	return out, nil
}
