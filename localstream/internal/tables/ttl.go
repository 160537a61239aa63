package tables

import (
	"context"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/localstream/internal/storage"
	"github.com/shoal-stream/shoal/localstream/internal/tables/attr"
)

// An expired item is deleted within sweepEvery, where AWS promises a few days; until then it is an item like any other,
// as it is there. One that expired more than tooOld ago is taken for a mistake and kept.
const (
	sweepEvery = time.Minute
	sweepStep  = 256 // items deleted in one update of the store
	tooOld     = 5 * 365 * 24 * time.Hour
)

type updateTimeToLiveInput struct {
	TableName               *string `required:"true"`
	TimeToLiveSpecification *struct {
		Enabled       *bool   `required:"true"`
		AttributeName *string `required:"true" len:"1..255"`
	} `required:"true"`
}

func (s *Service) updateTimeToLive(ctx context.Context, in *updateTimeToLiveInput) (any, error) {
	name, err := s.tableName(*in.TableName)
	if err != nil {
		return nil, err
	}
	enable, attribute := *in.TimeToLiveSpecification.Enabled, *in.TimeToLiveSpecification.AttributeName
	err = s.store.Update(ctx, func(tx *storage.Tx) error {
		old := s.newest[name]
		switch {
		case !old.readable():
			return notFound("Requested resource not found: Table: %s not found", name)
		case enable && old.Expires != "" && old.Expires == attribute:
			return invalid("TimeToLive is already enabled")
		case !enable && old.Expires == "":
			return invalid("TimeToLive is already disabled")
		case old.Expires != "" && old.Expires != attribute:
			return invalid("TimeToLive is active on a different AttributeName: current AttributeName is %s", old.Expires)
		}
		t := old.clone()
		t.ExpiresChanged = s.o.Clock.Now().UTC()
		if t.Expires = ""; enable {
			t.Expires = attribute
		}
		s.save(tx, t)
		tx.OnCommit(func() { t.expiry.earliest.Store(0) })
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &dynamodb.UpdateTimeToLiveOutput{TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: &attribute, Enabled: &enable}}, nil
}

func (s *Service) describeTimeToLive(_ context.Context, in *describeTableInput) (any, error) {
	t, err := s.known(in.TableName)
	if err != nil {
		return nil, err
	}
	changing := s.o.Clock.Since(t.ExpiresChanged) < s.o.Delay
	d := &types.TimeToLiveDescription{}
	switch {
	case t.Expires != "" && changing:
		d.TimeToLiveStatus, d.AttributeName = types.TimeToLiveStatusEnabling, &t.Expires
	case t.Expires != "":
		d.TimeToLiveStatus, d.AttributeName = types.TimeToLiveStatusEnabled, &t.Expires
	case changing:
		d.TimeToLiveStatus = types.TimeToLiveStatusDisabling
	default:
		d.TimeToLiveStatus = types.TimeToLiveStatusDisabled
	}
	return &dynamodb.DescribeTimeToLiveOutput{TimeToLiveDescription: d}, nil
}

// expiry is what is known of when items of a table expire; all versions of the table share it.
type expiry struct {
	// earliest is the second before which no item expires: a table without expired items is not searched.
	earliest atomic.Int64
}

// note takes up an item that readers see by now.
func (e *expiry) note(seconds int64) {
	for {
		was := e.earliest.Load()
		if seconds >= was || e.earliest.CompareAndSwap(was, seconds) {
			return
		}
	}
}

// expiresAt is the second in which an item expires; ok is false if it never does.
func (t *table) expiresAt(it attr.Item) (seconds int64, ok bool) {
	v := it[t.Expires]
	if t.Expires == "" || v.Kind != attr.N {
		return 0, false
	}
	whole, _, _ := strings.Cut(v.Str, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	return seconds, err == nil
}

// due reports whether an item that expires in that second is to be deleted now.
func (s *Service) due(seconds int64) bool {
	now := s.o.Clock.Now()
	return seconds < now.Unix() && seconds > now.Add(-tooOld).Unix()
}

// sweep deletes expired items and forgets old tokens until the service closes.
func (s *Service) sweep() {
	for s.o.Clock.Sleep(s.ctx, sweepEvery) == nil {
		err := s.forgetTokens()
		for _, t := range *s.catalog.Load() {
			if err == nil && t.Expires != "" && t.readable() && t.expiry.earliest.Load() < s.o.Clock.Now().Unix() {
				err = s.expire(t)
			}
		}
		if err != nil && s.ctx.Err() == nil {
			s.o.Logger.Error("expired items stay for now", zap.Error(err))
		}
	}
}

// expire searches the whole table. What is written meanwhile is noted in earliest, and so found next time.
func (s *Service) expire(t *table) error {
	t.expiry.earliest.Store(math.MaxInt64)
	err := s.expireFound(t)
	if err != nil {
		t.expiry.note(0)
	}
	return err
}

func (s *Service) expireFound(t *table) error {
	prefix := itemsPrefix(nil, t.Number, baseIndex)
	it, err := s.store.Iter(prefix, after(prefix))
	if err != nil {
		return err
	}
	defer it.Close()
	var found []attr.Item
	for ok := it.First(); ok && s.ctx.Err() == nil; ok = it.Next() {
		item, err := attr.Decode(it.Value())
		if err != nil {
			return err
		}
		seconds, ok := t.expiresAt(item)
		switch {
		case !ok:
		case s.due(seconds):
			found = append(found, item)
		case seconds >= s.o.Clock.Now().Unix():
			t.expiry.note(seconds)
		}
		if len(found) == sweepStep {
			if err := s.deleteExpired(t, found); err != nil {
				return err
			}
			found = found[:0]
		}
	}
	if err := it.Error(); err != nil || len(found) == 0 {
		return err
	}
	return s.deleteExpired(t, found)
}

// deleteExpired deletes those items that are still there and still expired.
func (s *Service) deleteExpired(t *table, found []attr.Item) error {
	return s.store.Update(s.ctx, func(tx *storage.Tx) error {
		if now := s.newest[t.Name]; !now.readable() || now.Number != t.Number || now.Expires != t.Expires {
			return nil
		}
		var all []*writing
		var decided []change
		for _, it := range found {
			w := &writing{table: t, key: it, units: &consumed{}, next: func(old attr.Item) (attr.Item, error) {
				if seconds, ok := t.expiresAt(old); ok && s.due(seconds) {
					return nil, nil
				}
				return old, nil
			}}
			c, err := s.decide(tx, w)
			if err != nil {
				return err
			}
			all, decided = append(all, w), append(decided, c)
		}
		return apply(tx, all, decided)
	})
}
