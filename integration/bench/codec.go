package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/schemas"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"
	"github.com/aws/smithy-go/transport/http/protocol/rpcv2"

	"github.com/shoal-stream/shoal/integration/bench/job"
	"github.com/shoal-stream/shoal/record/kinesiscbor"
)

func shoalCodec() (smithyhttp.ClientProtocol, string) {
	var o kinesis.Options
	kinesiscbor.Enable(&o)
	return o.Protocol, "application/x-amz-cbor-1.1"
}

func sdkJSON() (smithyhttp.ClientProtocol, string) {
	return awsjson.New11(schemas.Kinesis_20131202), "application/x-amz-json-1.1"
}

func sdkCBOR() (smithyhttp.ClientProtocol, string) {
	return rpcv2.NewCBOR(schemas.Kinesis_20131202), "application/cbor"
}

// readAnswers decodes one answer of GetRecords again and again, as the codec itself has written it.
func readAnswers(codec func() (smithyhttp.ClientProtocol, string)) func(context.Context, job.Job) (job.Figures, error) {
	return func(ctx context.Context, j job.Job) (job.Figures, error) {
		protocol, media := codec()
		operation := smithy.NewOperationSchema(schemas.GetRecords, schemas.GetRecordsInput, schemas.GetRecordsOutput)
		req := &smithyhttp.Request{Request: &http.Request{URL: &url.URL{}, Header: http.Header{}}}
		if err := protocol.SerializeRequest(ctx, operation, answer(j.Records, j.Size), req); err != nil {
			return nil, err
		}
		body, err := io.ReadAll(req.GetStream())
		if err != nil {
			return nil, err
		}
		read := func() error {
			out := &kinesis.GetRecordsOutput{}
			resp := &smithyhttp.Response{Response: &http.Response{
				StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {media}},
				Body: io.NopCloser(pieces{bytes.NewReader(body)}), ContentLength: int64(len(body)),
			}}
			err := protocol.DeserializeResponse(ctx, operation, kinesis.TypeRegistry, resp, out)
			if err == nil && len(out.Records) != j.Records {
				err = fmt.Errorf("read %d records, want %d", len(out.Records), j.Records)
			}
			return err
		}
		others := make([]byte, 64<<20) // what else is in memory, as pages of other shards are: it spaces the collections
		defer runtime.KeepAlive(others)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for first := before.NumGC; before.NumGC < first+4; runtime.ReadMemStats(&before) { // until the process has its memory
			if err := read(); err != nil {
				return nil, err
			}
		}
		answers, cpu := 0, cpuTime()
		for deadline := time.Now().Add(j.Window); answers < 5 || time.Now().Before(deadline); answers++ {
			if err := read(); err != nil {
				return nil, err
			}
		}
		cpu = cpuTime() - cpu
		runtime.ReadMemStats(&after)
		records := float64(answers * j.Records)
		if records == 0 {
			return nil, errors.New("no records in the answer")
		}
		return job.Figures{
			"ns_per_record":     float64(cpu.Nanoseconds()) / records,
			"allocs_per_record": float64(after.Mallocs-before.Mallocs) / records,
		}, nil
	}
}

// answer is one of n records with size bytes of data each.
func answer(n, size int) *kinesis.GetRecordsOutput {
	data := bytes.Repeat([]byte("0123456789abcdef"), size/16+2)
	out := &kinesis.GetRecordsOutput{MillisBehindLatest: aws.Int64(12), NextShardIterator: aws.String(strings.Repeat("AAAAAAAAAAH", 20))}
	for i := range n {
		out.Records = append(out.Records, types.Record{
			SequenceNumber: aws.String(fmt.Sprintf("49590338271490256608559692538361571095921575989136%06d", i)),
			PartitionKey:   aws.String(fmt.Sprintf("sensor-%d", i%1000)), Data: data[i%16 : i%16+size],
			ApproximateArrivalTimestamp: aws.Time(time.UnixMilli(1_700_000_000_000 + int64(i))),
		})
	}
	return out
}

// pieces gives a body as a connection does, in frames of 16 KiB.
type pieces struct{ r io.Reader }

func (p pieces) Read(b []byte) (int, error) { return p.r.Read(b[:min(len(b), 16<<10)]) }
