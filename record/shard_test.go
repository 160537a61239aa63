package record

import (
	"crypto/md5"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

func (h HashKey) big() *big.Int {
	n := new(big.Int).Lsh(new(big.Int).SetUint64(h.Hi), 64)
	return n.Or(n, new(big.Int).SetUint64(h.Lo))
}

// randomHashKey draws a point, often at an edge of a word.
func randomHashKey(rng *rand.Rand) HashKey {
	word := func() uint64 {
		return []uint64{0, 1, ^uint64(0), 1 << 63, rng.Uint64(), rng.Uint64N(100)}[rng.IntN(6)]
	}
	return HashKey{word(), word()}
}

func TestHashKeysAreNumbers(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	space := new(big.Int).Lsh(big.NewInt(1), 128)
	one := big.NewInt(1)
	for range 20000 {
		h, k := randomHashKey(rng), randomHashKey(rng)
		if got, want := h.Compare(k), h.big().Cmp(k.big()); got != want {
			t.Fatalf("%v.Compare(%v) = %d, want %d", h, k, got, want)
		}
		if h.String() != h.big().String() {
			t.Fatalf("String = %s, want %s", h, h.big())
		}
		if back, err := ParseHashKey(h.String()); err != nil || back != h {
			t.Fatalf("%v came back as %v, %v", h, back, err)
		}
		next := new(big.Int).Add(h.big(), one)
		if h.Next().big().Cmp(next.Mod(next, space)) != 0 || h.Next().Prev() != h {
			t.Fatalf("%v: Next %v, Prev of that %v", h, h.Next(), h.Next().Prev())
		}
	}
}

func TestParseHashKeyTakesTheWholeSpaceAndNothingElse(t *testing.T) {
	for text, want := range map[string]HashKey{
		"0": {}, "18446744073709551616": {1, 0}, "340282366920938463463374607431768211455": MaxHashKey,
	} {
		if h, err := ParseHashKey(text); err != nil || h != want {
			t.Errorf("ParseHashKey(%s) = %v, %v", text, h, err)
		}
	}
	for _, text := range []string{
		"", "00", "-1", "+1", "1.0", " 1", "0x10", "340282366920938463463374607431768211456",
		"999999999999999999999999999999999999999", "1000000000000000000000000000000000000000", strings.Repeat("1", 1<<20),
	} {
		h, err := ParseHashKey(text)
		if err == nil {
			t.Errorf("ParseHashKey(%.50q) = %v, want an error", text, h)
		} else if len(err.Error()) > 200 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
}

func TestHashOfIsTheMD5OfTheKey(t *testing.T) {
	for key, want := range map[string]string{
		"": "281949768489412648962353822266799178366", "alpha": "58606826522850340945736240254012750329", "größe": "337266825651901186933450317388867804363",
	} {
		if got := HashOf(key); got.String() != want {
			t.Errorf("HashOf(%q) = %s, want %s", key, got, want)
		}
		sum := md5.Sum([]byte(key))
		if HashOf(key).big().Cmp(new(big.Int).SetBytes(sum[:])) != 0 {
			t.Errorf("HashOf(%q) is not its MD5", key)
		}
	}
}

func TestARecordLiesAtItsExplicitHashKeyIfThatIsValid(t *testing.T) {
	for explicit, want := range map[string]HashKey{
		"": HashOf("alpha"), "0": {}, "340282366920938463463374607431768211455": MaxHashKey,
		"340282366920938463463374607431768211456": HashOf("alpha"), "beta": HashOf("alpha"),
	} {
		r := Record{PartitionKey: "alpha", ExplicitHashKey: explicit}
		if got := r.HashKey(); got != want {
			t.Errorf("explicit %q: HashKey = %v, want %v", explicit, got, want)
		}
	}
}

func TestRangesIncludeBothEnds(t *testing.T) {
	at := func(n uint64) HashKey { return HashKey{Lo: n} }
	r := HashKeyRange{at(10), at(20)}
	for n, want := range map[uint64]bool{9: false, 10: true, 15: true, 20: true, 21: false} {
		if r.Contains(at(n)) != want {
			t.Errorf("Contains(%d) = %v", n, !want)
		}
	}
	for _, c := range []struct {
		from, to uint64
		want     bool
	}{{0, 9, false}, {0, 10, true}, {12, 13, true}, {0, 99, true}, {20, 30, true}, {21, 30, false}} {
		s := HashKeyRange{at(c.from), at(c.to)}
		if r.Overlaps(s) != c.want || s.Overlaps(r) != c.want {
			t.Errorf("%v overlaps %v: %v", r, s, !c.want)
		}
	}
	if !FullRange.Contains(HashKey{}) || !FullRange.Contains(MaxHashKey) || r.String() != "10-20" {
		t.Error("the full range is not full, or a range does not print")
	}
}

func TestCloneSharesNothing(t *testing.T) {
	r := Record{SequenceNumber: "1", PartitionKey: "k", Data: []byte("data")}
	c := r.Clone()
	r.Data[0] = 'X'
	if string(c.Data) != "data" || c.PartitionKey != "k" || c.SequenceNumber != "1" || c.Size() != 5 {
		t.Errorf("clone %+v", c)
	}
}
