package kinesis

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/localstream/internal/storage"
)

// An account is what is stored of the account: its commitment to a minimum of throughput, which on-demand streams
// need for warm throughput. Moments are in milliseconds, 0 for never.
type account struct {
	Started, Ended int64
}

// minCommitment is how long a commitment lasts at least.
const minCommitment = 24 * time.Hour

// committed tells whether the commitment holds at a moment.
func (a account) committed(now time.Time) bool {
	return a.Started != 0 && (a.Ended == 0 || now.UnixMilli() < a.Ended)
}

func (a account) describe(now time.Time) *types.MinimumThroughputBillingCommitmentOutput {
	out := &types.MinimumThroughputBillingCommitmentOutput{Status: types.MinimumThroughputBillingCommitmentOutputStatusDisabled}
	at := func(ms int64) *time.Time {
		t := time.UnixMilli(ms)
		return &t
	}
	if a.Started != 0 {
		out.StartedAt = at(a.Started)
	}
	if a.Ended != 0 {
		out.EndedAt = at(a.Ended)
	}
	if a.committed(now) {
		out.Status = types.MinimumThroughputBillingCommitmentOutputStatusEnabled
		if a.Ended != 0 {
			out.Status = types.MinimumThroughputBillingCommitmentOutputStatusEnabledUntilEarliestAllowedEnd
		}
		out.EarliestAllowedEndAt = at(a.Started + minCommitment.Milliseconds())
	}
	return out
}

func (s *Service) loadAccount() error {
	a := new(account)
	value, ok, err := s.store.Get([]byte(keyAccount))
	if err == nil && ok {
		err = json.Unmarshal(value, a)
	}
	s.account.Store(a)
	s.latestAccount = *a
	return err
}

type describeAccountSettingsInput struct{}

func (s *Service) describeAccountSettings(context.Context, *describeAccountSettingsInput) (any, error) {
	return &kinesis.DescribeAccountSettingsOutput{MinimumThroughputBillingCommitment: s.account.Load().describe(s.now())}, nil
}

type updateAccountSettingsInput struct {
	MinimumThroughputBillingCommitment *commitment `required:"true"`
}

type commitment struct {
	Status *string `required:"true" enum:"ENABLED, DISABLED"`
}

// updateAccountSettings begins or ends the commitment. One that ends too early goes on until it may end.
func (s *Service) updateAccountSettings(ctx context.Context, in *updateAccountSettingsInput) (any, error) {
	var out kinesis.UpdateAccountSettingsOutput
	err := s.store.Update(ctx, func(tx *storage.Tx) error {
		a, now := s.latestAccount, s.now()
		switch enable := *in.MinimumThroughputBillingCommitment.Status == "ENABLED"; {
		case enable && a.committed(now):
			a.Ended = 0
		case enable:
			a = account{Started: now.UnixMilli()}
		case a.committed(now) && a.Ended == 0:
			a.Ended = max(now.UnixMilli(), a.Started+minCommitment.Milliseconds())
		}
		text, err := json.Marshal(a)
		if err != nil {
			return fmt.Errorf("encoding the account: %w", err)
		}
		tx.Set([]byte(keyAccount), text)
		s.latestAccount = a
		tx.OnCommit(func() { s.account.Store(&a) })
		out.MinimumThroughputBillingCommitment = a.describe(now)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

type describeLimitsInput struct{}

func (s *Service) describeLimits(context.Context, *describeLimitsInput) (any, error) {
	shards, streams := s.usage(s.streams(), s.now())
	number := func(n int) *int32 {
		n32 := int32(n)
		return &n32
	}
	return &kinesis.DescribeLimitsOutput{
		ShardLimit: number(s.shardQuota()), OpenShardCount: number(shards),
		OnDemandStreamCount: number(streams), OnDemandStreamCountLimit: number(maxOnDemandStreams),
		ChannelCount: number(0), ChannelCountLimit: number(0),
	}, nil
}
