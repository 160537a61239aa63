package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

// A planted fault changes what passes between a client and the server, the way a server that is wrong would answer. Both
// functions get whole JSON or CBOR bodies, reply also the payload of each event; nil changes nothing.
type planted struct {
	turns   string // the clients whose verdict it must turn
	request func(op string, body []byte) []byte
	reply   func(op string, body []byte) []byte
}

// faults are what the environment variable FAULT may name.
var faults = map[string]planted{
	"error-text":      {turns: "boto3 awscli java_sdk go_sdk", reply: replaced("found", "fount")},
	"error-type":      {turns: "boto3 awscli java_sdk go_sdk", reply: replaced("ResourceNotFoundException", "ResourceNotFoumdException")},
	"sequence-number": {turns: "boto3 awscli java_sdk go_sdk java_kcl", reply: wrongSequenceNumber},
	"arrival-time":    {turns: "boto3 awscli java_sdk go_sdk", reply: wrongArrivalTime},
	// The data of records, in CBOR and in JSON's base64.
	"data":         {turns: "boto3 awscli java_sdk go_sdk java_kcl", reply: both(replaced(`"delay"`, `"delai"`), both(replaced("magnitude", "magnituda"), replaced("bWFnbml0dWRl", "bWFnbml0dWRh")))},
	"child-shards": {turns: "boto3 awscli java_sdk go_sdk java_kcl", reply: replaced("ChildShards", "ChildSherds")},
	"conditions":   {turns: "boto3 awscli java_sdk go_sdk", request: withoutConditions},
}

func faultNames() []string { return slices.Sorted(maps.Keys(faults)) }

// replaced puts one text in the place of another, of the same length so that CBOR stays whole.
func replaced(from, to string) func(string, []byte) []byte {
	return func(_ string, body []byte) []byte {
		return bytes.ReplaceAll(body, []byte(from), []byte(to))
	}
}

func both(f, g func(string, []byte) []byte) func(string, []byte) []byte {
	return func(op string, body []byte) []byte { return g(op, f(op, body)) }
}

var sequenceDigits = regexp.MustCompile(`[0-9]{50,}`)

// wrongSequenceNumber changes the last digit of the first sequence number that readers get.
func wrongSequenceNumber(op string, body []byte) []byte {
	at := sequenceDigits.FindIndex(body)
	if op != "GetRecords" && op != "SubscribeToShard" || at == nil {
		return body
	}
	body = bytes.Clone(body)
	body[at[1]-1] = '0' + (body[at[1]-1]-'0'+1)%10
	return body
}

var jsonArrival = regexp.MustCompile(`("ApproximateArrivalTimestamp":)([0-9]+)\.?([0-9]*)`)

// wrongArrivalTime takes milliseconds for seconds and the other way round.
func wrongArrivalTime(_ string, body []byte) []byte {
	body = jsonArrival.ReplaceAll(bytes.Clone(body), []byte("$1$2$3"))
	name := []byte("ApproximateArrivalTimestamp\xc1\x1b") // in CBOR a tag and eight bytes follow
	for rest := body; ; {
		i := bytes.Index(rest, name)
		if i < 0 || len(rest) < i+len(name)+8 {
			return body
		}
		rest = rest[i+len(name):]
		binary.BigEndian.PutUint64(rest, binary.BigEndian.Uint64(rest)/1000)
	}
}

// withoutConditions takes the conditions off writes to tables.
func withoutConditions(_ string, body []byte) []byte {
	var in obj
	if json.Unmarshal(body, &in) != nil {
		return body
	}
	delete(in, "ConditionExpression")
	delete(in, "Expected")
	out, err := json.Marshal(in)
	if err != nil {
		return body
	}
	return out
}

// A front stands before a server and plants a fault.
type front struct {
	url    string
	server *http.Server
	done   chan struct{}
}

// newFront serves HTTP/1.1 and, with prior knowledge, HTTP/2, in front of the server at url.
func newFront(ctx context.Context, url string, fault planted) (*front, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &front{url: "http://" + l.Addr().String(), done: make(chan struct{})}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	f.server = &http.Server{Handler: &relay{url, fault, &http.Transport{DisableCompression: true}}, Protocols: &protocols, ReadHeaderTimeout: time.Minute}
	go func() {
		defer close(f.done)
		_ = f.server.Serve(l) // it ends with close
	}()
	return f, nil
}

func (f *front) close() {
	_ = f.server.Close()
	<-f.done
}

// A relay passes requests on to the server and answers back.
type relay struct {
	url       string
	fault     planted
	transport *http.Transport
}

// ServeHTTP changes the request or the answer as the fault says.
func (y *relay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	service, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if y.fault.request != nil && strings.HasPrefix(service, "DynamoDB") {
		body = y.fault.request(op, body)
	}
	out, err := http.NewRequestWithContext(r.Context(), r.Method, y.url+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	out.Header, out.Host = r.Header.Clone(), r.Host
	answer, err := y.transport.RoundTrip(out)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer answer.Body.Close()
	maps.Copy(w.Header(), answer.Header)
	w.Header().Del("Content-Length")
	w.Header().Del("X-Amz-Crc32") // of the answer as it was
	if answer.Header.Get("Content-Type") == "application/vnd.amazon.eventstream" {
		w.WriteHeader(answer.StatusCode)
		if err := y.events(w, op, answer.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
		return
	}
	if body, err = io.ReadAll(answer.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
	if y.fault.reply != nil {
		body = y.fault.reply(op, body)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(answer.StatusCode)
	_, _ = w.Write(body) // the client may have gone
}

// events passes on an event stream, each event as it comes.
func (y *relay) events(w http.ResponseWriter, op string, from io.Reader) error {
	for decoder, encoder := eventstream.NewDecoder(), eventstream.NewEncoder(); ; {
		event, err := decoder.Decode(from, nil)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if y.fault.reply != nil {
			event.Payload = y.fault.reply(op, event.Payload)
		}
		if err := encoder.Encode(w, event); err != nil {
			return err
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return err
		}
	}
}
