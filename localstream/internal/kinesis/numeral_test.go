package kinesis

import (
	"math/big"
	"strings"
	"testing"
)

func TestSequenceNumbersOfAllLayoutsAreRead(t *testing.T) {
	decimal := func(hex string) string {
		n, ok := new(big.Int).SetString(hex, 16)
		if !ok {
			t.Fatalf("%q is not hexadecimal", hex)
		}
		return n.String()
	}
	for name, test := range map[string]struct {
		text string
		want numeral
		ok   bool
	}{
		"own":                 {sequence{creation: 1_000_000, counter: 7, second: 1_000_002, shard: 300}.String(), numeral{2, 1_000_000, 1_000_002, 300}, true},
		"zero":                {"0", numeral{}, true},
		"old, small":          {"12345", numeral{shard: 12345}, true},
		"old, largest shard":  {"65535", numeral{shard: 65535}, true},
		"second layout":       {decimal("2" + "000000005" + "0" + "00" + "000000006" + strings.Repeat("0", 14) + "00" + "00000007" + "1"), numeral{1, 5, 6, 7}, true},
		"negative shard":      {decimal("2" + strings.Repeat("0", 37) + "80000000" + "2"), numeral{version: 2, shard: -0x80000000}, true},
		"counter too high":    {decimal("2" + strings.Repeat("0", 10) + "8" + strings.Repeat("0", 34) + "2"), numeral{}, false},
		"created too late":    {decimal("2" + "3bb2cc3d8" + strings.Repeat("0", 36) + "2"), numeral{}, false},
		"between the layouts": {"1" + strings.Repeat("0", 50), numeral{}, false},
		"third version":       {decimal("2" + strings.Repeat("0", 45) + "3"), numeral{}, false},
		"longest":             {strings.Repeat("9", 129), numeral{}, false},
	} {
		if got, ok := parseNumeral(test.text); ok != test.ok || ok && got != test.want {
			t.Errorf("%s: %s is %+v, %t; want %+v, %t", name, test.text, got, ok, test.want, test.ok)
		}
	}
}

func TestIteratorsHaveTheServicesLength(t *testing.T) {
	s := &Service{seal: sealer{key: []byte("a key for tests")}}
	for n := 1; n <= 128; n++ {
		it := iterator{7, 3, 99, strings.Repeat("n", n)}
		text := s.sealIterator(it)
		if want := (152 + (n+2)/16*16 + 2) / 3 * 4; len(text) != want || len(text) > 512 || !strings.HasPrefix(text, "AAAAAAAAAAE") {
			t.Fatalf("an iterator for a name of %d characters has %d, want %d: %s", n, len(text), want, text)
		}
		if got, err := s.openIterator(text); err != nil || got != it {
			t.Fatalf("%+v opens as %+v, %v", it, got, err)
		}
	}
}
