package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/shoal-stream/shoal/integration/check"
	"github.com/shoal-stream/shoal/integration/fleet"
	"github.com/shoal-stream/shoal/integration/invariant"
	"github.com/shoal-stream/shoal/integration/proxy"
	"github.com/shoal-stream/shoal/record"
)

// A tale writes down what a crowd leaves behind that keeps all promises: of one shard, which is split, and of three workers,
// the first of which is killed, and the second stands still.
type tale struct {
	*account
	now     time.Time
	rows    map[string]row
	session map[string]string // by worker and shard
	made    int
}

const (
	parent = "shardId-000000000000"
	left1  = "shardId-000000000001"
	right1 = "shardId-000000000002"
)

// tell tells it. The shard stands still for failover after the kill, which is alone or not.
func tell(t *testing.T, failover time.Duration, kill string) *tale {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := &tale{
		account: &account{
			options: options{size: size{records: 10, kills: 1, alone: 1, stops: 1, servers: 1, leaves: 1, reshards: 1}, folder: t.TempDir()},
			began:   began, requests: 100, disturbed: 3, counts: counts{1, 1, 1, 1, 1, 0}, table: &table{},
		},
		now: began, rows: map[string]row{}, session: map[string]string{},
	}
	s.outcome.Acknowledged = map[string]bool{}
	s.open(parent, "0", last)
	a, b := s.start("a"), s.start("b")
	s.write(a, parent, "", row{"leaseCounter": 0, "checkpoint": "TRIM_HORIZON", "startingHashKey": "0", "endingHashKey": last})
	s.write(a, parent, take, row{"leaseOwner": "a", "leaseCounter": 1})
	s.put(parent, 1, 2, 3, 4)
	s.begin(a, parent, "1", "TRIM_HORIZON")
	s.process(a, parent, 2, 1, 2)
	s.handle(a, parent, 3, 4)
	s.play(a.event(s.now, invariant.Crash), kill, 0)

	s.wait(failover)
	s.write(b, parent, take, row{"leaseOwner": "b", "leaseCounter": 3})
	s.begin(b, parent, "3", at(2))
	s.handle(b, parent, 3, 4)
	s.say(b, "said", parent, at(4))
	s.play(invariant.Event{Kind: invariant.Fault}, "server killed", time.Second)
	s.send(b, parent, renew, row{"leaseCounter": 4, "checkpoint": at(4)}, 0) // the table alone tells of it
	s.wait(500 * time.Millisecond)
	if err := s.table.restarted(s.items()); err != nil {
		t.Fatal(err)
	}
	s.table.snapshots[0].at = s.now
	s.say(b, "returned", parent, "")

	c := s.start("c")
	s.play(b.event(s.now, invariant.Pause), "", 6*time.Second)
	s.wait(3 * time.Second)
	s.write(c, parent, take, row{"leaseOwner": "c", "leaseCounter": 5})
	s.put(parent, 5, 6)
	s.begin(c, parent, "5", at(4))
	s.process(c, parent, 6, 5, 6)
	s.wait(4 * time.Second)
	s.say(b, "survived", parent, "lost")
	s.split(c)
	s.over = s.now
	s.stop(b)
	s.stop(c, left1, right1)
	s.took = s.now.Sub(began)
	return s
}

// split lets a worker go on with the children of the shard.
func (s *tale) split(l *life) {
	s.play(invariant.Event{Kind: invariant.Fault}, reshardNote, 0)
	s.open(left1, "0", below, parent)
	s.open(right1, middle, last, parent)
	s.put(left1, 11, 12)
	s.put(right1, 13, 14)
	for i, child := range []string{left1, right1} {
		s.write(l, child, "", row{
			"leaseOwner": "c", "leaseCounter": 0, "checkpoint": "TRIM_HORIZON", "parentShardId": []string{parent},
			"startingHashKey": []string{"0", middle}[i], "endingHashKey": []string{below, last}[i],
		})
		s.write(l, child, take, row{"leaseCounter": 1})
	}
	s.say(l, "finish", parent, invariant.ShardEnd)
	s.say(l, "finished", parent, "")
	s.write(l, parent, renew, row{"leaseCounter": 7, "checkpoint": "SHARD_END"})
	for i, child := range []string{left1, right1} {
		s.begin(l, child, "1", "TRIM_HORIZON")
		s.process(l, child, 2, 11+2*i, 12+2*i)
	}
}

// begin makes a processor.
func (s *tale) begin(l *life, shard, counter, start string) {
	s.made++
	s.session[l.name+shard] = fmt.Sprint(counter, ".", s.made)
	s.say(l, "initialize", shard, start)
}

// handle hands records to a processor.
func (s *tale) handle(l *life, shard string, numbers ...int) {
	s.wait(time.Millisecond)
	b := check.Batch{At: s.now, Worker: l.name, Session: s.session[l.name+shard], Shard: shard}
	for _, n := range numbers {
		b.Records = append(b.Records, record.At(record.SequenceNumber(at(n)), 0))
	}
	s.outcome.Log = append(s.outcome.Log, b)
}

// process is handle, and the processor checkpoints them, by which the counter becomes what is given.
func (s *tale) process(l *life, shard string, counter int, numbers ...int) {
	s.handle(l, shard, numbers...)
	done := at(numbers[len(numbers)-1])
	s.say(l, "said", shard, done)
	s.write(l, shard, renew, row{"leaseCounter": counter, "checkpoint": done})
	s.say(l, "returned", shard, "")
}

func at(n int) string { return fmt.Sprint(5000 + n) }

// Hash keys: the middle, the one below, and the last.
const (
	middle = "170141183460469231731687303715884105728"
	below  = "170141183460469231731687303715884105727"
	last   = "340282366920938463463374607431768211455"
)

// The update expressions of the table's operations, as Shoal writes them.
const (
	take  = "SET #leaseOwner = :v0, #leaseCounter = :v1 REMOVE #checkpointOwner ADD #ownerSwitchesSinceCheckpoint :v2"
	renew = "SET #leaseCounter = :v0, #checkpoint = :v1"
)

type row map[string]any

// A wrong is a number that is none.
type wrong struct{}

func (s *tale) wait(d time.Duration) { s.now = s.now.Add(d) }

func (s *tale) open(shard, from, to string, parents ...string) {
	sh := types.Shard{ShardId: aws.String(shard), HashKeyRange: &types.HashKeyRange{StartingHashKey: aws.String(from), EndingHashKey: aws.String(to)}}
	if len(parents) > 0 {
		sh.ParentShardId = &parents[0]
	}
	s.shards = append(s.shards, sh)
	s.outcome.Stream.Shards = append(s.outcome.Stream.Shards, check.Shard{ID: shard, Parents: parents})
}

func (s *tale) start(name string) *life {
	s.wait(time.Millisecond)
	l := &life{name: name, number: len(s.lives) + 1, begun: s.now}
	s.lives = append(s.lives, l)
	return l
}

// stop stops a worker, which gives its shards up.
func (s *tale) stop(l *life, shards ...string) {
	s.wait(time.Millisecond)
	l.asked = s.now
	for _, shard := range shards {
		s.say(l, "finish", shard, "moving")
		s.say(l, "finished", shard, "")
		delete(s.rows[shard], "leaseOwner")
		s.write(l, shard, "SET #leaseCounter = :v0 REMOVE #leaseOwner", row{"leaseCounter": 3})
	}
	s.say(l, "stopped", "", "")
}

func (s *tale) play(e invariant.Event, note string, d time.Duration) {
	s.wait(time.Millisecond)
	e.At, e.Note, e.For = s.now, note, d
	s.played = append(s.played, e)
}

func (s *tale) put(shard string, numbers ...int) {
	s.wait(time.Millisecond)
	sh := &s.outcome.Stream.Shards[slices.IndexFunc(s.outcome.Stream.Shards, func(sh check.Shard) bool { return sh.ID == shard })]
	for _, n := range numbers {
		sh.Records = append(sh.Records, record.Record{SequenceNumber: record.SequenceNumber(at(n)), ArrivalTime: s.now})
		s.outcome.Acknowledged[shard+"/"+at(n)] = true
	}
}

// write lets a proxy see a write of a row.
func (s *tale) write(l *life, key, expression string, change row) {
	s.send(l, key, expression, change, 200)
}

// send is write; with the status 0 nobody gets the answer.
func (s *tale) send(l *life, key, expression string, change row, status int) {
	s.wait(time.Millisecond)
	now := s.rows[key]
	if now == nil {
		now = row{"leaseKey": key}
		s.rows[key] = now
	}
	maps.Copy(now, change)
	request := map[string]any{"Key": row{"leaseKey": key}.wire(), "UpdateExpression": expression}
	c := proxy.Call{Sent: s.now, At: s.now, Status: status, Header: http.Header{}}
	op := "UpdateItem"
	if expression == "" {
		op, request = "PutItem", map[string]any{"Item": now.wire()}
	}
	c.Header.Set("X-Amz-Target", "DynamoDB_20120810."+op)
	c.Body = encode(request)
	if status == 200 {
		c.Answer = encode(map[string]any{"Attributes": now.wire()})
	}
	s.table.seen(l.number, c)
}

// wire is the row as DynamoDB writes it.
func (r row) wire() map[string]any {
	attrs := map[string]any{}
	for attr, v := range r {
		switch v := v.(type) {
		case int:
			attrs[attr] = map[string]any{"N": fmt.Sprint(v)}
		case wrong:
			attrs[attr] = map[string]any{"N": "wrong"}
		case []string:
			attrs[attr] = map[string]any{"SS": v}
		default:
			attrs[attr] = map[string]any{"S": v}
		}
	}
	return attrs
}

// items are all rows as the SDK reads them.
func (s *tale) items() (all []map[string]ddb.AttributeValue) {
	for _, r := range s.rows {
		it := map[string]ddb.AttributeValue{}
		for attr, v := range r {
			switch v := v.(type) {
			case int:
				it[attr] = &ddb.AttributeValueMemberN{Value: fmt.Sprint(v)}
			case []string:
				it[attr] = &ddb.AttributeValueMemberSS{Value: v}
			case string:
				it[attr] = &ddb.AttributeValueMemberS{Value: v}
			}
		}
		all = append(all, it)
	}
	return all
}

func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

func (s *tale) say(l *life, event, shard, detail string) {
	s.wait(time.Millisecond)
	l.told = append(l.told, fleet.Event{At: s.now, Name: event, Session: s.session[l.name+shard], Shard: shard, Detail: detail})
}

func TestWhatKeepsAllPromisesPasses(t *testing.T) {
	s := tell(t, 2500*time.Millisecond, aloneNote)
	v := s.judge(nil)
	for _, text := range v.wrong {
		t.Error(text)
	}
	if v.Records != 10 || v.Repeated != 2 || v.Failovers != 1 || v.Alone != 1 || v.FailoverP50 < 2500 || v.FailoverP50 > 2600 || v.Taken != 1 || v.Writes != 16 {
		t.Errorf("%+v", v)
	}
	if line, err := v.json(); err != nil || !strings.Contains(line, `"lost":0,"out_of_order":0,"repeated":2`) || !strings.Contains(line, `"violations":0`) {
		t.Errorf("%s, %v", line, err)
	}
	if text, err := os.ReadFile(filepath.Join(s.folder, "events.txt")); err != nil || !strings.Contains(string(text), "CRASH    a#1") {
		t.Errorf("%s, %v", text, err)
	}
}

// Each of these is found, and named by a text of the verdict.
func TestWhatBreaksAPromiseIsFound(t *testing.T) {
	for name, test := range map[string]struct {
		harm func(*tale)
		says string
	}{
		"a batch is handed to nobody":      {func(s *tale) { s.fault = "drop" }, "records were lost"},
		"an acknowledged record is gone":   {func(s *tale) { s.fault = "amnesia" }, "records were lost"},
		"a batch comes backwards":          {func(s *tale) { slices.Reverse(s.outcome.Log[0].Records) }, "out of order"},
		"a record comes that nobody put":   {func(s *tale) { s.handle(s.lives[2], left1, 99) }, "I3"},
		"a child comes before its parent":  {func(s *tale) { s.outcome.Log[4].At = s.outcome.Log[0].At.Add(-time.Millisecond); s.sort() }, "out of order"},
		"a former owner goes on":           {func(s *tale) { s.late() }, "I6"},
		"a former owner renews":            {func(s *tale) { s.write(s.lives[1], left1, renew, row{"leaseCounter": 4}) }, "I5"},
		"a checkpoint goes back":           {func(s *tale) { s.write(s.lives[2], left1, "SET #checkpoint = :old", row{"checkpoint": "TRIM_HORIZON"}) }, "I4"},
		"a checkpoint nobody asked for":    {func(s *tale) { s.forget("said") }, "I2"},
		"an end of a shard nobody saw":     {func(s *tale) { s.forget("finished") }, "I2"},
		"a worker ends without a word":     {func(s *tale) { s.forget("stopped") }, "without a word"},
		"a row that cannot be read":        {func(s *tale) { s.write(s.lives[2], left1, renew, row{"leaseCounter": wrong{}}) }, "leaseCounter"},
		"a session of no number":           {func(s *tale) { s.lives[0].told[0].Session = "x" }, "session"},
		"a batch of nobody":                {func(s *tale) { s.outcome.Log[0].Worker = "z" }, "never lived"},
		"too few records":                  {func(s *tale) { s.size.records = 11 }, "blind: 10 records"},
		"too few kills":                    {func(s *tale) { s.counts.kills = 0 }, "blind: 0 kills"},
		"no disturbed requests":            {func(s *tale) { s.disturbed = 1 }, "disturbed requests"},
		"no lease lost by who stood still": {func(s *tale) { s.size.stops, s.played[2].For = 4, time.Second }, "stood still"},
		"no failover":                      {func(s *tale) { s.played = s.played[1:] }, "0 failovers"},
	} {
		t.Run(name, func(t *testing.T) {
			s := tell(t, 2500*time.Millisecond, aloneNote)
			test.harm(s)
			s.found(t, s.judge(nil), test.says)
		})
	}
	t.Run("a failover that takes long", func(t *testing.T) {
		s := tell(t, 6500*time.Millisecond, aloneNote)
		s.found(t, s.judge(nil), "half of the failovers")
	})
	t.Run("a failover that does not come", func(t *testing.T) {
		s := tell(t, 11*time.Second, "")
		s.size.alone = 0
		s.found(t, s.judge(nil), "nothing was done to the fleet for the last 11")
	})
	t.Run("a run without an end", func(t *testing.T) {
		s := tell(t, 2500*time.Millisecond, aloneNote)
		s.found(t, s.judge(errors.New("no server")), "no server")
	})
}

func (s *tale) found(t *testing.T, v *verdict, says string) {
	t.Helper()
	if !slices.ContainsFunc(v.wrong, func(text string) bool { return strings.Contains(text, says) }) {
		t.Errorf("want a text with %q in %q", says, v.wrong)
	}
	if line, err := v.json(); err != nil || strings.Contains(line, `"violations":0`) {
		t.Errorf("%s, %v", line, err)
	}
}

// late hands records to a worker that stood still, after it has gone on and another has the lease.
func (s *tale) late() {
	end := s.now
	s.now = s.played[2].At.Add(s.played[2].For + 1500*time.Millisecond)
	s.handle(s.lives[1], parent, 5)
	s.now = end
	s.sort()
}

func (s *tale) sort() {
	slices.SortStableFunc(s.outcome.Log, func(a, b check.Batch) int { return a.At.Compare(b.At) })
}

// forget has the last worker not tell something the first time.
func (s *tale) forget(event string) {
	l := s.lives[2]
	i := slices.IndexFunc(l.told, func(e fleet.Event) bool { return e.Name == event })
	l.told = slices.Delete(l.told, i, i+1)
}
