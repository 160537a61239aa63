package record

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestAnAggregateIsTheGoldenOneButForItsTags(t *testing.T) {
	var a Aggregate
	for _, r := range []Record{
		{PartitionKey: "alpha", Data: []byte("one")},
		{PartitionKey: "beta", ExplicitHashKey: "170141183460469231731687303715884105728", Data: nil},
		{PartitionKey: "alpha", Data: []byte("three")},
	} {
		a.Add(&r)
	}
	golden := unhex(t, goldenAggregate)
	message := strings.Replace(string(golden[4:len(golden)-16]), // the tag of the second record
		"\x1a\x0e\x08\x01\x10\x00\x1a\x00\x22\x06\x0a\x01k\x12\x01v", "\x1a\x06\x08\x01\x10\x00\x1a\x00", 1)
	if got := a.Encode(); string(got) != string(seal([]byte(message))) {
		t.Errorf("got %x\nwant %x", got, seal([]byte(message)))
	}
}

func TestAggregatesComeBackWhole(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		var a Aggregate
		var want []string
		for range rng.IntN(300) {
			r := Record{PartitionKey: fmt.Sprint("key-", rng.IntN(1+rng.IntN(200))), Data: make([]byte, rng.IntN(300))}
			for i := range r.Data {
				r.Data[i] = byte(rng.Uint32())
			}
			if rng.IntN(3) == 0 {
				r.ExplicitHashKey = randomHashKey(rng).String()
			}
			predicted := a.SizeWith(&r)
			a.Add(&r)
			if a.Size() != predicted {
				t.Fatalf("Size is %d after SizeWith said %d", a.Size(), predicted)
			}
			want = append(want, fmt.Sprintf("%q %q %q", r.PartitionKey, r.ExplicitHashKey, r.Data))
		}
		data := a.Encode()
		if len(data) != a.Size() || a.Len() != len(want) {
			t.Fatalf("%d bytes and %d records, want %d and %d", len(data), a.Len(), a.Size(), len(want))
		}
		if len(want) == 0 {
			continue // the magic and checksum of nothing is too short to be taken for an aggregate
		}
		compareWithProtobuf(t, data[4:len(data)-16])
		subs, ok := Deaggregate(Record{Data: data})
		if !ok || len(subs) != len(want) {
			t.Fatalf("Deaggregate = %d records, %v, want %d", len(subs), ok, len(want))
		}
		for i, s := range subs {
			if got := fmt.Sprintf("%q %q %q", s.PartitionKey, s.ExplicitHashKey, s.Data); got != want[i] {
				t.Fatalf("record %d is %s, want %s", i, got, want[i])
			}
		}
	}
}
