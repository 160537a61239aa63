// Package kinesiscbor is a faster wire codec for clients of Amazon Kinesis Data Streams: CBOR 1.1, which the service
// speaks beside JSON and the Java SDK uses by default, decoded without copying the records.
//
//	client := kinesis.NewFromConfig(cfg, kinesiscbor.Enable)
//
// Nothing else of the client changes: requests go through the SDK's middlewares, its signing and its retries, and
// answers and errors are the SDK's types. PutRecord, PutRecords, GetRecords, GetShardIterator, ListShards and
// SubscribeToShard are in CBOR, all other operations as before. An answer that comes in JSON is read as such.
//
// The records of an answer share memory: Data is a part of the answer's body and must not be changed, and who keeps
// the Data of one record keeps the body of all. The body is never used again for something else, so that Data stays
// valid as long as it is referenced. Sequence numbers and partition keys lie in small blocks of their own.
package kinesiscbor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/schemas"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"
)

// mediaType is what CBOR 1.1 is called in Content-Type. The protocol is in no published model; its facts are from the
// Java SDK: blobs are byte strings, timestamps tag 1 around an integer of milliseconds since the epoch.
const mediaType = "application/x-amz-cbor-1.1"

// target stands before the operation's name in X-Amz-Target (Kinesis API reference, "Making HTTP Requests").
const target = "Kinesis_20131202."

// Enable makes a client use this codec: give it to kinesis.New or kinesis.NewFromConfig, or to a single call. The
// protocol that the client had before serves all operations that do not move data.
func Enable(o *kinesis.Options) {
	if _, ours := o.Protocol.(*protocol); ours {
		return
	}
	sdk := o.Protocol
	if sdk == nil {
		sdk = newJSON()
	}
	o.Protocol = &protocol{ClientProtocol: sdk}
}

// Disable undoes Enable: it gives a client, or a single call, the protocol back that was there before.
func Disable(o *kinesis.Options) {
	if p, ours := o.Protocol.(*protocol); ours {
		o.Protocol = p.ClientProtocol
	}
}

// newJSON makes the protocol that the SDK uses for Kinesis.
func newJSON() smithyhttp.ClientProtocol { return awsjson.New11(schemas.Kinesis_20131202) }

// protocol is the SDK's protocol with the data operations in CBOR. It has no state, so that any number of calls and
// subscriptions may use it at once.
type protocol struct{ smithyhttp.ClientProtocol }

// inCBOR tells whether requests of the operation go out in CBOR.
func inCBOR(operation string) bool {
	switch operation {
	case "PutRecord", "PutRecords", "GetRecords", "GetShardIterator", "ListShards", "SubscribeToShard":
		return true
	}
	return false
}

// SerializeRequest writes the request of a data operation.
func (p *protocol) SerializeRequest(ctx context.Context, op *smithy.OperationSchema, in smithy.Serializable, req *smithyhttp.Request) error {
	name := op.ID().Name
	if !inCBOR(name) {
		return p.ClientProtocol.SerializeRequest(ctx, op, in, req)
	}
	req.Method = http.MethodPost
	if req.URL.Path == "" {
		req.URL.Path = "/"
	}
	req.Header.Set("X-Amz-Target", target+name)
	req.Header.Set("Content-Type", mediaType)
	w := &writer{b: make([]byte, 0, requestSize(in))}
	in.Serialize(w)
	if w.err != nil {
		return fmt.Errorf("encode the request in CBOR: %w", w.err)
	}
	body := &requestBody{}
	body.r.Reset(w.b)
	sent, err := req.SetStream(body)
	if err != nil {
		return fmt.Errorf("set the request's body: %w", err)
	}
	*req = *sent
	return nil
}

// requestSize is room enough for most requests of in, so that their records are copied once.
func requestSize(in smithy.Serializable) int {
	const member, rest = 64, 512 // what stands around an entry, and the members beside the entries
	size := rest
	switch in := in.(type) {
	case *kinesis.PutRecordInput:
		size += len(in.Data) + member
	case *kinesis.PutRecordsInput:
		for i := range in.Records {
			e := &in.Records[i]
			size += len(e.Data) + member
			if e.PartitionKey != nil {
				size += len(*e.PartitionKey)
			}
			if e.ExplicitHashKey != nil {
				size += len(*e.ExplicitHashKey) + member
			}
		}
	}
	return size
}

// A requestBody is a bytes.Reader without WriteTo, which the SDK's wrapper of bodies and net/http do not agree about:
// between them a connection may be dropped while the answer is read.
type requestBody struct{ r bytes.Reader }

func (b *requestBody) Read(p []byte) (int, error)                 { return b.r.Read(p) }
func (b *requestBody) Seek(offset int64, from int) (int64, error) { return b.r.Seek(offset, from) }
func (b *requestBody) Len() int                                   { return b.r.Len() }

// DeserializeResponse reads an answer in CBOR into out, or returns the error that it tells.
func (p *protocol) DeserializeResponse(ctx context.Context, op *smithy.OperationSchema, known *smithy.TypeRegistry, resp *smithyhttp.Response, out smithy.Deserializable) error {
	var page *Page
	answer, getRecords := out.(*kinesis.GetRecordsOutput)
	if getRecords {
		page = pageFor(ctx)
	}
	if !isCBOR(resp.Header.Get("Content-Type")) {
		return p.ClientProtocol.DeserializeResponse(ctx, op, known, resp, out)
	}
	if resp.StatusCode < 200 || resp.StatusCode >= 300 {
		return failure(known, resp)
	}
	if getRecords && resp.ContentLength > 0 {
		return readPage(resp.Body, resp.ContentLength, answer, page)
	}
	body, err := readBody(resp.Body, resp.ContentLength, maxBody)
	if err != nil {
		return unread(err)
	}
	if len(body) == 0 {
		return nil
	}
	if err := decode(body, out); err != nil {
		return &smithy.DeserializationError{Err: err}
	}
	return nil
}

// unread is the error of an answer of which not all came.
func unread(err error) error {
	return &smithy.DeserializationError{Err: fmt.Errorf("read the answer: %w", err)}
}

// readPage decodes an answer of GetRecords while it comes, its records into page if there is one.
func readPage(r io.Reader, length int64, out *kinesis.GetRecordsOutput, page *Page) error {
	in, err := newIncoming(r, length, maxBody)
	if err != nil {
		return unread(err)
	}
	err = decodePage(in, out, page)
	switch {
	case in.err != nil:
		return unread(in.err)
	case err != nil:
		return &smithy.DeserializationError{Err: err}
	}
	return nil
}

func isCBOR(contentType string) bool {
	if contentType == mediaType {
		return true
	}
	parsed, _, err := mime.ParseMediaType(contentType)
	return err == nil && parsed == mediaType
}

// decode reads a whole body into out, with a way of its own for what carries records.
func decode(body []byte, out smithy.Deserializable) error {
	d := &decoder{s: scanner{b: body}}
	var err error
	switch out := out.(type) {
	case *kinesis.GetRecordsOutput:
		err = d.getRecords(out)
	case *types.SubscribeToShardEvent:
		err = d.event(out)
	default:
		err = out.Deserialize(d)
	}
	return d.end(err)
}

// end is err, or that something follows the value that was read.
func (d *decoder) end(err error) error {
	if err == nil && d.s.i < len(d.s.b) {
		err = d.s.malformed("something behind the value")
	}
	return err
}

// decodePage is decode for a body that is still to come, with its records into page if there is one.
func decodePage(in *incoming, out *kinesis.GetRecordsOutput, page *Page) error {
	if err := in.more(0); err != nil {
		return err
	}
	d := &decoder{s: scanner{b: in.body}, in: in, page: page}
	err := d.getRecords(out)
	begun := len(d.s.b)
	if broken := in.all(); broken != nil {
		return broken
	}
	if err != nil && begun < len(in.body) { // what it stumbled over may only not have been there yet
		*out, d = kinesis.GetRecordsOutput{}, &decoder{s: scanner{b: in.body}, page: page}
		err = d.getRecords(out)
	}
	d.s.b = in.body
	return d.end(err)
}

// failure is the error that an answer tells, of the SDK's types where the service's model has it.
func failure(known *smithy.TypeRegistry, resp *smithyhttp.Response) error {
	body, err := readBody(resp.Body, -1, maxErrorBody)
	if err != nil {
		return &smithy.DeserializationError{Err: fmt.Errorf("read the error: %w", err)}
	}
	var info errorInfo
	if len(body) > 0 {
		if err := info.read(body); err != nil {
			return &smithy.DeserializationError{Err: fmt.Errorf("decode the error: %w", err), Snapshot: body[:min(len(body), 1024)]}
		}
	}
	code := resp.Header.Get("X-Amzn-ErrorType") // before the body, as in the SDK
	if code == "" {
		code = info.code
	}
	return info.modelled(known, code, body)
}

// errorInfo is what bodies of errors have in common.
type errorInfo struct{ code, message string }

// read finds the two members that tell what is wrong.
func (e *errorInfo) read(body []byte) error {
	s := scanner{b: body}
	err := s.members(func(name []byte) error {
		to := &e.message
		switch string(name) {
		case "__type":
			to = &e.code
		case "message", "Message":
		default:
			return s.skip(1)
		}
		if s.none() {
			return nil
		}
		text, err := s.text()
		*to = string(text)
		return err
	})
	if err == nil && s.i < len(body) {
		err = s.malformed("something behind the error")
	}
	return err
}

// modelled is the error of the given code, as NAME, NAMESPACE#NAME or NAME:URI.
func (e *errorInfo) modelled(known *smithy.TypeRegistry, code string, body []byte) error {
	code, _, _ = strings.Cut(code, ":")
	if _, name, ok := strings.Cut(code, "#"); ok {
		code = name
	}
	if code == "" {
		code = "UnknownError"
	}
	err, ok := known.DeserializableError(code)
	if !ok {
		message := e.message
		if message == "" {
			message = "UnknownError"
		}
		return &smithy.GenericAPIError{Code: code, Message: message}
	}
	if len(body) > 0 {
		if err := decode(body, err); err != nil {
			return &smithy.DeserializationError{Err: fmt.Errorf("decode %s: %w", code, err)}
		}
	}
	return err
}
