package wire

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"testing"
)

// everyWay runs a test without vector instructions, with those that there are, and with all but the wide ones.
func everyWay(t *testing.T, test func(t *testing.T)) {
	some, all := vectors, wide
	defer func() { vectors, wide = some, all }()
	for _, way := range [][2]bool{{false, false}, {some, false}, {some, all}} {
		vectors, wide = way[0], way[1]
		t.Run(fmt.Sprintf("vectors=%t,wide=%t", vectors, wide), test)
	}
}

func TestBase64IsTheStandardLibrarys(t *testing.T) { everyWay(t, testBase64) }

func testBase64(t *testing.T) {
	rng := rand.NewChaCha8([32]byte{1})
	for size := range 200 {
		data := make([]byte, size)
		_, _ = rng.Read(data)
		want := base64.StdEncoding.EncodeToString(data)
		if got := appendBase64([]byte("before"), data); string(got) != "before"+want {
			t.Fatalf("%d bytes: encoded as %q, want %q", size, got, want)
		}
		roomy := append(make([]byte, 0, 1000), "before"...)
		if got := appendBase64(roomy, data); string(got) != "before"+want {
			t.Fatalf("%d bytes into a large buffer: encoded as %q, want %q", size, got, want)
		}
		text := []byte(want)
		n, err := decodeBase64(text)
		if err != nil || !bytes.Equal(text[:n], data) {
			t.Fatalf("%d bytes: decoded %x, %v; want %x", size, text[:n], err, data)
		}
	}
}

// TestDamagedBase64 puts every byte at every place of a text: the same must come out as from the standard library,
// and after an error what lies behind the damage must still be there.
func TestDamagedBase64(t *testing.T) { everyWay(t, testDamagedBase64) }

func testDamagedBase64(t *testing.T) {
	for _, good := range []string{"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo=", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWQ==",
		"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3ODkr"} {
		for at := range len(good) {
			for c := range 256 {
				if c == '\r' || c == '\n' {
					continue // refused before decoding
				}
				text := []byte(good)
				text[at] = byte(c)
				given := bytes.Clone(text)
				want, wantErr := base64.StdEncoding.Strict().DecodeString(string(text))
				n, err := decodeBase64(text)
				if (err == nil) != (wantErr == nil) || err != nil && err != wantErr {
					t.Fatalf("%q: error %v, want %v", given, err, wantErr)
				}
				if !bytes.Equal(text[:n], want) {
					t.Fatalf("%q: decoded %q, want %q", given, text[:n], want)
				}
				if err != nil && !bytes.Equal(text[n/3*4+4:], given[n/3*4+4:]) {
					t.Fatalf("%q: %q is left behind the damage", given, text)
				}
			}
		}
	}
}

// TestBlobsAreReadInOnePassAsInMany puts bytes of each kind at every place of a blob: read in one pass it gives what it gives read
// in several, and the text behind it is untouched.
func TestBlobsAreReadInOnePassAsInMany(t *testing.T) { everyWay(t, testBlobsInOnePass) }

func testBlobsInOnePass(t *testing.T) {
	var plain []byte
	for size := range 60 {
		good := append(append([]byte(`"`), appendBase64(nil, plain)...), `", "the next member": "QUJDREVGR0hJSktMTU5P"}`...)
		plain = append(plain, byte(91*size+7))
		for at := range len(good) {
			for _, c := range []byte("\x00\t\r\n \"\\=+/-09AZaz\x7f\x80\xff") {
				text := bytes.Clone(good)
				text[at] = c
				one, many := scanner{b: bytes.Clone(text)}, scanner{b: bytes.Clone(text)}
				data, problem, err := one.blob()
				wantData, wantProblem, wantErr := many.anyBlob()
				if !bytes.Equal(data, wantData) || (data == nil) != (wantData == nil) || problem != wantProblem || err != wantErr || one.i != many.i {
					t.Fatalf("%q: %q, %q, %v up to %d; want %q, %q, %v up to %d", text, data, problem, err, one.i, wantData, wantProblem, wantErr, many.i)
				}
				if err == nil && !bytes.Equal(one.b[one.i:], text[one.i:]) {
					t.Fatalf("%q: %q is left behind the blob", text, one.b[one.i:])
				}
			}
		}
	}
}

func BenchmarkBase64(b *testing.B) {
	data := make([]byte, 1024)
	out := make([]byte, 0, 2000)
	text := appendBase64(nil, data)
	b.Run("encode", func(b *testing.B) {
		b.SetBytes(1024)
		for b.Loop() {
			out = appendBase64(out[:0], data)
		}
	})
	scratch := make([]byte, len(text))
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(1024)
		for b.Loop() {
			copy(scratch, text)
			if _, err := decodeBase64(scratch); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("std-encode", func(b *testing.B) {
		b.SetBytes(1024)
		for b.Loop() {
			out = base64.StdEncoding.AppendEncode(out[:0], data)
		}
	})
}
