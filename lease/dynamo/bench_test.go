package dynamo_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/shoal-stream/shoal/lease"
	"github.com/shoal-stream/shoal/lease/dynamo"
)

// pages answers scans with n pages of canned rows, round and round.
type pages struct {
	page, last []byte
	n, sent    int
}

func (p *pages) Do(r *http.Request) (*http.Response, error) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return nil, err
	}
	p.sent++
	body := p.page
	if p.sent%p.n == 0 {
		body = p.last
	}
	return &http.Response{
		StatusCode: 200, ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
		Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
	}, nil
}

func scanPage(rows int, next string) []byte {
	var b bytes.Buffer
	b.WriteString(`{"Items":[`)
	for i := range rows {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"leaseKey":{"S":"shardId-%012d"},"leaseOwner":{"S":"ip-10-0-0-%d.ec2.internal:5d3cbe4e-1d11-4c8e-9a0c-2c0a8dbd5a70"},`+
			`"leaseCounter":{"N":"%d"},"ownerSwitchesSinceCheckpoint":{"N":"0"},"checkpoint":{"S":"4966%052d"},"checkpointSubSequenceNumber":{"N":"0"},`+
			`"parentShardId":{"SS":["shardId-%012d"]},"startingHashKey":{"S":"%d"},"endingHashKey":{"S":"340282366920938463463374607431768211455"},`+
			`"throughputKBps":{"N":"12.345678"},"entityType":{"S":"LEASE"}}`, i, i%20, 100000+i, i, i/2, i)
	}
	fmt.Fprintf(&b, `],"Count":%d,"ScannedCount":%d`, rows, rows)
	if next != "" {
		fmt.Fprintf(&b, `,"LastEvaluatedKey":{"leaseKey":{"S":%q}}`, next)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// What listing 10,000 rows costs a leader, without the network; and beside it what the SDK takes to decode the same pages
// into its own types.
func BenchmarkSurvey(b *testing.B) {
	const rows, each = 10_000, 2_000
	client := dynamodb.New(dynamodb.Options{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
		HTTPClient: &pages{page: scanPage(each, "k"), last: scanPage(each, ""), n: rows / each},
	})
	s := dynamo.New(client, leaseTable)
	b.Run("survey", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			leases, _, err := s.Survey(context.Background())
			if err != nil || len(leases) != rows {
				b.Fatalf("%d rows, %v", len(leases), err)
			}
		}
	})
	b.Run("the SDK alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n := 0
			for range rows / each {
				out, err := client.Scan(context.Background(), &dynamodb.ScanInput{TableName: aws.String(leaseTable)})
				if err != nil {
					b.Fatal(err)
				}
				n += len(out.Items)
			}
			if n != rows {
				b.Fatalf("%d rows", n)
			}
		}
	})
}

// What a renewal costs, without the network.
func BenchmarkRenew(b *testing.B) {
	row := scanPage(1, "")
	row = bytes.TrimSuffix(bytes.TrimPrefix(row, []byte(`{"Items":[`)), []byte(`],"Count":1,"ScannedCount":1}`))
	answer := append(append([]byte(`{"Attributes":`), row...), '}')
	s := dynamo.New(dynamodb.New(dynamodb.Options{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
		HTTPClient: &pages{page: answer, last: answer, n: 1},
	}), leaseTable)
	held, kbps := lease.Lease{Key: "shardId-000000000000", Shard: "shardId-000000000000", Counter: 99_999}, 12.345678
	b.ReportAllocs()
	for b.Loop() {
		got, err := s.Renew(context.Background(), held, "me", lease.Change{ThroughputKBps: &kbps})
		if err != nil || got.Counter != 100_000 {
			b.Fatalf("%+v, %v", got, err)
		}
	}
}
