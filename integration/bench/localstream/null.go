package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
)

// A nullServer answers what the load program asks with canned replies and keeps nothing but a count of what was put:
// the ceiling that the client itself sets. It is a process of its own, as every server here.
type nullServer struct {
	put    atomic.Int64 // records since the stream was made
	reply  []byte       // to a PutRecords of batchRecords
	full   []byte       // the records of a page of pageRecords, as JSON
	middle []int        // where in full the record with that index begins
}

func newNull() *nullServer {
	n := &nullServer{}
	var b bytes.Buffer
	b.WriteString(`{"FailedRecordCount":0,"Records":[`)
	for i := range batchRecords {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"SequenceNumber":"%s","ShardId":"shardId-%012d"}`, nullNumber(i), i%shardCount)
	}
	b.WriteString(`]}`)
	n.reply = bytes.Clone(b.Bytes())

	b.Reset()
	records := batches("", pageRecords/batchRecords, batchRecords) // such as are put
	for i := range pageRecords {
		record := records[i/batchRecords].Records[i%batchRecords]
		if i > 0 {
			b.WriteByte(',')
		}
		n.middle = append(n.middle, b.Len())
		fmt.Fprintf(&b, `{"ApproximateArrivalTimestamp":1700000000.123,"Data":"%s","PartitionKey":"%s","SequenceNumber":"%s"}`,
			base64.StdEncoding.EncodeToString(record.Data), *record.PartitionKey, nullNumber(i))
	}
	n.full = b.Bytes()
	n.middle = append(n.middle, b.Len()+1)
	return n
}

func nullNumber(i int) string { return "4965" + fmt.Sprintf("%052d", i) }

// ServeHTTP answers the operations of the load program; any other is an empty success.
func (n *nullServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	var body []byte
	if operation == "PutRecords" {
		_, _ = io.Copy(io.Discard, r.Body)
	} else {
		body, _ = io.ReadAll(r.Body)
	}
	switch operation {
	case "CreateStream":
		n.put.Store(0)
		n.answer(w)
	case "PutRecords":
		n.put.Add(batchRecords)
		n.answer(w, n.reply)
	case "GetShardIterator":
		n.answer(w, fmt.Appendf(nil, `{"ShardIterator":"%d"}`, n.put.Load()/shardCount))
	case "GetRecords":
		n.page(w, body)
	default:
		n.answer(w, []byte("{}"))
	}
}

// page answers GetRecords. The iterator is how many records of the shard are still to come.
func (n *nullServer) page(w http.ResponseWriter, body []byte) {
	var in struct{ ShardIterator string }
	if err := json.Unmarshal(body, &in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	left, _ := strconv.Atoi(in.ShardIterator)
	count := min(left, pageRecords)
	var records []byte
	if count > 0 {
		records = n.full[:n.middle[count]-1]
	}
	left -= count
	n.answer(w, fmt.Appendf(nil, `{"MillisBehindLatest":%d,"NextShardIterator":"%d","Records":[`, left, left), records, []byte("]}"))
}

func (n *nullServer) answer(w http.ResponseWriter, parts ...[]byte) {
	length := 0
	for _, p := range parts {
		length += len(p)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("Content-Length", strconv.Itoa(length))
	for _, p := range parts {
		_, _ = w.Write(p) // an error means that the client went away
	}
}

// serveNull is the program of the null server: it prints where it listens and runs until it is killed.
func serveNull() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("null server: %w", err)
	}
	fmt.Println("ready", l.Addr())
	return http.Serve(l, newNull())
}
