package kinesisstream

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/schemas"

	"github.com/shoal-stream/shoal/internal/clock"
	"github.com/shoal-stream/shoal/internal/shortcut"
)

// allowsShortcuts reports whether reads of a client with the options o may do without what the SDK does around a call,
// which costs several times what reading an idle shard does.
func allowsShortcuts(o *kinesis.Options) bool {
	w := shortcut.Watch{
		APIOptions: o.APIOptions, Interceptors: o.Interceptors, ClientLogMode: o.ClientLogMode,
		TracerProvider: o.TracerProvider, MeterProvider: o.MeterProvider,
	}
	return w.None()
}

// newReads are the reads by a Stream's own client, which has the options o.
func newReads(o *kinesis.Options, c clock.Clock) *shortcut.Call {
	client := &shortcut.Client{ServiceID: kinesis.ServiceID, Protocol: o.Protocol, Errors: kinesis.TypeRegistry, HTTP: o.HTTPClient, Clock: c}
	return client.Call(schemas.GetRecords, schemas.GetRecordsInput, schemas.GetRecordsOutput)
}

// getRecords is GetRecords of the API, by a shortcut if that can be.
func (s *Stream) getRecords(ctx context.Context, in *kinesis.GetRecordsInput) (*kinesis.GetRecordsOutput, error) {
	n := s.reads.Ready()
	if n == nil {
		return s.api.GetRecords(s.reads.Learn(ctx), in)
	}
	out := &kinesis.GetRecordsOutput{}
	if err := s.reads.Do(ctx, n, in, out); err != nil {
		return nil, err
	}
	return out, nil
}
