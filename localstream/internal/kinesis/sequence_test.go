package kinesis

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"
)

// spelled is the number put together digit by digit from its description.
func spelled(q sequence) string {
	hex := fmt.Sprintf("2%09x%01x%016x00%09x%08x2", q.creation, q.shard&15, q.counter, q.second, q.shard)
	n, _ := new(big.Int).SetString(hex, 16)
	return n.String()
}

func TestSequenceNumbersHaveTheServicesLayout(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 10_000 {
		q := sequence{creation: rng.Int64N(16_025_175_000), counter: rng.Uint64N(lastCounter + 1), second: rng.Int64N(1 << 36), shard: rng.Uint32()}
		if i < 4 { // the ends of the ranges
			q = []sequence{{}, {counter: lastCounter}, {creation: 1<<36 - 1, counter: lastCounter, second: 1<<36 - 1, shard: 1<<32 - 1}, {shard: 16, counter: 1}}[i]
		}
		if got := q.String(); got != spelled(q) || len(got) != sequenceDigits {
			t.Fatalf("%+v is %s, want %s", q, got, spelled(q))
		}
		if got, ok := parseSequence(q.String()); !ok || got != q {
			t.Fatalf("%s parses as %+v, %t; want %+v", q, got, ok, q)
		}
	}
}

func TestForeignSequenceNumbersAreNotParsed(t *testing.T) {
	good := sequence{creation: 1_000_000, counter: 77, second: 1_000_001, shard: 300}.String()
	n, _ := new(big.Int).SetString(good, 10)
	plus := func(bit uint) string { return new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), bit)).String() }
	for name, text := range map[string]string{
		"empty": "", "zero": "0", "short": good[1:], "long": good + "0", "letters": good[:55] + "x", "signed": "-" + good[1:],
		"another version": plus(0), "a low digit that is not the shard's": plus(144), "digits where zeros belong": plus(72),
		"counter beyond its range": plus(143), "all nines": "99999999999999999999999999999999999999999999999999999999",
	} {
		if q, ok := parseSequence(text); ok {
			t.Errorf("%s: %q parses as %+v", name, text, q)
		}
	}
}

func TestHashSpaceIsDividedAsTheServiceDoes(t *testing.T) {
	whole := new(big.Int).Lsh(big.NewInt(1), 128)
	for _, n := range []uint32{1, 2, 3, 4, 5, 7, 64, 1000} {
		part := new(big.Int).Div(whole, big.NewInt(int64(n)))
		for i, r := range divide(n) {
			start := new(big.Int).Mul(part, big.NewInt(int64(i)))
			end := new(big.Int).Sub(new(big.Int).Add(start, part), big.NewInt(1))
			if i == int(n)-1 {
				end.Sub(whole, big.NewInt(1))
			}
			if r.Start.String() != start.String() || r.End.String() != end.String() {
				t.Fatalf("range %d of %d is %s, want %s-%s", i, n, r, start, end)
			}
		}
	}
}
