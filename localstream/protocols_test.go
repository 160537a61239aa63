package localstream

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go/encoding/cbor"

	"github.com/shoal-stream/shoal/internal/plainbody"
)

// selfSigned is a certificate for localhost, and a pool that trusts it.
func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

// A way to the server: with TLS or without, by which version of HTTP.
type way struct {
	name   string
	secure bool
	major  int
}

var ways = []way{{"HTTP/1.1", false, 1}, {"h2c with prior knowledge", false, 2}, {"HTTP/1.1 over TLS", true, 1}, {"HTTP/2 over TLS", true, 2}}

// reach runs f in a bubble with a client that reaches a server this way, over pipes.
func (v way) reach(t *testing.T, f func(t *testing.T, base string, c *http.Client)) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := Open("", Options{Memory: true})
		if err != nil {
			t.Fatal(err)
		}
		certificate, pool := selfSigned(t)
		p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		transport := &http.Transport{
			DialContext:     func(context.Context, string, string) (net.Conn, error) { return p.dial(), nil },
			TLSClientConfig: &tls.Config{RootCAs: pool},
			Protocols:       new(http.Protocols),
		}
		transport.Protocols.SetHTTP1(v.major == 1)
		transport.Protocols.SetHTTP2(v.major == 2 && v.secure)
		transport.Protocols.SetUnencryptedHTTP2(v.major == 2 && !v.secure)
		base := "http://localhost"
		if v.secure {
			base = "https://localhost"
			go func() { served <- srv.ServeTLS(ctx, p, certificate) }()
		} else {
			go func() { served <- srv.Serve(ctx, p) }()
		}
		f(t, base, &http.Client{Transport: transport})
		transport.CloseIdleConnections()
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestSubscriptionsGoOverEveryProtocolInJSON(t *testing.T) {
	for _, v := range ways {
		t.Run(v.name, func(t *testing.T) {
			v.reach(t, func(t *testing.T, base string, c *http.Client) {
				client, consumer := prepared(t, base, c)
				out, err := client.SubscribeToShard(t.Context(), &kinesis.SubscribeToShardInput{
					ConsumerARN: &consumer, ShardId: aws.String("shardId-000000000000"),
					StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon},
				})
				if err != nil {
					t.Fatal(err)
				}
				stream := out.GetStream()
				start, records, events := time.Now(), "", 0
				for e := range stream.Events() {
					event := e.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value
					for _, r := range event.Records {
						records += string(r.Data) + " "
					}
					events++
				}
				if d := time.Since(start); records != "one two " || d != 5*time.Minute || events < 60 || events > 61 || stream.Err() != nil {
					t.Errorf("%q in %d events in %v: %v", records, events, d, stream.Err())
				}
			})
		})
	}
}

// prepared makes a stream of one shard with two records and a consumer, and returns a client of its own and the
// consumer's ARN.
func prepared(t *testing.T, base string, c *http.Client) (*kinesis.Client, string) {
	t.Helper()
	client := kinesis.New(kinesis.Options{
		Region: "us-east-1", BaseEndpoint: &base, HTTPClient: plainbody.Wrap(c), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
	})
	name := aws.String("quakes")
	if _, err := client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: name, ShardCount: aws.Int32(1)}); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"one", "two"} {
		if _, err := client.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: name, PartitionKey: aws.String("k"), Data: []byte(text)}); err != nil {
			t.Fatal(err)
		}
	}
	out, err := client.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{
		StreamARN: aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/quakes"), ConsumerName: aws.String("alerts"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return client, *out.Consumer.ConsumerARN
}

func TestSubscriptionsGoOverEveryProtocolInCBOR(t *testing.T) {
	for _, v := range ways {
		t.Run(v.name, func(t *testing.T) {
			v.reach(t, func(t *testing.T, base string, c *http.Client) {
				_, consumer := prepared(t, base, c)
				body := cbor.Encode(cbor.Map{
					"ConsumerARN": cbor.String(consumer), "ShardId": cbor.String("shardId-000000000000"),
					"StartingPosition": cbor.Map{"Type": cbor.String("TRIM_HORIZON")},
				})
				r, err := http.NewRequest("POST", base, bytes.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				r.Header = http.Header{
					"Content-Type": {"application/x-amz-cbor-1.1"}, "X-Amz-Target": {"Kinesis_20131202.SubscribeToShard"},
					"X-Amz-Date": {"20000101T000000Z"}, "Authorization": {"Credential=a/b, SignedHeaders=host, Signature=c"},
				}
				resp, err := c.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if resp.StatusCode != 200 || resp.ProtoMajor != v.major || resp.Header.Get("Content-Type") != "application/vnd.amazon.eventstream" {
					t.Fatalf("%s %s %v", resp.Proto, resp.Status, resp.Header)
				}
				decoder, records, events := eventstream.NewDecoder(), "", []string{}
				for {
					m, err := decoder.Decode(resp.Body, nil)
					if err == io.EOF {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					if got := m.Headers.Get(":content-type"); got == nil || got.String() != "application/x-amz-cbor-1.1" {
						t.Fatalf("headers %v", m.Headers)
					}
					events = append(events, m.Headers.Get(":event-type").String())
					records += cborRecords(t, m.Payload)
				}
				if records != "one two " || len(events) < 61 || len(events) > 62 || events[0] != "initial-response" || events[60] != "SubscribeToShardEvent" {
					t.Errorf("%q in %d events %.60q", records, len(events), strings.Join(events, " "))
				}
			})
		})
	}
}

// cborRecords is the data of an event's records; it fails the test where an event has not the members it should have.
func cborRecords(t *testing.T, payload []byte) string {
	t.Helper()
	v, err := cbor.Decode(payload)
	if err != nil {
		t.Fatalf("%x: %v", payload, err)
	}
	event, _ := v.(cbor.Map)
	if len(event) == 0 { // the initial response
		return ""
	}
	list, ok := event["Records"].(cbor.List)
	if _, position := event["ContinuationSequenceNumber"].(cbor.String); !ok || !position {
		t.Fatalf("event %v", event)
	}
	text := ""
	for _, one := range list {
		r := one.(cbor.Map)
		data, isBytes := r["Data"].(cbor.Slice)
		at, isTime := r["ApproximateArrivalTimestamp"].(*cbor.Tag)
		if !isBytes || !isTime || at.ID != 1 || fmt.Sprint(at.Value) != fmt.Sprint(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()) {
			t.Fatalf("record %v", r)
		}
		text += string(data) + " "
	}
	return text
}

func TestSlowBodiesOverHTTP2AreCutOff(t *testing.T) {
	way{"", false, 2}.reach(t, func(t *testing.T, base string, c *http.Client) {
		body, writer := io.Pipe()
		r, err := http.NewRequest("POST", base, body)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		resp, err := c.Do(r)
		if err == nil {
			resp.Body.Close()
		}
		if d := time.Since(start); err == nil || d != bodyPatience {
			t.Errorf("%v after %v, want an error after %v", err, d, bodyPatience)
		}
		writer.Close()
	})
}
