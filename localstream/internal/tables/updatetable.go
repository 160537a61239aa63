package tables

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/shoal-stream/shoal/localstream/internal/storage"
	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

type updateTableInput struct {
	TableName                   *string `required:"true"`
	AttributeDefinitions        []attributeDefinition
	BillingMode                 string `enum:"PROVISIONED, PAY_PER_REQUEST"`
	ProvisionedThroughput       *provisionedThroughput
	DeletionProtectionEnabled   *bool
	GlobalSecondaryIndexUpdates []indexUpdate
}

type indexUpdate struct {
	Create *indexDefinition
	Update *struct {
		IndexName             *string                `required:"true" len:"3..255" pattern:"[a-zA-Z0-9_.-]+"`
		ProvisionedThroughput *provisionedThroughput `required:"true"`
	}
	Delete *struct {
		IndexName *string `required:"true" len:"3..255" pattern:"[a-zA-Z0-9_.-]+"`
	}
}

func (s *Service) updateTable(ctx context.Context, in *updateTableInput) (any, error) {
	name, err := s.tableName(*in.TableName)
	if err != nil {
		return nil, err
	}
	if in.ProvisionedThroughput == nil && in.BillingMode == "" && in.DeletionProtectionEnabled == nil && len(in.GlobalSecondaryIndexUpdates) == 0 {
		return nil, invalid("At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required")
	}
	var t *table
	err = s.store.Update(ctx, func(tx *storage.Tx) error {
		old := s.newest[name]
		switch {
		case old == nil:
			return notFound("Requested resource not found: Table: %s not found", name)
		case old.Status != active:
			return inUse("Attempt to change a resource which is still in use: Table is being updated: %s", name)
		}
		t = old.clone()
		if err := s.change(t, in); err != nil {
			return err
		}
		s.saveAndSettle(tx, t)
		return nil
	})
	if err != nil {
		return nil, err
	}
	total, perIndex, err := s.measure(t)
	if err != nil {
		return nil, err
	}
	return &dynamodb.UpdateTableOutput{TableDescription: s.describe(t, total, perIndex)}, nil
}

// change makes the requested changes in t, a copy, or refuses them.
func (s *Service) change(t *table, in *updateTableInput) error {
	if err := s.changeBilling(t, in); err != nil {
		return err
	}
	if in.DeletionProtectionEnabled != nil {
		t.DeletionProtection = *in.DeletionProtectionEnabled
	}
	if err := t.define(in.AttributeDefinitions); err != nil {
		return err
	}
	return s.changeIndexes(t, in.GlobalSecondaryIndexUpdates)
}

// changeBilling changes the billing mode and the table's throughput.
func (s *Service) changeBilling(t *table, in *updateTableInput) error {
	was := t.Billing
	if in.BillingMode != "" {
		t.Billing = in.BillingMode
	}
	switch {
	case in.ProvisionedThroughput == nil && t.Billing == provisioned && was != provisioned:
		return invalid(parameterProblem + "ProvisionedThroughput must be specified when BillingMode is PROVISIONED")
	case t.Billing == onDemand && was != onDemand:
		t.OnDemandSince = s.o.Clock.Now().UTC()
		t.Throughput = throughput{}
		for _, x := range t.Indexes {
			x.Throughput = throughput{}
		}
	}
	if in.ProvisionedThroughput == nil {
		return nil
	}
	if err := checkThroughput(t.Billing, in.ProvisionedThroughput); err != nil {
		return err
	}
	wanted := in.ProvisionedThroughput.units()
	if was == provisioned && wanted.Read == t.Throughput.Read && wanted.Write == t.Throughput.Write {
		return invalid("The provisioned throughput for the table will not change. The requested value equals the current value. "+
			"Current ReadCapacityUnits provisioned for the table: %d. Requested ReadCapacityUnits: %d. "+
			"Current WriteCapacityUnits provisioned for the table: %d. Requested WriteCapacityUnits: %d. "+
			"Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits.",
			t.Throughput.Read, wanted.Read, t.Throughput.Write, wanted.Write)
	}
	s.setThroughput(t, &t.Throughput, wanted)
	return nil
}

func (s *Service) setThroughput(t *table, p *throughput, wanted throughput) {
	now := s.o.Clock.Now().UTC()
	if wanted.Read > p.Read || wanted.Write > p.Write {
		p.Increased = now
	}
	if wanted.Read < p.Read || wanted.Write < p.Write {
		p.Decreased = now
		p.Decreases++
	}
	p.Read, p.Write = wanted.Read, wanted.Write
	if s.o.Delay > 0 {
		t.Status = updating
	}
}

// define adds attribute definitions.
func (t *table) define(defs []attributeDefinition) error {
	added, err := definitions(defs)
	if err != nil {
		return err
	}
	for _, a := range added {
		i := slices.IndexFunc(t.Attributes, func(b attribute) bool { return b.Name == a.Name })
		switch {
		case i < 0:
			t.Attributes = append(t.Attributes, a)
		case t.Attributes[i].Kind != a.Kind:
			return invalid(parameterProblem+"Cannot redefine the attribute %s, which is %v, as %v", a.Name, t.Attributes[i].Kind, a.Kind)
		}
	}
	return nil
}

// changeIndexes creates, changes and deletes global indexes, at most one of the first and last kind.
func (s *Service) changeIndexes(t *table, updates []indexUpdate) error {
	built := 0
	for _, u := range updates {
		var err error
		switch {
		case u.Create != nil:
			built++
			err = t.createIndex(*u.Create)
		case u.Delete != nil:
			built++
			err = t.dropIndex(*u.Delete.IndexName)
		case u.Update != nil:
			err = s.updateIndex(t, *u.Update.IndexName, u.Update.ProvisionedThroughput)
		default:
			err = invalid(parameterProblem + "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, GlobalSecondaryIndexUpdate.Delete must not be null")
		}
		if err != nil {
			return err
		}
	}
	if built > 1 {
		return wire.Errorf("LimitExceededException", "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table")
	}
	return nil
}

func (t *table) createIndex(d indexDefinition) error {
	if t.index(*d.IndexName) != nil {
		return invalid("Attempting to create an index which already exists")
	}
	x, err := t.secondary(d, true)
	if err != nil {
		return err
	}
	globals := 0
	for _, other := range t.Indexes {
		if other.Global {
			globals++
		}
	}
	if globals >= maxGlobalIndexes {
		return invalid(parameterProblem+"GlobalSecondaryIndex count exceeds the per-table limit of %d", maxGlobalIndexes)
	}
	x.Status = creating
	t.Status = updating
	return t.add(x)
}

func (t *table) dropIndex(name string) error {
	x := t.index(name)
	if x == nil || !x.Global {
		return notFound("Requested resource not found: Index: %s for table: %s", name, t.Name)
	}
	x.Status = deleting
	t.Status = updating
	return nil
}

func (s *Service) updateIndex(t *table, name string, p *provisionedThroughput) error {
	x := t.index(name)
	if x == nil || !x.Global {
		return notFound("Requested resource not found: Index: %s for table: %s", name, t.Name)
	}
	if err := checkThroughput(t.Billing, p); err != nil {
		return err
	}
	s.setThroughput(t, &x.Throughput, p.units())
	return nil
}

type deleteTableInput struct {
	TableName *string `required:"true"`
}

func (s *Service) deleteTable(ctx context.Context, in *deleteTableInput) (any, error) {
	name, err := s.tableName(*in.TableName)
	if err != nil {
		return nil, err
	}
	var t *table
	err = s.store.Update(ctx, func(tx *storage.Tx) error {
		old := s.newest[name]
		switch {
		case old == nil:
			return notFound("Requested resource not found: Table: %s not found", name)
		case old.Status == creating:
			return inUse("Attempt to change a resource which is still in use: Table is being created: %s", name)
		case old.Status == updating:
			return inUse("Attempt to change a resource which is still in use: Table is being updated: %s", name)
		case old.Status == deleting:
			return inUse("Attempt to change a resource which is still in use: Table is being deleted: %s", name)
		case old.DeletionProtection:
			return invalid("Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
		}
		t = old.during(deleting)
		if s.o.Delay == 0 {
			s.forget(tx, old)
		} else {
			s.saveAndSettle(tx, t)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &dynamodb.DeleteTableOutput{TableDescription: s.describe(t, stats{}, nil)}, nil
}
