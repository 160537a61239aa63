package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/sourcegraph/conc/pool"

	"github.com/shoal-stream/shoal/localstream"
)

// A history is of a few items that many clients write and read at once, over connections that lose requests and answers,
// with power cuts in between. porcupine needs few operations an item, and few of which nobody knows whether they were done.
const (
	historyOperations = 3000
	historyItems      = 30
	historyClients    = 8
	historyCuts       = 3
)

// judging is how long porcupine may think about a history. It needs a fraction of a second.
const judging = 5 * time.Minute

// A request to an item whose value is a number, 0 if there is no item, and its answer.
type ask struct {
	item int
	kind kind
	old  int64 // of swap: what it must hold
	next int64
}

type kind int

const (
	get  kind = iota // answers the value
	add              // adds 1 and answers the sum
	swap             // puts next if the value is old
	wipe             // deletes the item and answers what it was
)

type reply struct {
	value   int64
	refused bool // of swap
	unknown bool
}

// model is an item: what each request does to its value, and which answers it may give.
var model = porcupine.Model{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		parts := make([][]porcupine.Operation, historyItems)
		for _, op := range all {
			item := op.Input.(ask).item
			parts[item] = append(parts[item], op)
		}
		return parts
	},
	Init: func() any { return int64(0) },
	Step: func(state, in, out any) (bool, any) {
		value, q, r := state.(int64), in.(ask), out.(reply)
		switch q.kind {
		case get:
			return r.unknown || r.value == value, value
		case add:
			return r.unknown || r.value == value+1, value + 1
		case wipe:
			return r.unknown || r.value == value, int64(0)
		}
		if value != q.old {
			return r.unknown || r.refused, value
		}
		return r.unknown || !r.refused, q.next
	},
}

func (p plan) histories(ctx context.Context, v *verdict) error {
	work := pool.New().WithContext(ctx).WithCancelOnError().WithMaxGoroutines(lanes)
	for i := 0; i < p.operations; i += historyOperations {
		h := &history{plan: p, left: min(historyOperations, p.operations-i), rng: rand.New(rand.NewPCG(p.seed, uint64(i)))}
		work.Go(func(ctx context.Context) error { return h.run(ctx, v) })
	}
	return work.Wait()
}

// A history is recorded while servers follow one another: each starts on what a power cut left to the one before.
type history struct {
	plan plan

	mu       sync.Mutex
	rng      *rand.Rand
	left     int // operations still to be begun
	server   int // counts the servers
	clock    int64
	recorded []porcupine.Operation
}

func (h *history) run(ctx context.Context, v *verdict) error {
	fs := vfs.NewCrashableMem()
	srv, a, err := open(fs)
	if err != nil {
		return err
	}
	if err := errors.Join(furnish(ctx, a), srv.Close()); err != nil {
		return err
	}
	var servers []*localstream.Server
	defer func() {
		for _, s := range servers {
			_ = s.Close()
		}
	}()
	each := h.left / (historyCuts + 1)
	for cut := 0; cut <= historyCuts; cut++ {
		d := newDisk(fs)
		srv, _, err := open(d.watched("", nil))
		if err != nil {
			return err
		}
		servers = append(servers, srv)
		config := srv.AWSConfig()
		config.HTTPClient = &lossy{to: config.HTTPClient, rng: rand.New(rand.NewPCG(h.rng.Uint64(), 0))}
		a := newAPI(config)
		last := cut == historyCuts
		stop := h.left - each
		if last {
			stop = 0
		}
		cutAt := make(chan *vfs.MemFS, 1)
		change := func(errorfs.Op) error { h.cut(d, stop, cutAt); return nil }
		if !last {
			d.before.Store(&change)
		}
		h.clients(ctx, a, stop)
		d.before.Store(nil)
		select {
		case fs = <-cutAt:
		default:
			if !last {
				fs = d.CrashClone(vfs.CrashCloneCfg{}) // after all of this server's operations
				h.next()
			}
		}
	}
	v.count(&v.Operations, len(h.recorded))
	switch porcupine.CheckOperationsTimeout(model, h.recorded, judging) {
	case porcupine.Illegal:
		v.found("tables", errors.New("a history that cannot be"))
	case porcupine.Unknown:
		v.found("tables", errors.New("a history that could not be judged in time"))
	}
	return ctx.Err()
}

// cut cuts the power some time before this server's last operation. What is acknowledged later was not by this server.
func (h *history) cut(d *disk, stop int, at chan<- *vfs.MemFS) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.left > stop+historyClients || len(at) > 0 {
		return
	}
	h.server++
	at <- d.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: h.rng.IntN(101), RNG: h.rng})
}

func (h *history) next() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.server++
}

// clients has them all send requests until only stop operations are left.
func (h *history) clients(ctx context.Context, a api, stop int) {
	h.mu.Lock()
	server := h.server
	h.mu.Unlock()
	var all sync.WaitGroup
	for c := range historyClients {
		all.Go(func() {
			last := map[int]int64{} // what this client saw last
			first := map[int]int64{}
			for ctx.Err() == nil && h.one(ctx, a, c, server, stop, last, first) {
			}
		})
	}
	all.Wait()
}

// one sends a request and records it. It reports whether to go on.
func (h *history) one(ctx context.Context, a api, client, server, stop int, last, first map[int]int64) bool {
	h.mu.Lock()
	if h.left <= stop || h.server != server {
		h.mu.Unlock()
		return false
	}
	h.left--
	q := ask{item: h.rng.IntN(historyItems), kind: kind(h.rng.IntN(4)), next: 1 + h.rng.Int64N(1000)}
	q.old = last[q.item]
	h.clock++
	op := porcupine.Operation{ClientId: client, Input: q, Call: h.clock}
	h.mu.Unlock()

	call, cancel := bounded(ctx)
	defer cancel()
	r, err := q.send(call, a)

	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock++
	op.Return = h.clock
	if err != nil || h.server != server {
		r, op.Return = reply{unknown: true}, math.MaxInt64
	} else if q.kind != swap {
		last[q.item] = r.value
		if q.kind == wipe {
			last[q.item] = 0
		}
		if was, seen := first[q.item]; h.plan.fault == faultStale && seen && q.kind == get {
			r.value = was
		}
		first[q.item] = last[q.item]
	}
	if !(r.unknown && q.kind == get) {
		op.Output = r
		h.recorded = append(h.recorded, op)
	}
	return err == nil || errors.Is(err, errConnection)
}

// send sends the request.
func (q ask) send(ctx context.Context, a api) (reply, error) {
	id := key(fmt.Sprint("item ", q.item))
	switch q.kind {
	case get:
		out, err := a.tables.GetItem(ctx, &dynamodb.GetItemInput{TableName: table, Key: id, ConsistentRead: aws.Bool(true)})
		if err != nil {
			return reply{}, err
		}
		return reply{value: numberOf(out.Item, "n")}, nil
	case add:
		out, err := a.tables.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: table, Key: id, UpdateExpression: aws.String("ADD n :one"), ReturnValues: ddb.ReturnValueUpdatedNew,
			ExpressionAttributeValues: map[string]ddb.AttributeValue{":one": number(1)},
		})
		if err != nil {
			return reply{}, err
		}
		return reply{value: numberOf(out.Attributes, "n")}, nil
	case wipe:
		out, err := a.tables.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: table, Key: id, ReturnValues: ddb.ReturnValueAllOld})
		if err != nil {
			return reply{}, err
		}
		return reply{value: numberOf(out.Attributes, "n")}, nil
	}
	in := &dynamodb.PutItemInput{TableName: table, Item: map[string]ddb.AttributeValue{"id": id["id"], "n": number(q.next)}}
	if q.old == 0 {
		in.ConditionExpression = aws.String("attribute_not_exists(n)")
	} else {
		in.ConditionExpression = aws.String("n = :old")
		in.ExpressionAttributeValues = map[string]ddb.AttributeValue{":old": number(q.old)}
	}
	_, err := a.tables.PutItem(ctx, in)
	var refused *ddb.ConditionalCheckFailedException
	if errors.As(err, &refused) {
		return reply{refused: true}, nil
	}
	return reply{}, err
}
