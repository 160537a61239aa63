package producer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/shoal-stream/shoal/record"
)

// A flight is one request, or what became of it in parts.
type flight struct {
	began   time.Time
	units   []*unit
	bytes   int
	stuffed bool // the next unit did not fit in
	memory  []unit
}

// newFlight is an empty flight with room for some units.
func newFlight(now time.Time, units int) *flight {
	return &flight{began: now, units: make([]*unit, 0, units), memory: make([]unit, units)}
}

// unit is an empty unit for a lane. It is taken once f.memory moves on.
func (f *flight) unit(l *lane) *unit {
	if len(f.memory) == 0 {
		f.memory = make([]unit, min(maxBatchRecords, max(4, 2*len(f.units))))
	}
	u := &f.memory[0]
	u.lane, u.entries = l, u.one[:0]
	return u
}

func (f *flight) full(c *Config) bool {
	most := c.MaxBatchRecords
	if c.Order == OrderStrict {
		most = 1
	}
	return f.stuffed || len(f.units) >= most || f.bytes >= c.MaxBatchBytes
}

// A unit is one record of the stream: a record that was put, or an aggregate of several.
type unit struct {
	lane      *lane
	entries   []*entry          // those of a chain one after the other
	aggregate *record.Aggregate // of the entries, nil while it is one alone
	size      int               // data and partition key

	outcome

	one [1]*entry // the memory of entries as long as that is enough
}

// An outcome is what an attempt at a unit has come to.
type outcome struct {
	shard, sequence string // if it was taken
	err             error  // else
	shared          bool   // err refuses a request with other units, maybe for one of those
	throttled       bool   // by the shard's rate
	unknown         bool   // there was no answer
	astray          bool   // it was taken by a shard that some of its records do not belong to
}

// add puts e into the unit unless that would make it too large.
func (u *unit) add(e *entry, room int, c *Config) bool {
	if len(u.entries) == 0 {
		if u.size = int(e.size); u.size > room {
			return false
		}
		u.entries = append(u.entries, e)
		return true
	}
	room = min(room, c.AggregateBytes)
	if u.size >= room {
		return false
	}
	a := u.aggregate
	if a == nil {
		a = new(record.Aggregate)
		first := u.entries[0].record()
		a.Add(&first)
	}
	r := e.record()
	size := a.SizeWith(&r) + len(u.entries[0].key)
	if size > room {
		return false
	}
	a.Add(&r)
	u.aggregate, u.size = a, size
	u.entries = append(u.entries, e)
	return true
}

// content is the data, partition key and explicit hash key of the unit.
func (u *unit) content() (data []byte, key, hash *string) {
	e := u.entries[0]
	if u.aggregate != nil {
		text := e.hash.String()
		return u.aggregate.Encode(), &e.key, &text
	}
	if e.explicit != "" {
		hash = &e.explicit
	}
	if e.data == nil {
		return []byte{}, &e.key, hash // which the SDK wants
	}
	return e.data, &e.key, hash
}

// fly carries a flight out, and then others as long as there are: each takes the place of the one before at once, and its
// goroutine's stack has grown.
func (p *Producer) fly(f *flight) {
	for f != nil {
		p.request(f)
		f = p.settle(f)
	}
}

// request makes the request and takes in its answers.
func (p *Producer) request(f *flight) {
	if p.cfg.Order == OrderStrict {
		p.putRecord(f.units[0])
	} else {
		p.putRecords(f.units)
	}
	elsewhere := func(u *unit) bool { return u.err == nil && u.shard != u.lane.shard }
	if !slices.ContainsFunc(f.units, elsewhere) {
		return
	}
	poke(p.look)
	ctx, cancel := p.clock.WithTimeout(p.life, p.cfg.RequestTimeout, errNoAnswer) // for all units together
	defer cancel()
	for _, u := range f.units {
		u.astray = elsewhere(u) && p.astray(ctx, u)
	}
}

// astray reports whether an aggregate that was taken by another shard than was expected has records that do not belong
// there. Amazon's KCL throws such an aggregate away, and relies on the producer to put its records again.
func (p *Producer) astray(ctx context.Context, u *unit) bool {
	if u.aggregate == nil {
		return false
	}
	keys, ok := p.keysOf(ctx, u.shard)
	switch {
	case !ok:
		return true // which costs a copy at most
	case !keys.Contains(u.entries[0].hash):
		return false // the stream itself distributes its records, whatever their hash keys
	}
	return slices.ContainsFunc(u.entries, func(e *entry) bool { return !keys.Contains(e.hash) })
}

func (p *Producer) putRecord(u *unit) {
	ctx, cancel := p.clock.WithTimeout(p.life, p.cfg.RequestTimeout, errNoAnswer)
	defer cancel()
	in := &kinesis.PutRecordInput{StreamName: p.name, StreamARN: p.arn}
	in.Data, in.PartitionKey, in.ExplicitHashKey = u.content()
	p.mu.Lock()
	if u.lane.newest != "" {
		in.SequenceNumberForOrdering = aws.String(u.lane.newest)
	}
	p.mu.Unlock()
	out, err := p.api.PutRecord(ctx, in)
	if err != nil {
		u.outcome = failed(ctx, err)
		return
	}
	u.outcome = outcome{shard: aws.ToString(out.ShardId), sequence: aws.ToString(out.SequenceNumber)}
}

// putRecords puts the units in one request. If the service refuses that as such, for one bad record maybe, they are put
// in halves, so that the others go through.
func (p *Producer) putRecords(units []*unit) {
	p.putTogether(units)
	if !units[0].shared {
		return
	}
	for _, half := range [][]*unit{units[:len(units)/2], units[len(units)/2:]} {
		if half = p.again(half); len(half) > 0 {
			p.putRecords(half)
		}
	}
}

// again notes that a request with some units of a refused one is sent now. It leaves those out in which a record must
// not be sent any more; settle gives that up and puts the others back.
func (p *Producer) again(units []*unit) []*unit {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.Now()
	over := func(e *entry) bool { return p.lapsed(e, now) || e.trouble != nil && e.trouble.cancelled != nil }
	units = slices.DeleteFunc(slices.Clone(units), func(u *unit) bool { return slices.ContainsFunc(u.entries, over) })
	if len(units) > 0 {
		p.send(units)
	}
	return units
}

// putTogether makes one request and gives each unit its outcome.
func (p *Producer) putTogether(units []*unit) {
	ctx, cancel := p.clock.WithTimeout(p.life, p.cfg.RequestTimeout, errNoAnswer)
	defer cancel()
	in := &kinesis.PutRecordsInput{StreamName: p.name, StreamARN: p.arn, Records: make([]types.PutRecordsRequestEntry, len(units))}
	for i, u := range units {
		e := &in.Records[i]
		e.Data, e.PartitionKey, e.ExplicitHashKey = u.content()
	}
	out, err := p.api.PutRecords(ctx, in)
	if err == nil && len(out.Records) != len(units) {
		err = fmt.Errorf("the answer has %d results for %d records", len(out.Records), len(units))
	}
	if err != nil {
		o := failed(ctx, err)
		o.shared = len(units) > 1 && faulty(err)
		for _, u := range units {
			u.outcome = o
		}
		return
	}
	for i, u := range units {
		r := &out.Records[i]
		if r.ErrorCode == nil && r.ShardId != nil && r.SequenceNumber != nil {
			u.outcome = outcome{shard: *r.ShardId, sequence: *r.SequenceNumber}
			continue
		}
		code := aws.ToString(r.ErrorCode)
		u.outcome = outcome{
			err:       &smithy.GenericAPIError{Code: code, Message: aws.ToString(r.ErrorMessage), Fault: smithy.FaultServer},
			throttled: code == throughputExceeded,
		}
	}
}

// settle hands on what was acknowledged or has to be given up, puts the rest back, and returns the next flight if it is
// time for one.
func (p *Producer) settle(f *flight) (next *flight) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.InFlight--
	now := p.clock.Now()
	p.settleLanes(f)
	for _, u := range f.units {
		again := u.err != nil || u.astray
		for i, e := range u.entries {
			if u.unknown {
				e.unknown = true
			}
			if again {
				p.retry(e, &u.outcome, now)
			} else {
				e.state = acknowledged
				p.stats.Put++
				p.answers = append(p.answers, answer{e, u, i})
			}
			if c := e.chain; i == len(u.entries)-1 || u.entries[i+1].chain != c {
				p.land(c, again, now)
			}
		}
	}
	poke(p.answered)
	p.expire(now)
	if next, _ = p.compose(now); next == nil || p.stats.InFlight < p.cfg.MaxInFlight {
		poke(p.wake) // dispatch looks for more, or for when that is
	}
	return next
}

// land takes from a chain what was acknowledged and lets the rest go on, but for what had to be given up meanwhile.
func (p *Producer) land(c *chain, again bool, now time.Time) {
	if !again {
		for range c.flying {
			c.pop()
		}
	}
	c.flying = 0
	for e := c.first; e != nil && p.lapsed(e, now); e = e.behind {
		if e.state == queued {
			p.fail(e, cmp.Or(p.given, p.expired(e)))
		}
	}
	p.makeReady(c, again)
}

// settleLanes lets lanes rest that refused records, and counts.
func (p *Producer) settleLanes(f *flight) {
	type tally struct{ taken, refused, throttled int }
	tallies := map[*lane]*tally{}
	unanswered := false
	var t *tally
	for i, u := range f.units {
		if i == 0 || u.lane != f.units[i-1].lane { // most lie beside others of their lane
			if t = tallies[u.lane]; t == nil {
				t = new(tally)
				tallies[u.lane] = t
			}
		}
		switch {
		case u.throttled:
			p.stats.Throttled++
			t.throttled++
			t.refused++
		case u.err == nil:
			t.taken++
			if u.shard != u.lane.shard {
				p.stats.Mispredicted++
			} else {
				u.lane.newest = u.sequence
			}
		case !faulty(u.err): // else it says nothing of the lane
			t.refused++
		}
		unanswered = unanswered || u.unknown
	}
	if unanswered {
		p.stats.Unanswered++
	}
	for l, t := range tallies {
		if t.refused > 0 {
			l.refuse(p.clock, f.began, t.throttled > 0, t.taken > 0)
		} else if t.taken > 0 {
			l.accept()
		}
	}
}

// retry queues a record again, unless its time is over or the service would say the same again.
func (p *Producer) retry(e *entry, o *outcome, now time.Time) {
	t := e.troubled()
	if t.last = o.err; o.astray {
		t.last, e.unknown = errAstray, true
	}
	switch {
	case p.given != nil:
		p.fail(e, p.given)
	case t.cancelled != nil:
		p.fail(e, t.cancelled)
	case lasting(o.err) && !o.shared:
		p.fail(e, o.err)
	case p.lapsed(e, now):
		p.fail(e, ErrExpired)
	default:
		e.state = queued
	}
}

// errAstray is the last error of records whose aggregate came into a wrong shard.
var errAstray = errors.New("the aggregate of the record was put into a shard that has since been split or merged")

const (
	throughputExceeded = "ProvisionedThroughputExceededException"
	entityTooLarge     = "RequestEntityTooLarge" // what we call a status that has no code
)

// failed is the outcome of a request that returned an error.
func failed(ctx context.Context, err error) outcome {
	code, answered := refused(err)
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return outcome{err: err, throttled: answered && code == throughputExceeded, unknown: !answered}
}

// refused tells whether the service refused a request as the client's fault, and with which code. An error that the SDK
// has no type for says nothing of faults; its status does. A request that is too large may be refused by a front end,
// whose answer is no error of the service.
func refused(err error) (code string, ok bool) {
	status := 0
	if answer, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		status = answer.HTTPStatusCode()
	}
	api, ok := errors.AsType[smithy.APIError](err)
	switch {
	case status == http.StatusRequestEntityTooLarge:
		return entityTooLarge, true
	case !ok:
		return "", false
	case api.ErrorFault() == smithy.FaultUnknown:
		return api.ErrorCode(), status/100 == 4
	default:
		return api.ErrorCode(), api.ErrorFault() == smithy.FaultClient
	}
}

// lasting tells whether the service will say the same again: it refuses the request as such, and not for its load.
func lasting(err error) bool {
	code, ok := refused(err)
	if _, load := retry.DefaultThrottleErrorCodes[code]; !ok || load {
		return false
	}
	switch code {
	case "KMSThrottlingException", "RequestTimeout", "RequestTimeoutException", "ExpiredToken", "ExpiredTokenException",
		"ExpiredNextTokenException", "ResourceInUseException", "UnknownError":
		return false
	case "RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed", "InvalidSignatureException", "SignatureDoesNotMatch":
		return false // the SDK learns of a clock that is wrong from the answer
	default:
		return true
	}
}

// faulty tells whether an error may come from a single record of several.
func faulty(err error) bool {
	code, ok := refused(err)
	switch code {
	case "InvalidArgumentException", "ValidationException", "SerializationException", entityTooLarge:
		return ok
	default:
		return false
	}
}
