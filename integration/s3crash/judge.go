package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/shoal-stream/shoal/integration/check"
)

// A tally counts in how many objects the records of the stream are. It is made of the stream and the bucket alone, and
// of the numbers that the flights carry.
type tally struct {
	Records      int `json:"records"`
	InExactlyOne int `json:"in_exactly_one"`
	Missing      int `json:"missing"`
	Repeated     int `json:"repeated"`
	OutOfOrder   int `json:"out_of_order"`
	Unknown      int `json:"unknown"`
	Objects      int `json:"objects"`
}

func (t tally) whole() bool {
	return t.InExactlyOne == t.Records && t.Missing == 0 && t.Repeated == 0 && t.OutOfOrder == 0 && t.Unknown == 0
}

// A place of a flight: its shard, and its number there.
type place struct {
	shard string
	n     int
}

// judge reads both with plain clients.
func judge(ctx context.Context, stream *kinesis.Client, bucket *s3.Client) (tally, error) {
	var t tally
	held, err := check.Read(ctx, stream, streamName)
	if err != nil {
		return t, err
	}
	places := map[int]place{}
	for _, s := range held.Shards {
		for n, r := range s.Records {
			id, err := number(r.Data)
			if err != nil {
				return t, err
			}
			places[id] = place{s.ID, n}
			t.Records++
		}
	}
	if len(places) != t.Records {
		return t, fmt.Errorf("the stream holds %d records and %d flights: the feed has put some twice", t.Records, len(places))
	}
	found, err := t.read(ctx, bucket, places)
	if err != nil {
		return t, err
	}
	for id := range places {
		switch n := found[id]; {
		case n == 0:
			t.Missing++
		case n == 1:
			t.InExactlyOne++
		default:
			t.Repeated += n - 1
		}
	}
	return t, nil
}

// read reads all objects, shard by shard in the order of their names, and counts where each flight is.
func (t *tally) read(ctx context.Context, bucket *s3.Client, places map[int]place) (map[int]int, error) {
	var keys []string
	pages := s3.NewListObjectsV2Paginator(bucket, &s3.ListObjectsV2Input{Bucket: aws.String(bucketName)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the bucket: %w", err)
		}
		for _, o := range page.Contents {
			if key := aws.ToString(o.Key); strings.HasSuffix(key, ".jsonl.gz") {
				keys = append(keys, key)
			}
		}
	}
	slices.SortFunc(keys, func(a, b string) int {
		return strings.Compare(a[strings.LastIndexByte(a, '/'):], b[strings.LastIndexByte(b, '/'):])
	})
	found, last := map[int]int{}, map[string]int{}
	for _, key := range keys {
		t.Objects++
		ids, err := flightsIn(ctx, bucket, key)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			p, ok := places[id]
			if !ok || !strings.Contains(key, "/"+p.shard+"/") {
				t.Unknown++
				continue
			}
			found[id]++
			if before, begun := last[p.shard]; begun && p.n <= before {
				t.OutOfOrder++
				continue
			}
			last[p.shard] = p.n
		}
	}
	return found, nil
}

// flightsIn are the numbers of the flights in an object.
func flightsIn(ctx context.Context, bucket *s3.Client, key string) ([]int, error) {
	out, err := bucket.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: &key})
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	defer out.Body.Close()
	text, err := gzip.NewReader(out.Body)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	var ids []int
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		id, err := number(lines.Bytes())
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", key, err)
		}
		ids = append(ids, id)
	}
	return ids, lines.Err()
}

// number is the number that the feed gave a flight.
func number(line []byte) (int, error) {
	var flight struct{ ID *int }
	if err := json.Unmarshal(line, &flight); err != nil || flight.ID == nil {
		return 0, fmt.Errorf("no flight with a number: %q: %w", line, err)
	}
	return *flight.ID, nil
}
