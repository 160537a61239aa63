package kinesis

import (
	"cmp"
	"slices"
	"time"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// Quotas of the account and of its streams.
const (
	maxShards          = 20_000 // open shards of an account, as in the large regions
	maxStreamShards    = 10_000 // that UpdateShardCount goes to
	maxOnDemandStreams = 50
	maxCreating        = 5 // streams at a time
	maxScalings        = 10
	maxModeChanges     = 2
	maxEncryptions     = 25 // starts, and stops, each
)

func (s *Service) shardQuota() int { return cmp.Or(s.o.Limits.Shards, maxShards) }

// usage counts the account's open shards, and its on-demand streams.
func (s *Service) usage(all catalogue, now time.Time) (shards, onDemandStreams int) {
	for _, st := range all {
		if st.state(now) == "" {
			continue
		}
		shards += len(st.open())
		if st.Pending != nil {
			shards += max(0, st.Pending.More)
		}
		if st.Mode == onDemand {
			onDemandStreams++
		}
	}
	return shards, onDemandStreams
}

// roomFor refuses what would take the account over its number of open shards. It runs on the store's writer.
func (s *Service) roomFor(now time.Time, more int) error {
	current, _ := s.usage(s.latest, now)
	if more <= 0 || current+more <= s.shardQuota() {
		return nil
	}
	return wire.Errorf(limitExceeded, "This request would exceed the shard limit for the account %s in %s. Current shard count for the account: %d. Limit: %d. Number of additional shards that would have resulted from this request: %d. Refer to the AWS Service Limits page (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to request higher limits.",
		s.o.Account, s.o.Region, current, s.shardQuota(), more)
}

// roomForOnDemand refuses one more on-demand stream than an account may have. It runs on the store's writer.
func (s *Service) roomForOnDemand(now time.Time) error {
	if _, n := s.usage(s.latest, now); n >= maxOnDemandStreams {
		return wire.Errorf(limitExceeded, "Limit of %d on-demand streams exceeded for account %s.", maxOnDemandStreams, s.o.Account)
	}
	return nil
}

// roomToCreate refuses more streams that are being created at once than an account may have. It runs on the store's
// writer.
func (s *Service) roomToCreate(now time.Time) error {
	pending := 0
	for _, st := range s.latest {
		if st.state(now) == creating {
			pending++
		}
	}
	if pending >= maxCreating {
		return wire.Errorf(limitExceeded, "Limit of %d concurrent CreateStream requests exceeded for account %s.", maxCreating, s.o.Account)
	}
	return nil
}

// today returns the moments of the last 24 hours together with now, or the error that says that there are enough of
// them already.
func (s *Service) today(st *stream, operation string, moments []int64, most int, now time.Time) ([]int64, error) {
	day := now.Add(-24 * time.Hour).UnixMilli()
	recent := slices.DeleteFunc(slices.Clone(moments), func(ms int64) bool { return ms <= day })
	if s.o.Limits.Daily && len(recent) >= most {
		return nil, wire.Errorf(limitExceeded, "%s was called successfully %d times in the last 24 hours for stream %s under account %s, which is the limit.", operation, len(recent), st.Name, s.o.Account)
	}
	if len(recent) >= most { // not enforced: keep no more than could count
		recent = recent[len(recent)-most+1:]
	}
	return append(recent, now.UnixMilli()), nil
}
