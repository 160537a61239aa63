package kinesis

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/shoal-stream/shoal/localstream/internal/wire"
)

// BenchmarkDecodePutRecords reads a request of 500 records of 1 KiB.
func BenchmarkDecodePutRecords(b *testing.B) {
	rng := rand.NewChaCha8([32]byte{1})
	body := []byte(`{"Records":[`)
	data := make([]byte, 1024)
	for i := range 500 {
		_, _ = rng.Read(data) // never fails
		if i > 0 {
			body = append(body, ',')
		}
		body = fmt.Appendf(body, `{"Data":"%s","PartitionKey":"%010d"}`, base64.StdEncoding.EncodeToString(data), i)
	}
	body = append(body, `],"StreamName":"quakes"}`...)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	request := make([]byte, len(body))
	for b.Loop() {
		copy(request, body) // it is decoded in place
		in := new(putRecordsInput)
		if err := wire.Decode(request, in); err != nil {
			b.Fatal(err)
		}
	}
}
