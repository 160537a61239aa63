package dynamo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/shoal-stream/shoal/lease"
)

// The attributes of a worker's item (WorkerMetricStats.java).
const (
	attrUpdated     = "lut" // N, seconds since 1970
	attrMetrics     = "sts" // M of L of N, by metric
	attrLimits      = "opr" // M of L of N, whole numbers, of which the first is the limit
	attrSupport     = "sup" // N
	attrSupportTime = "slu" // N, seconds since 1970

	// attrProperties is a map of strings (M of S) that Java KCL 3.5.1 declares for extensions, does not use and, where it has
	// none, leaves alone. Under propShoal it has the time of attrUpdated, so that an item that Java has written since under
	// the same worker ID is not taken for Shoal's.
	attrProperties = "properties"
	propShoal      = "shoal"

	entityMember = "WORKER_METRIC_STATS"
)

// PutMember writes the item of a worker; what others have put into it stays.
func (s *Store) PutMember(ctx context.Context, m lease.Member) error {
	if err := m.Validate(); err != nil {
		return err
	}
	metrics, limits := make(item, len(m.Metrics)), make(item, len(m.Metrics))
	for name, averages := range m.Metrics {
		values := make([]types.AttributeValue, len(averages))
		for i, v := range averages {
			values[i] = decimal(v)
		}
		metrics[name] = &types.AttributeValueMemberL{Value: values}
		limits[name] = &types.AttributeValueMemberL{Value: []types.AttributeValue{number(int64(math.Round(m.Limits[name])))}}
	}
	u := newUpdate()
	u.set(attrEntityType, text(entityMember))
	u.set(attrUpdated, number(m.Updated.Unix()))
	u.set(attrMetrics, &types.AttributeValueMemberM{Value: metrics})
	u.set(attrLimits, &types.AttributeValueMemberM{Value: limits})
	if m.Support > 0 {
		u.set(attrSupport, number(int64(m.Support)))
		u.set(attrSupportTime, number(m.SupportTime.Unix()))
	} else {
		u.remove(attrSupport, attrSupportTime)
	}
	if m.Shoal {
		u.set(attrProperties, &types.AttributeValueMemberM{Value: item{propShoal: text(strconv.FormatInt(m.Updated.Unix(), 10))}})
	}
	p := s.memberPlace()
	_, err := s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &p.table, Key: p.keyOf(m.Worker), UpdateExpression: u.expression(),
		ExpressionAttributeNames: u.names(), ExpressionAttributeValues: u.aliases(),
	})
	if err != nil {
		return s.failed(p, "write member "+m.Worker, err)
	}
	return s.leaveOldTable(ctx, m.Worker)
}

// leaveOldTable deletes the item of a worker in the old table once it writes to the lease table. It would come to light
// again when that in the lease table is deleted, and be taken for a sign of life.
func (s *Store) leaveOldTable(ctx context.Context, worker string) error {
	if apart, writing := s.layout.members(); !apart || writing {
		return nil
	}
	p := s.metrics()
	err := s.deleteItem(ctx, p, "delete member", worker, func(u *update) { u.when(u.exists(p.keyAttr)) })
	if errors.Is(err, lease.ErrNotFound) {
		return nil
	}
	return err
}

// DeleteMember removes the item of a worker.
func (s *Store) DeleteMember(ctx context.Context, seen lease.Member) error {
	places := []place{s.memberPlace()}
	if apart, writing := s.layout.members(); apart && writing {
		places = append(places, s.leases())
	} else if apart {
		places = append(places, s.metrics())
	}
	return s.deleteFrom(ctx, places, "delete member", seen.Worker, func(u *update) {
		u.when(u.is(attrUpdated, number(seen.Updated.Unix())))
	})
}

// decodeMember reads the item of a worker.
func decodeMember(it item, keyAttr string) (lease.Member, error) {
	d := decoder{item: it}
	m := lease.Member{
		Worker:  d.text(keyAttr, true),
		Updated: time.Unix(d.integer(attrUpdated, true), 0),
		Support: int(d.integer(attrSupport, false)),
	}
	if m.Support > 0 {
		m.SupportTime = time.Unix(d.integer(attrSupportTime, false), 0)
	}
	if properties, ok := it[attrProperties].(*types.AttributeValueMemberM); ok {
		by, ok := properties.Value[propShoal].(*types.AttributeValueMemberS)
		m.Shoal = ok && by.Value == strconv.FormatInt(m.Updated.Unix(), 10)
	}
	m.Metrics = d.lists(attrMetrics)
	for name, limits := range d.lists(attrLimits) {
		if len(limits) == 0 {
			continue
		}
		if m.Limits == nil {
			m.Limits = make(map[string]float64)
		}
		m.Limits[name] = limits[0]
	}
	if d.err != nil {
		return lease.Member{}, fmt.Errorf("%w: member %q: %w", lease.ErrDamaged, m.Worker, d.err)
	}
	return m, nil
}

// lists reads a map of lists of numbers.
func (d *decoder) lists(attr string) map[string][]float64 {
	v, ok := d.item[attr]
	if !ok {
		return nil
	}
	byName, ok := v.(*types.AttributeValueMemberM)
	if !ok {
		d.bad(attr, "a map (M)")
		return nil
	}
	if len(byName.Value) == 0 {
		return nil
	}
	lists := make(map[string][]float64, len(byName.Value))
	for name, v := range byName.Value {
		list, ok := v.(*types.AttributeValueMemberL)
		if !ok {
			d.bad(attr, "lists (L)")
			return nil
		}
		values := make([]float64, 0, len(list.Value))
		for _, e := range list.Value {
			n := decoder{item: item{attr: e}}
			if f := n.float(attr); f != nil && n.err == nil {
				values = append(values, *f)
			} else {
				d.bad(attr, "lists of numbers (N)")
			}
		}
		lists[name] = values
	}
	return lists
}
