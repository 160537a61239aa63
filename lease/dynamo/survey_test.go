package dynamo

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/localstream"
	"github.com/shoal-stream/shoal/record"
)

func TestSegmentsFollowTheSizeOfTheTable(t *testing.T) {
	const gib = 1 << 30
	for bytes, want := range map[int64]int32{0: 1, 1: 1, gib / 5: 1, gib/5 + 1: 2, gib: 6, 6 * gib: 31, 100 * gib: 32} {
		if got := segmentsOf(bytes); got != want {
			t.Errorf("%d bytes are scanned in %d segments, want %d", bytes, got, want)
		}
	}
}

func TestALargeTableIsScannedInSegments(t *testing.T) {
	var mu sync.Mutex
	segments := make(map[string]int)
	failing := ""
	srv, err := localstream.Open("", localstream.Options{Memory: true, Fault: func(c localstream.Call) localstream.Fault {
		if c.Operation != "Scan" {
			return localstream.Fault{}
		}
		mu.Lock()
		defer mu.Unlock()
		for i := range 5 {
			segment := fmt.Sprintf(`"Segment":%d`, i)
			if strings.Contains(string(c.Body), segment) && strings.Contains(string(c.Body), `"TotalSegments":5`) {
				segments[segment]++
				if segment == failing {
					return localstream.Fault{Reject: &localstream.Error{Type: "ProvisionedThroughputExceededException", Status: 400}}
				}
			}
		}
		return localstream.Fault{}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	s := New(dynamodb.NewFromConfig(srv.AWSConfig()), "quake-alerts")
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.segments.Load(); got != 1 {
		t.Errorf("a new table is scanned in %d segments, want 1", got)
	}
	s.segments.Store(5)
	const n = 40
	for i := range n {
		key := fmt.Sprint("s", i)
		if err := s.Create(t.Context(), lease.Lease{Key: key, Shard: key, Checkpoint: record.TrimHorizon}); err != nil {
			t.Fatal(err)
		}
		if err := s.PutMember(t.Context(), lease.Member{Worker: fmt.Sprint("w", i), Updated: s.cfg.Clock.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	rows, members, err := s.Survey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keys, workers := make(map[string]bool), make(map[string]bool)
	for _, l := range rows {
		keys[l.Key] = true
	}
	for _, m := range members {
		workers[m.Worker] = true
	}
	if len(rows) != n || len(keys) != n || len(members) != n || len(workers) != n {
		t.Errorf("Survey gave %d rows and %d members, want %d of each", len(rows), len(members), n)
	}
	if len(segments) != 5 {
		t.Errorf("scanned were %v, want 5 segments", segments)
	}
	failing = `"Segment":3`
	if _, _, err := s.Survey(t.Context()); !errors.Is(err, lease.ErrThrottled) {
		t.Errorf("Survey with a segment that is throttled = %v, want ErrThrottled", err)
	}
}
