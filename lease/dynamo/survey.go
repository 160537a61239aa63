package dynamo

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"

	"github.com/shoal-stream/shoal/lease"
)

// List is Survey without the members.
func (s *Store) List(ctx context.Context) ([]lease.Lease, error) {
	v := s.newView()
	if err := s.scan(ctx, s.leases(), s.segments.Load(), &v); err != nil {
		return nil, s.failed(s.leases(), "list leases", err)
	}
	s.rows.Store(int32(len(v.rows)))
	return v.rows, errors.Join(v.damaged...)
}

// Survey reads the whole table, a large one in several segments at once, eventually consistently, and the table of
// workers where there is one.
func (s *Store) Survey(ctx context.Context) ([]lease.Lease, []lease.Member, error) {
	v := s.newView()
	v.members = true
	if err := s.scan(ctx, s.leases(), s.segments.Load(), &v); err != nil {
		return nil, nil, s.failed(s.leases(), "survey", err)
	}
	s.rows.Store(int32(len(v.rows)))
	if apart, _ := s.layout.members(); apart {
		old := view{members: true, old: true}
		if err := s.scan(ctx, s.metrics(), 1, &old); err != nil {
			return nil, nil, s.failed(s.metrics(), "survey workers", err)
		}
		v.merge(old)
	}
	return v.rows, v.workers, errors.Join(v.damaged...)
}

// A view is what a scan saw.
type view struct {
	leases, members bool // what is wanted
	old             bool // the table holds workers alone, by the key of KCL 3.0 to 3.4

	rows    []lease.Lease
	workers []lease.Member
	damaged []error
}

// newView is for the lease table, with room for as many rows as there were the last time.
func (s *Store) newView() view {
	rows := int(s.rows.Load())
	return view{leases: true, rows: make([]lease.Lease, 0, rows+rows/16)}
}

// read makes a scan's answers go into v directly.
func (v *view) read(o *dynamodb.Options) {
	if sdk, ok := o.Protocol.(*awsjson.Protocol); ok {
		o.Protocol = pageReader{ClientProtocol: sdk, view: v}
	}
}

// add reads an item; those of other kinds are left out.
func (v *view) add(it item) {
	var err error
	switch kind := kindOf(it); {
	case v.old:
		err = v.addMember(it, attrMetricsKey)
	case kind == entityLease && v.leases:
		var l lease.Lease
		if l, err = decode(it); err == nil {
			v.rows = append(v.rows, l)
		}
	case kind == entityMember && v.members:
		err = v.addMember(it, attrKey)
	}
	if err != nil {
		v.damaged = append(v.damaged, err)
	}
}

func (v *view) addMember(it item, keyAttr string) error {
	m, err := decodeMember(it, keyAttr)
	if err == nil {
		v.workers = append(v.workers, m)
	}
	return err
}

// join adds what another segment saw.
func (v *view) join(other view) {
	v.rows = append(v.rows, other.rows...)
	v.workers = append(v.workers, other.workers...)
	v.damaged = append(v.damaged, other.damaged...)
}

// merge adds the workers of another table. Of a worker that is in both the later item counts.
func (v *view) merge(old view) {
	at := make(map[string]int, len(v.workers))
	for i := range v.workers {
		at[v.workers[i].Worker] = i
	}
	for _, m := range old.workers {
		switch i, ok := at[m.Worker]; {
		case !ok:
			v.workers = append(v.workers, m)
		case m.Updated.After(v.workers[i].Updated):
			v.workers[i] = m
		}
	}
	v.damaged = append(v.damaged, old.damaged...)
}

// scan reads a table into v.
func (s *Store) scan(ctx context.Context, p place, segments int32, v *view) error {
	if segments <= 1 {
		return s.scanSegment(ctx, &dynamodb.ScanInput{TableName: &p.table}, v)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	views := make([]view, segments)
	var wg sync.WaitGroup
	for i := range views {
		views[i] = view{leases: v.leases, members: v.members, old: v.old}
		wg.Go(func() {
			in := &dynamodb.ScanInput{TableName: &p.table, Segment: aws.Int32(int32(i)), TotalSegments: &segments}
			if err := s.scanSegment(ctx, in, &views[i]); err != nil {
				cancel(err) // the first counts
			}
		})
	}
	wg.Wait()
	for _, seen := range views {
		v.join(seen)
	}
	return context.Cause(ctx)
}

// scanSegment reads all pages of a scan into v.
func (s *Store) scanSegment(ctx context.Context, in *dynamodb.ScanInput, v *view) error {
	for {
		out, err := s.client.Scan(ctx, in, v.read)
		if err != nil {
			return err
		}
		for _, it := range out.Items { // where the client has a protocol of its own
			v.add(it)
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; len(in.ExclusiveStartKey) == 0 {
			return nil
		}
	}
}

// Owned asks the owner index for the keys of a worker.
func (s *Store) Owned(ctx context.Context, worker string) ([]string, error) {
	if worker == "" {
		return nil, nil
	}
	var keys []string
	add := func(it item) {
		if key, ok := it[attrKey].(*types.AttributeValueMemberS); ok {
			keys = append(keys, strings.Clone(key.Value))
		}
	}
	for next := item(nil); ; {
		var err error
		if next, err = s.ownedPage(ctx, worker, next, add); err != nil {
			return nil, s.failed(s.leases(), "find the leases of "+worker, err)
		}
		if len(next) == 0 {
			return keys, nil
		}
	}
}

const ownedCondition = "#" + attrOwner + " = :owner"

// ownedPage asks for one page of the owner index, behind from, and returns where the next begins.
func (s *Store) ownedPage(ctx context.Context, worker string, from item, add func(item)) (next item, err error) {
	if n := s.short.query.Ready(); n != nil {
		if body := appendOwned(make([]byte, 0, 512), s.cfg.Table, worker, from, s.cfg.Units != nil); body != nil {
			return s.post(ctx, s.short.query, n, body, add)
		}
	}
	out, err := s.client.Query(s.short.query.Learn(ctx), &dynamodb.QueryInput{
		TableName: &s.cfg.Table, IndexName: aws.String(indexName), KeyConditionExpression: aws.String(ownedCondition),
		ExpressionAttributeNames: map[string]string{"#" + attrOwner: attrOwner}, ExpressionAttributeValues: item{":owner": text(worker)},
		ExclusiveStartKey: from,
	})
	if err != nil {
		return nil, err
	}
	for _, it := range out.Items {
		add(it)
	}
	return out.LastEvaluatedKey, nil
}
