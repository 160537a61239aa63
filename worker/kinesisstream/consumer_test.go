package kinesisstream_test

import (
	"fmt"
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
	"github.com/shoal-stream/shoal/worker/kinesisstream"
)

func TestTheConsumerIsRegisteredOnceWaitedForAndLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, 4, localstream.Options{Transition: 7 * time.Second, Limits: localstream.RealLimits})
		api, w := l.over()
		s := fanOut(api)
		if w.count("RegisterStreamConsumer") != 0 {
			t.Error("registered before it is needed")
		}
		start := time.Now()
		var all sync.WaitGroup
		for i := range 4 {
			r := s.Open(fmt.Sprintf("shardId-%012d", i), record.TrimHorizon)
			all.Go(func() {
				if _, err := r.Read(t.Context()); err != nil {
					t.Error(err)
				}
				r.Close()
			})
		}
		all.Wait()
		if d := time.Since(start); d < 7*time.Second || d > 9*time.Second || w.count("RegisterStreamConsumer") != 1 || w.count("SubscribeToShard") != 4 {
			t.Errorf("after %v: %v", d, w.calls)
		}
		list := func() []types.Consumer {
			arn := aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/s")
			out, err := l.api.ListStreamConsumers(t.Context(), &kinesis.ListStreamConsumersInput{StreamARN: arn})
			if err != nil {
				t.Fatal(err)
			}
			return out.Consumers
		}
		left := list()
		if len(left) != 1 || *left[0].ConsumerName != "alerts" {
			t.Fatalf("consumers %+v", left)
		}
		time.Sleep(5 * time.Second)
		byARN := kinesisstream.New(api, "s", kinesisstream.Options{FanOut: *left[0].ConsumerARN}) // the same one
		r := byARN.Open("shardId-000000000000", record.TrimHorizon)
		if _, err := r.Read(t.Context()); err != nil || w.count("RegisterStreamConsumer") != 1 {
			t.Errorf("by ARN: %v, %v", err, w.calls)
		}
		r.Close()
		if err := byARN.Deregister(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(7 * time.Second)
		if len(list()) != 0 {
			t.Errorf("consumers %+v", list())
		}
		if err := s.Deregister(t.Context()); err != nil {
			t.Errorf("nothing to deregister: %v", err)
		}
		if err := kinesisstream.New(api, "s").Deregister(t.Context()); err == nil {
			t.Error("Deregister without fan-out has no error")
		}
	})
}

func TestAConsumerThatIsDeletedIsRegisteredAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, 1, localstream.Options{})
		api, w := l.over()
		id, _ := l.putN(t, half, 0, 3, 0)
		s := fanOut(api)
		r := s.Open(id, record.TrimHorizon)
		defer r.Close()
		data, _ := readN(t, r, 3)
		if err := fanOut(l.api).Deregister(t.Context()); err != nil { // somebody else
			t.Fatal(err)
		}
		l.putN(t, half, 3, 3, 0)
		failures := 0
		for len(data) < 6 {
			page, err := r.Read(t.Context())
			if err != nil {
				if failures++; failures > 3 || !strings.Contains(err.Error(), "is gone") {
					t.Fatal(err)
				}
				continue
			}
			for _, rec := range page.Records {
				data = append(data, string(rec.Data))
			}
		}
		want(t, "with another consumer", data, 0, 6)
		if w.count("RegisterStreamConsumer") != 2 {
			t.Errorf("calls %v", w.calls)
		}
	})
}

func TestWithoutRoomForAConsumerReadersPollUntilThereIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLocal(t, 1, localstream.Options{Limits: localstream.RealLimits})
		arn := aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/s")
		for i := range 20 {
			if _, err := l.api.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: arn, ConsumerName: aws.String(fmt.Sprint("c", i))}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		id, _ := l.putN(t, half, 0, 3, 0)
		api, w := l.over()
		s := fanOut(api)
		r, other := s.Open(id, record.TrimHorizon), s.Open(id, record.TrimHorizon)
		defer r.Close()
		defer other.Close()
		if _, err := r.Read(t.Context()); err == nil || !strings.Contains(err.Error(), "reading stream s by polling") || !strings.Contains(err.Error(), "it has 20") {
			t.Fatalf("Read = %v", err)
		}
		if _, err := other.Read(t.Context()); err != nil {
			t.Errorf("another reader says it again: %v", err)
		}
		start, reads := time.Now(), 0
		next := 0
		for time.Since(start) < 4*time.Minute {
			page, err := r.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			reads++
			for _, rec := range page.Records {
				if string(rec.Data) != fmt.Sprintf("r%d", next) {
					t.Fatalf("%q, want r%d", rec.Data, next)
				}
				if next++; next%10 == 0 {
					l.putN(t, half, next, 1, 0)
				}
			}
			if next < 10 && len(page.Records) > 0 {
				l.putN(t, half, next, 1, 0)
			}
		}
		if reads < 230 || reads > 260 || w.count("SubscribeToShard") != 0 || w.count("RegisterStreamConsumer") != 1 {
			t.Errorf("%d reads in 4 minutes; calls %v", reads, w.calls)
		}
		if _, err := l.api.DeregisterStreamConsumer(t.Context(), &kinesis.DeregisterStreamConsumerInput{StreamARN: arn, ConsumerName: aws.String("c7")}); err != nil {
			t.Fatal(err)
		}
		for w.count("SubscribeToShard") == 0 {
			if _, err := r.Read(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d > 5*time.Minute+5*time.Second {
			t.Errorf("back to fan-out after %v", d)
		}
		l.putN(t, half, next, 5, time.Second)
		for last := next + 5; next < last; {
			page, err := r.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, rec := range page.Records {
				if string(rec.Data) != fmt.Sprintf("r%d", next) {
					t.Fatalf("%q, want r%d", rec.Data, next)
				}
				next++
			}
		}
	})
}
