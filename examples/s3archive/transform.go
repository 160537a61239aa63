package main

import (
	"context"
	"fmt"

	"github.com/shoal-stream/shoal/examples/s3archive/archive"
	"github.com/shoal-stream/shoal/examples/s3archive/prefix"
	"github.com/shoal-stream/shoal/record"
)

// transform makes a transform of a jq expression.
func transform(q *prefix.Query) func(context.Context, *record.Record) archive.Result {
	return func(_ context.Context, r *record.Record) archive.Result {
		results, err := q.Run(r.Data)
		switch {
		case err != nil:
			return archive.Result{Verdict: archive.Fail, Err: err}
		case len(results) == 0:
			return archive.Result{Verdict: archive.Drop}
		case len(results) > 1:
			return archive.Result{Verdict: archive.Fail, Err: fmt.Errorf("transform %q gives %d results; want one or none", q, len(results))}
		}
		data, err := prefix.Marshal(results[0])
		if err != nil {
			return archive.Result{Verdict: archive.Fail, Err: fmt.Errorf("transform %q: %w", q, err)}
		}
		return archive.Result{Verdict: archive.OK, Data: data}
	}
}
