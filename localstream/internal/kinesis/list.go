package kinesis

import (
	"context"
	"encoding/json"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// maxListed is the most shards in an answer of ListShards.
const maxListed = 1000

type shardFilter struct {
	Type      *string `required:"true" enum:"AFTER_SHARD_ID, AT_TRIM_HORIZON, FROM_TRIM_HORIZON, AT_LATEST, AT_TIMESTAMP, FROM_TIMESTAMP"`
	ShardId   *string `len:"1..128" pattern:"[a-zA-Z0-9_.-]+"`
	Timestamp *time.Time
}

type listShardsInput struct {
	streamRef
	NextToken               *string `len:"1..1048576"`
	ExclusiveStartShardId   *string `len:"1..128" pattern:"[a-zA-Z0-9_.-]+"`
	MaxResults              *int32  `range:"1..10000"`
	StreamCreationTimestamp *time.Time
	ShardFilter             *shardFilter
}

// A listToken is what a NextToken of ListShards or ListStreams says: where to go on, and with which filter.
type listToken struct {
	Stream uint64 `json:",omitempty"`
	Name   string
	After  int64        `json:",omitempty"`
	Filter *shardFilter `json:",omitempty"`
}

func (s *Service) sealToken(t listToken) string {
	b, err := json.Marshal(t)
	if err != nil {
		panic("kinesis: encoding a token: " + err.Error()) // plain fields only
	}
	return s.seal.wrap(kindToken, b)
}

func (s *Service) openToken(text string) (listToken, error) {
	var t listToken
	b, created, ok := s.seal.unwrap(kindToken, text)
	if !ok || json.Unmarshal(b, &t) != nil {
		return t, badToken()
	}
	if s.seal.expired(created) {
		return t, wire.Errorf("ExpiredNextTokenException", "The pagination token has expired: tokens are valid for %d seconds.", int(lifetime.Seconds()))
	}
	return t, nil
}

func (s *Service) listShards(_ context.Context, in *listShardsInput) (any, error) {
	st, t, err := s.listStart(in)
	if err != nil {
		return nil, err
	}
	now := s.now()
	want, after, err := s.filter(st, t.Filter, now)
	if err != nil {
		return nil, err
	}
	limit := maxListed
	if in.MaxResults != nil {
		limit = min(limit, int(*in.MaxResults))
	}
	shards, more := s.listed(st, now, max(t.After, after), limit, want)
	out := &kinesis.ListShardsOutput{Shards: shards}
	if more {
		last, _ := shardIndex(*shards[len(shards)-1].ShardId)
		token := s.sealToken(listToken{Stream: st.ID, Name: st.Name, After: int64(last), Filter: t.Filter})
		out.NextToken = &token
	}
	return out, nil
}

// listStart says which stream to list, from where and with which filter: by the request, or by its token.
func (s *Service) listStart(in *listShardsInput) (*stream, listToken, error) {
	t := listToken{After: -1, Filter: in.ShardFilter}
	if in.NextToken != nil {
		if in.StreamName != nil || in.StreamARN != nil || in.ExclusiveStartShardId != nil || in.StreamCreationTimestamp != nil {
			return nil, t, wire.Errorf(invalidArgument, "NextToken and StreamName cannot be provided together.")
		}
		t, err := s.openToken(*in.NextToken)
		if err != nil {
			return nil, t, err
		}
		st, err := s.live(s.streams(), t.Name, s.now())
		if err == nil && st.ID != t.Stream {
			err = badToken()
		}
		return st, t, err
	}
	if in.StreamName == nil && in.StreamARN == nil {
		return nil, t, wire.Errorf(invalidArgument, "Either NextToken or StreamName should be provided.")
	}
	st, err := s.find(&in.streamRef)
	if err != nil {
		return nil, t, err
	}
	if c := in.StreamCreationTimestamp; c != nil && c.Unix() != st.Created/1000 {
		return nil, t, s.streamNotFound(st.Name)
	}
	if in.ExclusiveStartShardId != nil {
		index, ok := shardIndex(*in.ExclusiveStartShardId)
		if !ok {
			return nil, t, s.couldNotFindShard(st.Name, *in.ExclusiveStartShardId)
		}
		t.After = int64(index)
	}
	return st, t, nil
}

// filter turns a ShardFilter into a condition, and an index behind which the list starts.
func (s *Service) filter(st *stream, f *shardFilter, now time.Time) (want func(*shard) bool, after int64, err error) {
	all := func(*shard) bool { return true }
	if f == nil {
		return all, -1, nil
	}
	// since: ended at or after the moment; at: open at the moment.
	since := func(ms int64) func(*shard) bool {
		return func(sh *shard) bool { return sh.Closed == 0 || sh.Closed >= ms }
	}
	at := func(ms int64) func(*shard) bool {
		return func(sh *shard) bool { return sh.Opened <= ms && (sh.Closed == 0 || sh.Closed >= ms) }
	}
	switch *f.Type {
	case "AT_LATEST":
		return func(sh *shard) bool { return sh.Closed == 0 }, -1, nil
	case "AT_TRIM_HORIZON":
		return at(max(st.horizon(now), st.Created)), -1, nil
	case "AFTER_SHARD_ID":
		if f.ShardId == nil {
			return nil, 0, wire.Errorf(invalidArgument, "ShardId must be provided when ShardFilter Type is AFTER_SHARD_ID.")
		}
		index, ok := shardIndex(*f.ShardId)
		if !ok {
			return nil, 0, s.couldNotFindShard(st.Name, *f.ShardId)
		}
		return all, int64(index), nil
	case "AT_TIMESTAMP", "FROM_TIMESTAMP":
		if f.Timestamp == nil {
			return nil, 0, wire.Errorf(invalidArgument, "Timestamp must be provided when ShardFilter Type is %s.", *f.Type)
		}
		// Moments before the horizon are the horizon: the shards of then are listed no more.
		ms := max(f.Timestamp.UnixMilli(), st.horizon(now), st.Created)
		if *f.Type == "AT_TIMESTAMP" {
			return at(ms), -1, nil
		}
		return since(ms), -1, nil
	default: // FROM_TRIM_HORIZON
		return all, -1, nil
	}
}
