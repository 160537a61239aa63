// Package oracle puts random requests to DynamoDB Local, which is AWS's own, and to localstream side by side, and
// compares the answers.
//
// The requests come from a seed: items, conditions and updates in both styles, queries, scans, indexes, batches,
// transactions, and now and then something wrong in each of them. Answers must be equal but for their order where that
// has no meaning, the wording of errors, and the capacity consumed, which DynamoDB Local does not count as the service
// does. Each further difference is one of those that are listed in differences.go, with the reason why localstream is
// right, or it is a failure.
package oracle

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"reflect"
	"strings"
)

// A Server answers requests of the DynamoDB protocol.
type Server interface {
	Do(*http.Request) (*http.Response, error)
}

// A Report is what came out of a run.
type Report struct {
	Operations int
	// Refused are those of the operations that were answered by an error on both sides, SameWords those with the same
	// message, too.
	Refused, SameWords int
	// Listed counts the differences by the name that they have in the list.
	Listed map[string]int
	// Unlisted are the differences that are not in the list.
	Unlisted []string
}

// differences counts all differences.
func (r *Report) differences() int {
	n := len(r.Unlisted)
	for _, count := range r.Listed {
		n += count
	}
	return n
}

// String is the report as a line of text for each figure.
func (r *Report) String() string {
	text := fmt.Sprintf("%d operations, %d refused on both sides, %d of them in the same words; unlisted differences: %d\n",
		r.Operations, r.Refused, r.SameWords, len(r.Unlisted))
	for _, d := range differences {
		text += fmt.Sprintf("%6d × %s\n", r.Listed[d.name], d.name)
	}
	return text
}

// answer is a reply with what does not count taken out. kind is the error's, "" for success.
type answer struct {
	kind, message string
	body          object
}

// party is one of the two servers.
type party struct {
	server   Server
	endpoint string
}

// checkEvery is after how many operations the tables are compared as a whole.
const checkEvery = 1000

// maxUnlisted ends a run: what follows differs for the same reasons.
const maxUnlisted = 40

// Run compares the answers of both to n requests made from the seed. The tables must not exist yet.
func Run(ctx context.Context, theirs, ours Server, theirEndpoint string, seed uint64, n int) (*Report, error) {
	r := &run{ctx: ctx, theirs: party{theirs, theirEndpoint}, ours: party{ours, "http://localhost"}, report: &Report{Listed: map[string]int{}}}
	for i := range tables {
		req := request{"CreateTable", tables[i].create()}
		for _, p := range []party{r.theirs, r.ours} {
			if a, err := p.call(ctx, req); err != nil || a.kind != "" {
				return nil, fmt.Errorf("oracle: creating table %s: %s %s: %w", tables[i].name, a.kind, a.message, err)
			}
		}
	}
	g := &generator{Rand: rand.New(rand.NewPCG(seed, seed))}
	for i := range n {
		differ := r.report.differences()
		if err := r.compare(g.request()); err != nil {
			return nil, err
		}
		if (i+1)%checkEvery == 0 || i+1 == n {
			if err := r.compareTables(); err != nil {
				return nil, err
			}
		}
		if r.report.differences() != differ {
			g.tokens.renew()
		}
		if len(r.report.Unlisted) >= maxUnlisted {
			break
		}
	}
	return r.report, nil
}

type run struct {
	ctx          context.Context
	theirs, ours party
	report       *Report
}

// compare puts one request to both.
func (r *run) compare(req request) error {
	theirs, err := r.theirs.answer(r.ctx, req)
	if err != nil {
		return fmt.Errorf("oracle: DynamoDB Local: %w", err)
	}
	ours, err := r.ours.answer(r.ctx, req)
	if err != nil {
		return fmt.Errorf("oracle: localstream: %w", err)
	}
	r.report.Operations++
	if same(theirs, ours) {
		if ours.kind != "" {
			r.report.Refused++
			if strings.EqualFold(theirs.message, ours.message) {
				r.report.SameWords++
			}
		}
		if makesNothing(req) {
			return r.align() // the answers can be the same without ReturnValues, and the items not
		}
		return nil
	}
	if d := listed(req, theirs, ours); d != nil {
		r.report.Listed[d.name]++
	} else {
		input, _ := json.Marshal(req.input)
		r.report.Unlisted = append(r.report.Unlisted, fmt.Sprintf("%s %s\n  DynamoDB Local: %s\n  localstream:    %s", req.operation, input, theirs, ours))
	}
	return r.align()
}

func (a answer) String() string {
	body, _ := json.Marshal(a.body)
	if a.kind != "" {
		return a.kind + ": " + a.message + " " + string(body)
	}
	return string(body)
}

func same(a, b answer) bool { return a.kind == b.kind && reflect.DeepEqual(a.body, b.body) }

// compareTables compares all tables and indexes whole.
func (r *run) compareTables() error {
	for i := range tables {
		t := &tables[i]
		if err := r.compare(request{"Scan", object{"TableName": t.name}}); err != nil {
			return err
		}
		for _, x := range append(append([]index{}, t.indexes...), t.localIndexes...) {
			if err := r.compare(request{"Scan", object{"TableName": t.name, "IndexName": x.name}}); err != nil {
				return err
			}
		}
	}
	return nil
}

// align makes localstream's items those of DynamoDB Local, so that one difference is not followed by others.
func (r *run) align() error {
	for i := range tables {
		t := &tables[i]
		scan := request{"Scan", object{"TableName": t.name, "ConsistentRead": true}}
		theirs, err := r.theirs.answer(r.ctx, scan)
		if err != nil {
			return err
		}
		ours, err := r.ours.answer(r.ctx, scan)
		if err != nil {
			return err
		}
		if same(theirs, ours) {
			continue
		}
		for _, it := range ours.body["Items"].([]any) {
			if err := r.must(r.ours, request{"DeleteItem", object{"TableName": t.name, "Key": t.keyIn(it.(object))}}); err != nil {
				return err
			}
		}
		for _, it := range theirs.body["Items"].([]any) {
			a, err := r.ours.call(r.ctx, request{"PutItem", object{"TableName": t.name, "Item": it}})
			if err != nil {
				return err
			}
			if a.kind == "" {
				continue
			}
			// DynamoDB Local has let in what the service would have refused: it must go there, too.
			if err := r.must(r.theirs, request{"DeleteItem", object{"TableName": t.name, "Key": t.keyIn(it.(object))}}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) must(p party, req request) error {
	a, err := p.call(r.ctx, req)
	if err == nil && a.kind != "" {
		err = fmt.Errorf("oracle: aligning by %v: %s: %s", req, a.kind, a.message)
	}
	return err
}

func (t *table) keyIn(it object) object {
	k := object{t.hash.name: it[t.hash.name]}
	if t.sort.name != "" {
		k[t.sort.name] = it[t.sort.name]
	}
	return k
}

// call sends one request and reads the reply.
func (p party) call(ctx context.Context, req request) (answer, error) {
	body, err := json.Marshal(req.input)
	if err != nil {
		return answer{}, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.endpoint, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+req.operation)
	r.Header.Set("X-Amz-Date", "20260101T000000Z")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=oracle/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0")
	response, err := p.server.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	return parse(response.StatusCode, text)
}

// parse reads a reply and takes out what is not compared.
func parse(status int, text []byte) (a answer, err error) {
	if len(text) > 0 {
		if err := json.Unmarshal(text, &a.body); err != nil {
			return a, fmt.Errorf("reply %q: %w", text, err)
		}
	}
	if status != http.StatusOK {
		kind, _ := a.body["__type"].(string)
		a.kind = kind[strings.LastIndexByte(kind, '#')+1:]
		if a.kind == "" {
			a.kind = fmt.Sprint("status ", status)
		}
		for _, name := range []string{"message", "Message"} {
			if m, ok := a.body[name].(string); ok {
				a.message = m
			}
			delete(a.body, name)
		}
		delete(a.body, "__type")
	}
	delete(a.body, "ConsumedCapacity")
	delete(a.body, "ItemCollectionMetrics")
	normalize(a.body)
	return a, nil
}
