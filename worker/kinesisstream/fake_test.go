package kinesisstream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker/memstream"
)

const (
	account   = "123456789012"
	streamARN = "arn:aws:kinesis:eu-central-1:123456789012:stream/s"
)

// fake answers the four calls of this package out of a memstream, over HTTP's request and answer but no socket.
type fake struct {
	t      *testing.T
	stream *memstream.Stream

	mu    sync.Mutex // guards the rest
	calls []call
	// answer, if set, may answer a call in place of the stream; nil lets the stream do it.
	answer func(c call) *reply
	status string // of the stream, default ACTIVE
	noDate bool
	serial int
}

// A call is one request as it was sent.
type call struct {
	op string
	in request
}

type request struct {
	StreamName, StreamARN, NextToken, ShardId string
	ShardFilter                               *struct {
		Type      string
		Timestamp float64
	}
	ShardIteratorType, StartingSequenceNumber, ShardIterator string
	Timestamp                                                float64
	Limit                                                    int
}

// A reply is the body of an answer, or an error if code is set.
type reply struct {
	body          any
	code, message string
	status        int           // default 200, or 400 for an error
	err           error         // no answer at all
	after         time.Duration // how long it takes
}

func refuse(code string) *reply { return &reply{code: code, message: "of the test"} }

func newFake(t *testing.T, shards int) *fake {
	return &fake{t: t, status: "ACTIVE", stream: memstream.New("s", shards, memstream.Options{Account: account, PageRecords: 10})}
}

// client is an SDK client as a user makes one, with its usual retries.
func (f *fake) client() *kinesis.Client {
	return kinesis.New(kinesis.Options{
		Region:      "eu-central-1",
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
		HTTPClient:  &http.Client{Transport: f},
	})
}

// ops are the operations called since the last time asked.
func (f *fake) ops() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ops []string
	for _, c := range f.calls {
		op := c.op
		if c.op == "GetShardIterator" {
			op = c.in.ShardIteratorType
		}
		ops = append(ops, op)
	}
	f.calls = nil
	return ops
}

func (f *fake) wantOps(want ...string) {
	f.t.Helper()
	if got := f.ops(); !slices.Equal(got, want) {
		f.t.Errorf("called %v, want %v", got, want)
	}
}

func (f *fake) setAnswer(answer func(c call) *reply) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

func (f *fake) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	c := call{op: strings.TrimPrefix(req.Header.Get("X-Amz-Target"), "Kinesis_20131202.")}
	media := req.Header.Get("Content-Type")
	if media == cborMedia {
		body, err = fromCBOR(body)
	}
	if err == nil {
		err = json.Unmarshal(body, &c.in)
	}
	if err != nil {
		f.t.Errorf("request %s: %v", body, err)
	}
	f.mu.Lock()
	f.calls = append(f.calls, c)
	answer := f.answer
	f.mu.Unlock()
	var r *reply
	if answer != nil {
		r = answer(c)
	}
	if r == nil {
		r = f.serve(c)
	}
	time.Sleep(r.after) // in a synctest bubble, where it is used
	if r.err != nil {
		return nil, r.err
	}
	return f.write(r, media), nil
}

// cborMedia is the media type of requests in CBOR, which are answered in it.
const cborMedia = "application/x-amz-cbor-1.1"

func (f *fake) write(r *reply, media string) *http.Response {
	resp := &http.Response{StatusCode: max(200, r.status), Header: http.Header{"Content-Type": {media}}, ContentLength: -1}
	if !f.noDate {
		resp.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	if r.code != "" {
		r.body = map[string]string{"__type": r.code, "message": r.message}
		resp.StatusCode = max(400, r.status)
	}
	text, err := json.Marshal(r.body)
	if err == nil && media == cborMedia {
		text, err = toCBOR(text)
	}
	if err != nil {
		f.t.Error(err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(text))
	return resp
}

func (f *fake) serve(c call) *reply {
	if c.in.NextToken == "" && c.in.ShardIterator == "" && c.in.StreamName != "s" && c.in.StreamARN != streamARN {
		return refuse("ResourceNotFoundException")
	}
	switch c.op {
	case "DescribeStreamSummary":
		id, _ := f.stream.Identify(f.t.Context())
		return &reply{body: map[string]any{"StreamDescriptionSummary": map[string]any{
			"StreamName": "s", "StreamARN": streamARN, "StreamStatus": f.status, "RetentionPeriodHours": 24,
			"StreamCreationTimestamp": float64(id.Epoch) + 0.789,
		}}}
	case "ListShards":
		return f.listShards(c.in)
	case "GetShardIterator":
		return f.place(c.in)
	case "GetRecords":
		return f.records(c.in)
	}
	f.t.Errorf("call of %s", c.op)
	return refuse("InternalFailure")
}

func (f *fake) listShards(in request) *reply {
	from, at := 0, record.Position{}
	kind := ""
	if in.ShardFilter != nil {
		kind = fmt.Sprintf("%s/%d", in.ShardFilter.Type, int64(in.ShardFilter.Timestamp*1000+0.5))
	}
	if in.NextToken != "" {
		if in.StreamName != "" || in.StreamARN != "" || in.ShardFilter != nil {
			return refuse("InvalidArgumentException")
		}
		var number string
		number, kind, _ = strings.Cut(in.NextToken, ":")
		fmt.Sscan(number, &from)
	}
	var ms int64
	if typ, text, ok := strings.Cut(kind, "/"); ok {
		fmt.Sscan(text, &ms)
		at = map[string]record.Position{"AT_TRIM_HORIZON": record.TrimHorizon, "AT_LATEST": record.Latest, "AT_TIMESTAMP": record.AtTimestamp(time.UnixMilli(ms))}[typ]
	}
	shards, _, err := f.stream.Shards(f.t.Context(), at)
	if err != nil {
		f.t.Error(err)
	}
	to := min(len(shards), from+1000)
	out := map[string]any{}
	if to < len(shards) {
		out["NextToken"] = fmt.Sprintf("%d:%s", to, kind)
	}
	var list []any
	for _, sh := range shards[from:to] {
		item := map[string]any{"ShardId": sh.ID, "HashKeyRange": wireRange(sh.Range)}
		numbers := map[string]any{"StartingSequenceNumber": sh.First}
		if !sh.Open() {
			numbers["EndingSequenceNumber"] = sh.Last
		}
		item["SequenceNumberRange"] = numbers
		for i, parent := range sh.Parents {
			item[[]string{"ParentShardId", "AdjacentParentShardId"}[i]] = parent
		}
		list = append(list, item)
	}
	out["Shards"] = list
	return &reply{body: out}
}

func wireRange(r record.HashKeyRange) map[string]any {
	return map[string]any{"StartingHashKey": r.Start.String(), "EndingHashKey": r.End.String()}
}

// An iterator of the fake says all there is to it, so that it can be used again as the service's can.
type iterator struct {
	Shard, Type, Sequence string
	Millis                int64
	Made                  time.Time
	Serial                int
}

func (f *fake) wire(it iterator) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.serial++
	it.Made, it.Serial = time.Now(), f.serial
	text, _ := json.Marshal(it)
	return string(text)
}

func (f *fake) place(in request) *reply {
	i := slices.IndexFunc(f.shards(), func(sh record.Shard) bool { return sh.ID == in.ShardId })
	if i < 0 {
		return refuse("ResourceNotFoundException")
	}
	it := iterator{Shard: in.ShardId, Type: in.ShardIteratorType, Sequence: in.StartingSequenceNumber, Millis: int64(in.Timestamp*1000 + 0.5)}
	if it.Type == "LATEST" {
		it.Type, it.Sequence = "AFTER_SEQUENCE_NUMBER", string(f.shards()[i].First)
		r := f.stream.Open(in.ShardId, record.TrimHorizon)
		for {
			page, err := r.Read(f.t.Context())
			if err != nil {
				return refuse("InternalFailure")
			}
			if n := len(page.Records); n > 0 {
				it.Sequence = string(page.Records[n-1].SequenceNumber)
			}
			if page.Behind == 0 {
				break
			}
		}
	}
	return &reply{body: map[string]any{"ShardIterator": f.wire(it)}}
}

func (f *fake) shards() []record.Shard {
	shards, _, err := f.stream.Shards(f.t.Context(), record.Position{})
	if err != nil {
		f.t.Error(err)
	}
	return shards
}

func (f *fake) records(in request) *reply {
	var it iterator
	if err := json.Unmarshal([]byte(in.ShardIterator), &it); err != nil {
		return refuse("InvalidArgumentException")
	}
	if time.Since(it.Made) > 5*time.Minute {
		return refuse("ExpiredIteratorException")
	}
	at := map[string]record.Position{"TRIM_HORIZON": record.TrimHorizon, "AT_TIMESTAMP": record.AtTimestamp(time.UnixMilli(it.Millis))}[it.Type]
	if at.IsZero() {
		n, ok := new(big.Int).SetString(it.Sequence, 10)
		if !ok {
			return refuse("InvalidArgumentException")
		}
		if it.Type == "AFTER_SEQUENCE_NUMBER" {
			n.Add(n, big.NewInt(1))
		}
		at = record.At(record.SequenceNumber(n.String()), 0)
	}
	page, err := f.stream.Open(it.Shard, at).Read(f.t.Context())
	if err != nil {
		return refuse("ResourceNotFoundException")
	}
	out := map[string]any{"MillisBehindLatest": page.Behind.Milliseconds()}
	var list []any
	for _, r := range page.Records {
		list = append(list, map[string]any{"SequenceNumber": r.SequenceNumber, "PartitionKey": r.PartitionKey, "Data": r.Data,
			"ApproximateArrivalTimestamp": float64(r.ArrivalTime.UnixMilli()) / 1000})
		it.Type, it.Sequence = "AFTER_SEQUENCE_NUMBER", string(r.SequenceNumber)
	}
	out["Records"] = list
	if !page.End {
		out["NextShardIterator"] = f.wire(it)
		return &reply{body: out}
	}
	var children []any
	for _, c := range page.Children {
		children = append(children, map[string]any{"ShardId": c.ID, "ParentShards": c.Parents, "HashKeyRange": wireRange(c.Range)})
	}
	out["ChildShards"] = children
	return &reply{body: out}
}
