package tables

import (
	"cmp"
	"context"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/shoal-stream/shoal/localstream/internal/storage"
	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// Continuous backups are a flag here: it is kept and answered, nothing is backed up.

// defaultRecoveryDays is how far back point-in-time recovery goes.
const defaultRecoveryDays = 35

type updateContinuousBackupsInput struct {
	TableName                        *string `required:"true"`
	PointInTimeRecoverySpecification *struct {
		PointInTimeRecoveryEnabled *bool  `required:"true"`
		RecoveryPeriodInDays       *int32 `range:"1..35"`
	} `required:"true"`
}

func (s *Service) updateContinuousBackups(ctx context.Context, in *updateContinuousBackupsInput) (any, error) {
	name, err := s.tableName(*in.TableName)
	if err != nil {
		return nil, err
	}
	spec := in.PointInTimeRecoverySpecification
	var t *table
	err = s.store.Update(ctx, func(tx *storage.Tx) error {
		old := s.newest[name]
		if !old.readable() {
			return noBackups(name)
		}
		t = old.clone()
		if *spec.PointInTimeRecoveryEnabled && !t.Recovery {
			t.RecoverySince = s.o.Clock.Now().UTC()
		}
		t.Recovery = *spec.PointInTimeRecoveryEnabled
		if spec.RecoveryPeriodInDays != nil {
			t.RecoveryDays = *spec.RecoveryPeriodInDays
		}
		s.save(tx, t)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &dynamodb.UpdateContinuousBackupsOutput{ContinuousBackupsDescription: s.backups(t)}, nil
}

func noBackups(table string) error {
	return wire.Errorf("TableNotFoundException", "Table not found: %s", table)
}

func (s *Service) describeContinuousBackups(_ context.Context, in *describeTableInput) (any, error) {
	name, err := s.tableName(*in.TableName)
	if err != nil {
		return nil, err
	}
	t := (*s.catalog.Load())[name]
	if t == nil {
		return nil, noBackups(name)
	}
	return &dynamodb.DescribeContinuousBackupsOutput{ContinuousBackupsDescription: s.backups(t)}, nil
}

func (s *Service) backups(t *table) *types.ContinuousBackupsDescription {
	recovery := &types.PointInTimeRecoveryDescription{PointInTimeRecoveryStatus: types.PointInTimeRecoveryStatusDisabled}
	if t.Recovery {
		now, days := s.o.Clock.Now().UTC(), cmp.Or(t.RecoveryDays, defaultRecoveryDays)
		recovery.PointInTimeRecoveryStatus = types.PointInTimeRecoveryStatusEnabled
		recovery.EarliestRestorableDateTime, recovery.LatestRestorableDateTime = &t.RecoverySince, &now
		recovery.RecoveryPeriodInDays = &days
	}
	return &types.ContinuousBackupsDescription{
		ContinuousBackupsStatus: types.ContinuousBackupsStatusEnabled, PointInTimeRecoveryDescription: recovery,
	}
}
