package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// An actor does operations 1, 2, 3 … one after another, each known by its number. What is found later must be all of the
// first m of them and nothing of the others, for some m from the last acknowledged to the last begun.
type actor struct {
	name  string
	do    func(ctx context.Context, a api, n int64) error
	found func(s *state, acked, begun int64) (m int64, err error) // an error if an operation is there in part, or wrong
	early bool                                                    // a planted fault

	begun, acked atomic.Int64
}

// step does the next operation. After an error it is not known whether it was done: settle says.
func (r *actor) step(ctx context.Context, a api) error {
	n := r.acked.Load() + 1
	r.begun.Store(n)
	if r.early {
		r.acked.Store(n)
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := r.do(ctx, a, n); err != nil {
		return hung(ctx, err)
	}
	r.acked.Store(n)
	return nil
}

// A cast is all actors of a run.
type cast []*actor

// newCast is one that begins with nothing. With the fault early it takes what it sends for acknowledged.
func newCast(fault string) cast {
	c := cast{putter(0), putter(1), counter(), transactor(), registrar(), resharder()}
	for _, r := range c {
		r.early = fault == faultEarly
	}
	return c
}

// alone is the order in which the cast acts one at a time, together in which rows of it act side by side: each of it is in one row.
var (
	alone    = []int{0, 2, 3, 1, 4, 2, 3, 5, 0, 2}
	together = [][]int{{0}, {1, 1, 1, 1, 4}, {2}, {3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 5}}
)

// play has the cast act side by side until ctx ends or something fails.
func (c cast) play(ctx context.Context, a api, failed chan<- error) *sync.WaitGroup {
	players := new(sync.WaitGroup)
	for _, row := range together {
		players.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				at := row[i%len(row)]
				err := c[at].step(ctx, a)
				if err == nil {
					continue
				}
				if ctx.Err() == nil {
					failed <- fmt.Errorf("%s: %w", c[at].name, err)
				}
				return
			}
		})
	}
	return players
}

// acts is how many operations were acknowledged.
func (c cast) acts() (n int) {
	for _, r := range c {
		n += int(r.acked.Load())
	}
	return n
}

// settle takes what was found for what was done.
func (c cast) settle(found []int64) {
	for i, r := range c {
		r.acked.Store(found[i])
		r.begun.Store(found[i])
	}
}

// A ledger is what must be there and what may.
type ledger struct{ acked, begun []int64 }

// acknowledged is the ledger of this moment; what may be there is added by the moment at which nothing comes to the disk
// any more.
func (c cast) acknowledged() *ledger {
	l := &ledger{}
	for _, r := range c {
		l.acked = append(l.acked, r.acked.Load())
	}
	return l
}

func (l *ledger) upTo(c cast) *ledger {
	for _, r := range c {
		l.begun = append(l.begun, r.begun.Load())
	}
	return l
}

// audit reads everything back and compares it with the ledger.
func (c cast) audit(ctx context.Context, a api, l *ledger) (found []int64, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	s, err := read(ctx, a)
	var stream *types.ResourceNotFoundException
	var table *ddb.ResourceNotFoundException
	switch {
	case errors.As(err, &stream) || errors.As(err, &table): // they were there before
		return nil, finding{true, err}
	case err != nil:
		return nil, hung(ctx, err)
	}
	for i, r := range c {
		m, err := r.found(s, l.acked[i], l.begun[i])
		switch {
		case err != nil:
			return nil, wrong(fmt.Errorf("%s: %w", r.name, err))
		case m < l.acked[i] || m > l.begun[i]:
			return nil, finding{m < l.acked[i], fmt.Errorf("%s: %d operations acknowledged, %d begun, %d found", r.name, l.acked[i], l.begun[i], m)}
		}
		found = append(found, m)
	}
	return found, nil
}

// A finding is an audit's that found something acknowledged missing, or something wrong; one that was refused has none.
type finding struct {
	lost bool
	error
}

func wrong(err error) error { return finding{false, err} }

// mix is a number made of numbers.
func mix(numbers ...int64) uint64 {
	var b []byte
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:])
}

// request is the n-th request of a putter: its records' partition keys and data.
func request(w int, n int64) (keys, data []string) {
	for i := range 1 + mix(int64(w), n)%5 {
		h := mix(int64(w), n, int64(i))
		size := h % 300
		if h%97 == 0 {
			size = 70_000 // more than is written together with others
		}
		text := fmt.Sprintf("%d/%d/%d/", w, n, i)
		for uint64(len(text)) < size {
			text += strconv.FormatUint(h, 36) + "/"
			if len(text) > 600 {
				text += text
			}
		}
		keys, data = append(keys, strconv.FormatUint(h, 16)), append(data, text)
	}
	return keys, data
}

func putter(w int) *actor {
	name := fmt.Sprint("putter ", w)
	return &actor{name: name, do: func(ctx context.Context, a api, n int64) error {
		in := &kinesis.PutRecordsInput{StreamName: stream}
		keys, data := request(w, n)
		for i := range keys {
			in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: &keys[i], Data: []byte(data[i])})
		}
		out, err := a.streams.PutRecords(ctx, in)
		if err == nil && aws.ToInt32(out.FailedRecordCount) != 0 {
			return fmt.Errorf("%d records of a request failed", *out.FailedRecordCount)
		}
		return err
	}, found: func(s *state, acked, _ int64) (m int64, err error) {
		for n := int64(1); ; n++ {
			_, want := request(w, n)
			got := s.puts[putID{w, n}]
			if len(got) == 0 {
				if s.requests[w] != n-1 && n > acked {
					return 0, fmt.Errorf("request %d is not there, beside %d that are", n, s.requests[w])
				}
				return n - 1, nil
			}
			for i := range want {
				if got[i] != want[i] {
					return 0, fmt.Errorf("record %d of request %d: %d bytes, want %d", i, n, len(got[i]), len(want[i]))
				}
			}
			if len(got) != len(want) {
				return 0, fmt.Errorf("request %d has %d records, want %d", n, len(got), len(want))
			}
		}
	}}
}

func text(s string) ddb.AttributeValue { return &ddb.AttributeValueMemberS{Value: s} }
func number(n int64) ddb.AttributeValue {
	return &ddb.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func key(id string) map[string]ddb.AttributeValue {
	return map[string]ddb.AttributeValue{"id": text(id)}
}

// numberOf is an item's attribute; 0 if there is none.
func numberOf(item map[string]ddb.AttributeValue, name string) int64 {
	v, _ := item[name].(*ddb.AttributeValueMemberN)
	if v == nil {
		return 0
	}
	n, _ := strconv.ParseInt(v.Value, 10, 64)
	return n
}

// counter counts an item up by updates on condition that it holds what was acknowledged last; each writes it twice.
func counter() *actor {
	const id = "counter"
	return &actor{name: id, do: func(ctx context.Context, a api, n int64) error {
		_, err := a.tables.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: table, Key: key(id), UpdateExpression: aws.String("ADD n :one SET twin = :n"),
			ConditionExpression:       aws.String("attribute_not_exists(n) OR n = :last"),
			ExpressionAttributeValues: map[string]ddb.AttributeValue{":one": number(1), ":n": number(n), ":last": number(n - 1)},
		})
		return err
	}, found: func(s *state, _, _ int64) (int64, error) {
		n, twin := numberOf(s.items[id], "n"), numberOf(s.items[id], "twin")
		if n != twin {
			return 0, fmt.Errorf("half an update: %d and %d", n, twin)
		}
		return n, nil
	}}
}

// transactor writes three items at once: one by an update on a condition, one anew, and one by turns put and deleted.
func transactor() *actor {
	return &actor{name: "transactor", do: func(ctx context.Context, a api, n int64) error {
		third := ddb.TransactWriteItem{Put: &ddb.Put{TableName: table, Item: map[string]ddb.AttributeValue{"id": text("odd"), "n": number(n)}}}
		if n%2 == 0 {
			third = ddb.TransactWriteItem{Delete: &ddb.Delete{TableName: table, Key: key("odd")}}
		}
		_, err := a.tables.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []ddb.TransactWriteItem{
			{Update: &ddb.Update{TableName: table, Key: key("sum"), UpdateExpression: aws.String("SET n = :n"),
				ConditionExpression:       aws.String("attribute_not_exists(n) OR n = :last"),
				ExpressionAttributeValues: map[string]ddb.AttributeValue{":n": number(n), ":last": number(n - 1)}}},
			{Put: &ddb.Put{TableName: table, Item: map[string]ddb.AttributeValue{"id": text(fmt.Sprint("entry ", n)), "n": number(n)}}},
			third,
		}})
		return err
	}, found: func(s *state, _, _ int64) (int64, error) {
		n := numberOf(s.items["sum"], "n")
		for i := range s.entries {
			if i < 1 || i > n {
				return 0, fmt.Errorf("half a transaction: entry %d beside a sum of %d", i, n)
			}
		}
		if int64(len(s.entries)) != n {
			return 0, fmt.Errorf("half a transaction: %d entries beside a sum of %d", len(s.entries), n)
		}
		if odd := numberOf(s.items["odd"], "n"); odd != n*(n%2) {
			return 0, fmt.Errorf("half a transaction: %d is the odd item beside a sum of %d", odd, n)
		}
		return n, nil
	}}
}

// registrar registers a consumer and takes it away by turns.
func registrar() *actor {
	name := func(n int64) *string { return aws.String(fmt.Sprint("consumer-", n)) }
	return &actor{name: "registrar", do: func(ctx context.Context, a api, n int64) error {
		if n%2 == 1 {
			_, err := a.streams.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: aws.String(streamARN), ConsumerName: name(n)})
			return err
		}
		_, err := a.streams.DeregisterStreamConsumer(ctx, &kinesis.DeregisterStreamConsumerInput{StreamARN: aws.String(streamARN), ConsumerName: name(n - 1)})
		return err
	}, found: func(s *state, acked, begun int64) (int64, error) {
		switch len(s.consumers) {
		case 0: // after any even number
			if acked%2 == 1 {
				return acked + 1, nil
			}
			return acked, nil
		case 1:
			var n int64
			_, err := fmt.Sscanf(s.consumers[0], "consumer-%d", &n)
			return n, err
		}
		return 0, fmt.Errorf("consumers %v, want one at most", s.consumers)
	}}
}
