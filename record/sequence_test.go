package record

import (
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

// randomSequence draws a number of up to 129 digits, often close to others: few different digits, shared lengths.
func randomSequence(rng *rand.Rand) SequenceNumber {
	digits := make([]byte, 1+rng.IntN([]int{3, 56, 129}[rng.IntN(3)]))
	for i := range digits {
		digits[i] = "0129"[rng.IntN(4)]
	}
	if len(digits) > 1 && digits[0] == '0' {
		digits[0] = '4'
	}
	return SequenceNumber(digits)
}

func TestSequenceNumbersCompareAsNumbers(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		a, b := randomSequence(rng), randomSequence(rng)
		if rng.IntN(10) == 0 {
			b = a
		}
		x, _ := new(big.Int).SetString(string(a), 10)
		y, _ := new(big.Int).SetString(string(b), 10)
		if got, want := a.Compare(b), x.Cmp(y); got != want {
			t.Fatalf("%s.Compare(%s) = %d, want %d", a, b, got, want)
		}
		if padded := SequenceNumber("00" + string(a)); padded.Compare(b) != a.Compare(b) {
			t.Fatalf("leading zeros change the order of %s and %s", a, b)
		}
		if a.Validate() != nil {
			t.Fatalf("%s: %v", a, a.Validate())
		}
	}
}

func TestTheEmptySequenceNumberIsBelowAll(t *testing.T) {
	var none SequenceNumber
	if none.Compare("0") != -1 || SequenceNumber("0").Compare(none) != +1 || none.Compare("") != 0 {
		t.Error("the empty sequence number is not below 0")
	}
}

func TestSequenceCompareDoesNotAllocate(t *testing.T) {
	a := SequenceNumber("49590338271490256608559692538361571095921575989136588898")
	b := a[:55] + "9"
	if n := testing.AllocsPerRun(100, func() {
		if a.Compare(b) >= 0 || At(a, 1).Compare(At(a, 2)) >= 0 {
			t.Fatal("wrong order")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSequenceNumberValidation(t *testing.T) {
	for text, ok := range map[string]bool{
		"0": true, "1": true, "9" + strings.Repeat("0", 128): true,
		"": false, "00": false, "01": false, "-1": false, "+1": false, "1e3": false, "12 ": false, "LATEST": false, "١": false,
		"1" + strings.Repeat("0", 129): false,
	} {
		if err := SequenceNumber(text).Validate(); (err == nil) != ok {
			t.Errorf("Validate(%q) = %v, want valid: %v", text, err, ok)
		}
	}
}
