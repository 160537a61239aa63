package producer_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/localstream"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/record/producer"
)

const streamName = "flights"

// A world is a localstream with one stream, on a bubble's time.
type world struct {
	t     *testing.T
	srv   *localstream.Server
	plain *kinesis.Client // past the weather
	wire  weather
}

// bubble runs f with a stream of some shards.
func bubble(t *testing.T, shards int32, limits localstream.Limits, f func(*testing.T, *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		srv, err := localstream.Open("", localstream.Options{Memory: true, Limits: limits})
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Close()
		w := &world{t: t, srv: srv, plain: kinesis.NewFromConfig(srv.AWSConfig(), patient)}
		w.wire.next = srv.AWSConfig().HTTPClient
		if shards > 0 {
			w.create(shards)
		}
		f(t, w)
	})
}

func (w *world) create(shards int32) {
	w.t.Helper()
	in := &kinesis.CreateStreamInput{StreamName: aws.String(streamName), ShardCount: &shards}
	if _, err := w.plain.CreateStream(w.t.Context(), in); err != nil {
		w.t.Fatal(err)
	}
}

// producer makes a producer whose calls go through the weather, which reads JSON.
func (w *world) producer(cfg producer.Config) *producer.Producer {
	w.t.Helper()
	cfg.SDKCodec = true
	return w.inCBOR(cfg)
}

// inCBOR makes a producer whose calls go through the weather in the codec that it has by default.
func (w *world) inCBOR(cfg producer.Config) *producer.Producer {
	w.t.Helper()
	cfg.Stream = streamName
	c := w.srv.AWSConfig()
	c.HTTPClient = &w.wire
	p, err := producer.New(kinesis.NewFromConfig(c), cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// A weather is an HTTP client in which calls go wrong.
type weather struct {
	next aws.HTTPClient

	mu   sync.Mutex
	on   func(c *call) (*http.Response, error) // nil lets all through
	seen map[string]int
}

// A call is one request on its way.
type call struct {
	op   string
	req  *http.Request
	body []byte
	next aws.HTTPClient
}

func (w *weather) set(on func(c *call) (*http.Response, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.on = on
}

func (w *weather) count(op string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[op]
}

// Do sends a request through the weather.
func (w *weather) Do(req *http.Request) (*http.Response, error) {
	_, op, _ := strings.Cut(req.Header.Get("X-Amz-Target"), ".")
	c := &call{op: op, req: req, next: w.next}
	var err error
	if c.body, err = io.ReadAll(req.Body); err != nil {
		return nil, err
	}
	w.mu.Lock()
	if w.seen == nil {
		w.seen = map[string]int{}
	}
	w.seen[op]++
	on := w.on
	w.mu.Unlock()
	if on == nil {
		return c.send()
	}
	return on(c)
}

func (c *call) puts() bool { return strings.HasPrefix(c.op, "PutRecord") }

// records are those that the call, in JSON, puts.
func (c *call) records() []record.Record {
	var in struct {
		record.Record
		Records []record.Record
	}
	if err := json.Unmarshal(c.body, &in); err != nil {
		panic(err)
	}
	switch c.op {
	case "PutRecords":
		return in.Records
	case "PutRecord":
		return []record.Record{in.Record}
	default:
		return nil
	}
}

// keys are the partition keys of all records that the call puts, aggregates opened.
func (c *call) keys() (keys []string) {
	for _, r := range c.records() {
		subs, ok := record.Deaggregate(r)
		if !ok {
			subs = []record.Record{r}
		}
		for _, sub := range subs {
			keys = append(keys, sub.PartitionKey)
		}
	}
	return keys
}

// send lets the call through.
func (c *call) send() (*http.Response, error) {
	return c.sendBody(c.req.Clone(c.req.Context()), c.body)
}

func (c *call) sendBody(r *http.Request, body []byte) (*http.Response, error) {
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return c.next.Do(r)
}

var errCut = errors.New("connection cut")

// lost lets the call through and loses its answer.
func (c *call) lost() (*http.Response, error) {
	out, err := c.send()
	if err == nil {
		_ = out.Body.Close()
	}
	return nil, errCut
}

// answer makes an answer.
func (c *call) answer(status int, body string) (*http.Response, error) {
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: c.req,
	}, nil
}

func (c *call) refuse(code string) (*http.Response, error) {
	return c.answer(400, fmt.Sprintf(`{"__type":%q,"message":"no"}`, code))
}

const throttling = "ProvisionedThroughputExceededException"

// partly lets some records of a PutRecords through and answers for the others that they failed.
func (c *call) partly(fails func(i int) bool) (*http.Response, error) {
	return c.partlyFor("InternalFailure", fails)
}

// partlyFor is partly with the code of the failures.
func (c *call) partlyFor(code string, fails func(i int) bool) (*http.Response, error) {
	var in map[string]json.RawMessage
	var records, pass []json.RawMessage
	if err := errors.Join(json.Unmarshal(c.body, &in), json.Unmarshal(in["Records"], &records)); err != nil {
		return nil, err
	}
	results := make([]json.RawMessage, len(records))
	var at []int
	for i, r := range records {
		if fails(i) {
			results[i] = json.RawMessage(fmt.Sprintf(`{"ErrorCode":%q,"ErrorMessage":"Internal Service Failure."}`, code))
			continue
		}
		pass, at = append(pass, r), append(at, i)
	}
	if len(pass) > 0 {
		in["Records"], _ = json.Marshal(pass)
		body, _ := json.Marshal(in)
		out, err := c.sendBody(c.req.Clone(c.req.Context()), body)
		if err != nil || out.StatusCode != 200 {
			return out, err
		}
		defer out.Body.Close()
		var answer struct{ Records []json.RawMessage }
		if err := json.NewDecoder(out.Body).Decode(&answer); err != nil {
			return nil, err
		}
		for i, r := range answer.Records {
			results[at[i]] = r
		}
	}
	body, _ := json.Marshal(map[string]any{"FailedRecordCount": len(records) - len(pass), "Records": results})
	return c.answer(200, string(body))
}

// A dice is a random source that several goroutines use.
type dice struct {
	mu sync.Mutex
	r  *rand.Rand
}

func newDice(seed uint64) *dice { return &dice{r: rand.New(rand.NewPCG(seed, 7))} }

func (d *dice) n(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.IntN(n)
}

// text is the data of the n-th record.
func text(n int) []byte { return []byte(strconv.Itoa(n)) }

// stored is a record as it lies in the stream.
type stored struct {
	record.Record
	shard string
	n     int // that text made
}

// patient is for calls that have to wait until a limit lets them through, however often that refuses them.
func patient(o *kinesis.Options) { o.RetryMaxAttempts = 100 }

// read reads the whole stream, aggregates opened, parents before their children.
func (w *world) read() []stored {
	w.t.Helper()
	var all []stored
	for _, shard := range w.shards() {
		it, err := w.plain.GetShardIterator(w.t.Context(), &kinesis.GetShardIteratorInput{
			StreamName: aws.String(streamName), ShardId: shard.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
		})
		if err != nil {
			w.t.Fatal(err)
		}
		for next := it.ShardIterator; next != nil; {
			out, err := w.plain.GetRecords(w.t.Context(), &kinesis.GetRecordsInput{ShardIterator: next})
			if err != nil {
				w.t.Fatal(err)
			}
			for _, r := range out.Records {
				one := record.Record{SequenceNumber: record.SequenceNumber(*r.SequenceNumber), PartitionKey: *r.PartitionKey, Data: r.Data}
				subs, ok := record.Deaggregate(one)
				if !ok {
					subs = []record.Record{one}
				}
				for _, sub := range subs {
					n, _ := strconv.Atoi(strings.TrimSpace(string(sub.Data)))
					all = append(all, stored{sub, *shard.ShardId, n})
				}
			}
			if next = out.NextShardIterator; aws.ToInt64(out.MillisBehindLatest) == 0 && len(out.Records) == 0 {
				break
			}
		}
	}
	return all
}

func (w *world) shards() []types.Shard {
	w.t.Helper()
	out, err := w.plain.ListShards(w.t.Context(), &kinesis.ListShardsInput{StreamName: aws.String(streamName)})
	if err != nil {
		w.t.Fatal(err)
	}
	return out.Shards
}

// split splits the open shard that has the widest range.
func (w *world) split() {
	w.t.Helper()
	var widest, at record.HashKey
	var id *string
	for _, s := range w.shards() {
		a, _ := record.ParseHashKey(*s.HashKeyRange.StartingHashKey)
		b, _ := record.ParseHashKey(*s.HashKeyRange.EndingHashKey)
		if width := (record.HashKey{Hi: b.Hi - a.Hi}); s.SequenceNumberRange.EndingSequenceNumber == nil && width.Compare(widest) > 0 {
			widest, id, at = width, s.ShardId, record.HashKey{Hi: a.Hi + width.Hi/2}
		}
	}
	if _, err := w.plain.SplitShard(w.t.Context(), &kinesis.SplitShardInput{
		StreamName: aws.String(streamName), ShardToSplit: id, NewStartingHashKey: aws.String(at.String()),
	}); err != nil {
		w.t.Fatal(err)
	}
}

// merge merges the first two open shards.
func (w *world) merge() {
	w.t.Helper()
	var open []types.Shard
	for _, s := range w.shards() {
		if s.SequenceNumberRange.EndingSequenceNumber == nil {
			open = append(open, s)
		}
	}
	slices.SortFunc(open, func(a, b types.Shard) int {
		x, _ := record.ParseHashKey(*a.HashKeyRange.StartingHashKey)
		y, _ := record.ParseHashKey(*b.HashKeyRange.StartingHashKey)
		return x.Compare(y)
	})
	if _, err := w.plain.MergeShards(w.t.Context(), &kinesis.MergeShardsInput{
		StreamName: aws.String(streamName), ShardToMerge: open[0].ShardId, AdjacentShardToMerge: open[1].ShardId,
	}); err != nil {
		w.t.Fatal(err)
	}
}

// A book keeps what was put and what was answered.
type book struct {
	mu    sync.Mutex
	acked map[int]producer.Ack
	bad   map[int]error
	order []int // of the answers
}

func newBook() *book { return &book{acked: map[int]producer.Ack{}, bad: map[int]error{}} }

// note is a done function for the n-th record.
func (b *book) note(n int) func(producer.Ack, error) {
	return func(ack producer.Ack, err error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.order = append(b.order, n)
		if _, twice := b.acked[n]; twice || b.bad[n] != nil {
			err = fmt.Errorf("answered twice, now with %v, %w", ack, err)
		}
		if err != nil {
			b.bad[n] = err
		} else {
			b.acked[n] = ack
		}
	}
}

func (b *book) answers() (acked, bad int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.acked), len(b.bad)
}

// failures fails the test for each record that was given up.
func (b *book) failures(t *testing.T) {
	t.Helper()
	for _, n := range slices.Sorted(maps.Keys(b.bad)) {
		t.Errorf("record %d: %v", n, b.bad[n])
	}
}

// check compares the stream with the book: what was acknowledged lies where the acknowledgement says, and the first
// copies of acknowledged records are in the order of their numbers within each group. It returns how many records of the
// stream are copies.
func (b *book) check(t *testing.T, all []stored, group func(stored) string) (copies int) {
	t.Helper()
	seen, newest := map[int]bool{}, map[string]int{}
	place := map[string]int{}
	for _, r := range all {
		place[fmt.Sprint(r.shard, r.SequenceNumber, r.SubSequenceNumber)] = r.n
		if seen[r.n] {
			copies++
			continue
		}
		seen[r.n] = true
		if _, ok := b.acked[r.n]; !ok {
			continue
		}
		if g := group(r); r.n < newest[g] {
			t.Errorf("in %s record %d comes after %d", g, r.n, newest[g])
		} else {
			newest[g] = r.n
		}
	}
	for n, ack := range b.acked {
		if got, ok := place[fmt.Sprint(ack.Shard, ack.SequenceNumber, ack.SubSequenceNumber)]; !ok || got != n {
			t.Errorf("record %d is not where its acknowledgement says: %+v", n, ack)
		}
	}
	for n, err := range b.bad {
		if seen[n] && !errors.Is(err, producer.ErrUnknown) {
			t.Errorf("record %d is in the stream though its error says it is not: %v", n, err)
		}
	}
	return copies
}

// answeredInOrder checks that the answers for the records of a key came in the order of their Puts.
func (b *book) answeredInOrder(t *testing.T, all []stored) {
	t.Helper()
	key, newest := map[int]string{}, map[string]int{}
	for _, r := range all {
		key[r.n] = r.PartitionKey
	}
	for _, n := range b.order {
		if n < newest[key[n]] {
			t.Errorf("the answer for record %d came after that for %d", n, newest[key[n]])
		}
		newest[key[n]] = n
	}
}

func byKey(r stored) string   { return r.PartitionKey }
func byShard(r stored) string { return r.shard }
func byNone(r stored) string  { return strconv.Itoa(r.n) }

// closeBy closes p within d.
func closeBy(t *testing.T, p *producer.Producer, d time.Duration) error {
	t.Helper()
	ctx, cancel := contextFor(d)
	defer cancel()
	return p.Close(ctx)
}
