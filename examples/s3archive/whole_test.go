package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"go.uber.org/zap"

	"github.com/shoal-stream/shoal/examples/s3archive/archive"
	"github.com/shoal-stream/shoal/record"
	"github.com/shoal-stream/shoal/worker"
)

func TestEveryFormatIsArchivedAndVerifiedByContent(t *testing.T) {
	for _, f := range []string{"jsonl/gzip", "jsonl/none", "frames/zstd", "parquet/zstd", "parquet/gzip"} {
		t.Run(f, func(t *testing.T) {
			p := newPlace(t)
			p.put(flights(t, 500)...)
			c := p.connect(p.settings(func(s *settings) {
				s.format, s.compression, _ = strings.Cut(f, "/")
				if s.format == "parquet" {
					s.columns = "date:timestamp, delay:int64, distance:int64!, origin:string, destination:string, seq:string=$sequence"
				}
				s.maxRecords = 90
			}))
			p.archive(c)
		})
	}
}

func TestPartitionsAreFoldersOfTheirOwn(t *testing.T) {
	p := newPlace(t)
	p.put(flights(t, 600)...)
	p.put(`{"origin":"no delay"}`, `{"origin":"a/b","delay":1}`)
	c := p.connect(p.settings(func(s *settings) {
		s.prefix = "by/origin=!{partitionKeyFromQuery:origin}/late=!{partitionKeyFromQuery:late}/"
		s.query = `{origin: .origin, late: (if .delay then (.delay > 30) else null end)}`
		s.maxOutputs = 20
		s.compression = "none"
	}))
	p.archive(c)
	folders := map[string]bool{}
	for _, key := range p.keys(c, "by/origin") {
		origin := strings.TrimPrefix(strings.Split(key, "/")[1], "origin=")
		late := strings.Split(key, "/")[2] == "late=true"
		folders[origin] = true
		for line := range strings.Lines(p.get(c, key)) {
			var flight struct {
				Origin string
				Delay  int
			}
			if err := json.Unmarshal([]byte(line), &flight); err != nil || strings.ReplaceAll(flight.Origin, "/", "%2F") != origin || flight.Delay > 30 != late {
				t.Errorf("%s holds %s", key, line)
			}
		}
	}
	if len(folders) < 20 || !folders["a%2Fb"] {
		t.Errorf("folders %v", folders)
	}
	dead := p.keys(c, "errors/processing-failed/")
	if len(dead) != 1 || !strings.Contains(p.get(c, dead[0]), "late is missing or null") {
		t.Errorf("dead letters %q", dead)
	}
}

func TestATransformStoresDropsAndFailsAndDeadLettersAreRedriven(t *testing.T) {
	p := newPlace(t)
	p.put(`{"n":1}`, `{"n":2}`, `{"n":3,"bad":true}`, `not JSON`, `{"n":5}`)
	set := func(s *settings) {
		s.transform = `if .bad then error("bad") elif .n == 2 then empty else {twice: (.n * 2)} end`
		s.compression = "none"
	}
	c := p.connect(p.settings(set))
	p.archive(c)
	report, err := c.report(t.Context())
	if err != nil || report.Dropped != 1 || report.DeadLetters != 2 || report.InExactlyOne != 4 {
		t.Errorf("%+v, %v", report, err)
	}
	all := ""
	for _, key := range p.keys(c, "records/2") {
		all += p.get(c, key)
	}
	if !strings.Contains(all, `{"twice":2}`) || !strings.Contains(all, `{"twice":10}`) || strings.Contains(all, `{"twice":4}`) {
		t.Errorf("stored %q", all)
	}
	var letter archive.DeadLetter
	for _, key := range p.keys(c, "errors/") {
		for line := range strings.Lines(p.get(c, key)) {
			if err := json.Unmarshal([]byte(line), &letter); err != nil || letter.ErrorCode != "Transform.Failed" || letter.ShardID == "" ||
				letter.ArrivalTimestamp == 0 || letter.AttemptsMade != 1 || len(letter.RawData) == 0 {
				t.Errorf("dead letter %s: %+v", line, letter)
			}
		}
	}

	mended := p.connect(p.settings(func(s *settings) {
		set(s)
		s.transform = `if .n == 2 then empty else {twice: (.n * 2)} end`
	}))
	for _, want := range []string{"1 put into objects now, 0 were there already", "0 put into objects now, 1 were there already"} {
		var out strings.Builder
		if err := mended.redrive(t.Context(), &out); err != nil || !strings.Contains(out.String(), want) || !strings.Contains(out.String(), "1 still fail") {
			t.Errorf("redrive: %q, %v; want %q", out.String(), err, want)
		}
	}
	if report, err = mended.report(t.Context()); err != nil || !report.Complete() || report.Redriven != 1 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestASecondPassGoesIntoAnotherPrefix(t *testing.T) {
	p := newPlace(t)
	p.put(flights(t, 100)...)
	c := p.connect(p.settings(nil))
	p.archive(c)
	again := p.connect(p.settings(func(s *settings) { s.replaySince, s.epoch = 12*time.Hour, "again" }))
	p.archive(again)
	later := p.connect(p.settings(func(s *settings) { s.replaySince, s.epoch = time.Hour, "again" }))
	if err := later.prepare(t.Context(), zap.NewNop()); err != nil || !later.since.Equal(again.since) || later.since.IsZero() {
		t.Errorf("a later process of the pass begins at %v, not at %v; %v", later.since, again.since, err)
	}
	if n, m := len(p.keys(c, "records/")), len(p.keys(c, "again/records/")); n < 2 || m < 2 {
		t.Errorf("%d objects of the first pass, %d of the second", n, m)
	}
}

func TestTheSpoolArchivesTheSame(t *testing.T) {
	p := newPlace(t)
	dir := t.TempDir()
	p.put(flights(t, 2000)...)
	p.archive(p.connect(p.settings(func(s *settings) { s.spool, s.maxRecords = dir, 333 })))
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("the spool left %q, %v", left, err)
	}
}

func TestTheCheckSeesWhatIsWrong(t *testing.T) {
	p := newPlace(t)
	p.put(flights(t, 300)...)
	c := p.connect(p.settings(func(s *settings) { s.maxRecords, s.compression = 50, "none" }))
	p.archive(c)
	client := s3.NewFromConfig(p.bucket, func(o *s3.Options) { o.UsePathStyle = true })
	keys := p.keys(c, "records/2")
	victim := keys[1]
	whole, meta, err := c.store.Get(t.Context(), victim)
	if err != nil {
		t.Fatal(err)
	}
	put := func(key, body string, meta map[string]string) {
		t.Helper()
		if _, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("b"), Key: &key}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("b"), Key: &key, Body: strings.NewReader(body), Metadata: meta}); err != nil {
			t.Fatal(err)
		}
	}
	restore := func() { put(victim, string(whole), meta.Map()) }
	lines := strings.SplitAfter(strings.TrimSuffix(string(whole), "\n")+"\n", "\n")
	lines = lines[:len(lines)-1]
	swapped := strings.Join(append([]string{lines[1], lines[0]}, lines[2:]...), "")
	extra := victim[:strings.LastIndexByte(victim, '/')+1] + pad(string(meta.Last.Sequence())) + ".jsonl" // of the last record
	other := *meta
	other.Last = meta.First
	for name, harm := range map[string]struct {
		do    func()
		shows func(r map[string]float64) bool
	}{
		"a record is missing":  {func() { put(victim, strings.Join(lines[1:], ""), meta.Map()) }, func(r map[string]float64) bool { return r["missing"] == 1 && r["bad"] > 0 }},
		"the order is wrong":   {func() { put(victim, swapped, meta.Map()) }, func(r map[string]float64) bool { return r["out_of_order"] > 0 }},
		"the end is wrong":     {func() { put(victim, string(whole), other.Map()) }, func(r map[string]float64) bool { return r["bad"] > 0 && r["missing"] == 0 }},
		"a record is changed":  {func() { put(victim, strings.Replace(string(whole), "delay", "DELAY", 1), meta.Map()) }, func(r map[string]float64) bool { return r["missing"] == 1 && r["bad"] > 0 }},
		"the metadata is gone": {func() { put(victim, string(whole), map[string]string{"other": "1"}) }, func(r map[string]float64) bool { return r["bad"] > 0 }},
		"the object is there twice": {func() {
			put(extra, lines[len(lines)-1], map[string]string{
				"shoal-stream": "s", "shoal-shard": meta.Shard, "shoal-first": meta.Last.String(), "shoal-last": meta.Last.String(),
				"shoal-records": "1", "shoal-bytes": "1", "shoal-sha256": "", "shoal-nonce": "", "shoal-format": "jsonl", "shoal-compression": "none",
			})
		}, func(r map[string]float64) bool { return r["repeated"] == 1 && r["out_of_order"] == 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			harm.do()
			report, err := c.report(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			text, _ := json.Marshal(report)
			var r map[string]any
			if err := json.Unmarshal(text, &r); err != nil {
				t.Fatal(err)
			}
			numbers := map[string]float64{}
			for k, v := range r {
				if n, ok := v.(float64); ok {
					numbers[k] = n
				}
			}
			if report.OK() || !harm.shows(numbers) || len(report.Problems) == 0 {
				t.Errorf("%s", text)
			}
			restore()
			if _, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("b"), Key: &extra}); err != nil {
				t.Fatal(err)
			}
			if report, err := c.report(t.Context()); err != nil || !report.Complete() {
				t.Errorf("restored: %+v, %v", report, err)
			}
		})
	}
}

func pad(number string) string { return strings.Repeat("0", max(0, 56-len(number))) + number }

// refusing answers every request that is not let through.
type refusing struct {
	next aws.HTTPClient
	code int
	name string
	when func(r *http.Request) bool
}

func (f refusing) Do(r *http.Request) (*http.Response, error) {
	if !f.when(r) {
		return f.next.Do(r)
	}
	body := fmt.Sprintf("<Error><Code>%s</Code><Message>no</Message></Error>", f.name)
	return &http.Response{StatusCode: f.code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// deaf is a store that ignores conditions.
type deaf struct{ next aws.HTTPClient }

func (d deaf) Do(r *http.Request) (*http.Response, error) {
	r.Header.Del("If-None-Match")
	return d.next.Do(r)
}

func TestABucketThatCannotCarryAnArchiveIsRefusedByName(t *testing.T) {
	for name, c := range map[string]struct {
		change func(p *place, s *settings)
		is     error
		text   string
	}{
		"no bucket": {func(_ *place, s *settings) { s.bucket = "nobody" }, archive.ErrRefused, `there is no bucket "nobody"`},
		"credentials": {func(p *place, _ *settings) {
			p.bucket.HTTPClient = refusing{p.bucket.HTTPClient, 403, "SignatureDoesNotMatch", func(*http.Request) bool { return true }}
		}, archive.ErrRefused, `credentials do not allow this in bucket "b"`},
		"no conditions": {func(p *place, _ *settings) { p.bucket.HTTPClient = deaf{p.bucket.HTTPClient} }, archive.ErrUnconditional, "PutObject created records/_probe-"},
		"no stream":     {func(_ *place, s *settings) { s.stream = "nothing" }, nil, "look at the stream"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			s := p.settings(nil)
			c.change(p, s)
			err := p.connect(s).prepare(t.Context(), zap.NewNop())
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v; want %q", err, c.text)
			}
		})
	}
	t.Run("told otherwise", func(t *testing.T) {
		p := newPlace(t)
		p.bucket.HTTPClient = deaf{p.bucket.HTTPClient}
		if err := p.connect(p.settings(func(s *settings) { s.unsafeStore = true })).prepare(t.Context(), zap.NewNop()); err != nil {
			t.Error(err)
		}
	})
}

func TestTwoConfigurationsOnOnePrefixAreRefused(t *testing.T) {
	p := newPlace(t)
	if err := p.connect(p.settings(nil)).prepare(t.Context(), zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(s *settings){
		`application is "s3archive" there and "other" here`:   func(s *settings) { s.app = "other" },
		`compression is "gzip" there and "zstd" here`:         func(s *settings) { s.compression = "zstd" },
		`prefix is "records/!{timestamp:yyyy/MM/dd/HH}/" the`: func(s *settings) { s.prefix = "records/inner/" },
	} {
		err := p.connect(p.settings(change)).prepare(t.Context(), zap.NewNop())
		if !errors.Is(err, archive.ErrClaimed) || !strings.Contains(err.Error(), name) {
			t.Errorf("%v; want %q", err, name)
		}
	}
	for range 2 { // the same again, and another pass, are welcome
		for _, epoch := range []string{"", "two"} {
			if err := p.connect(p.settings(func(s *settings) { s.epoch = epoch })).prepare(t.Context(), zap.NewNop()); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestBadSettingsAreNamed(t *testing.T) {
	p := newPlace(t)
	for text, change := range map[string]func(s *settings){
		"does not depend on the object's first record": func(s *settings) { s.prefix = "x/!{firehose:random-string}/" },
		"!{worker}: unknown expression; want":          func(s *settings) { s.prefix = "x/!{worker}/" },
		"takes origin from a query; want Query":        func(s *settings) { s.prefix = "x/!{partitionKeyFromQuery:origin}/" },
		`query "{a: .": unexpected`:                    func(s *settings) { s.query = "{a: ." },
		"begin alike":                                  func(s *settings) { s.errorPrefix = "records/errors/" },
		"parquet wants columns":                        func(s *settings) { s.format = "parquet" },
		"want none, gzip or zstd":                      func(s *settings) { s.compression = "snappy" },
		"MaxAge is 1ms; want 10ms to 24h":              func(s *settings) { s.maxAge = time.Millisecond },
		"-replay-since needs an -epoch":                func(s *settings) { s.replaySince = time.Hour },
		"pattern letters Y":                            func(s *settings) { s.prefix = "x/!{timestamp:YYYY}/" },
		"spool in /nowhere: open /nowhere":             func(s *settings) { s.spool = "/nowhere" },
	} {
		c, err := newConnection(p.settings(change), p.stream, p.bucket)
		if err == nil {
			_, err = c.newWorker(zap.NewNop(), worker.Hooks{})
		}
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v; want %q", err, text)
		}
	}
}

func TestTheConfigurationFileGivesFlagsAndNamesItsMistakes(t *testing.T) {
	load := func(text string, args ...string) (*settings, error) {
		path := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, fs := &settings{}, flag.NewFlagSet("", flag.ContinueOnError)
		s.flags(fs)
		if err := fs.Parse(append(args, "-config", path)); err != nil {
			t.Fatal(err)
		}
		return s, s.load(fs)
	}
	s, err := load("stream: flights\nmax-age: 90s\nmax-bytes: 1000\ncolumns:\n  - delay:int64\n  - origin:string\naws: true\n", "-max-bytes", "2000")
	if err != nil || s.stream != "flights" || s.maxAge != 90*time.Second || s.maxBytes != 2000 || s.columns != "delay:int64, origin:string" || !s.aws {
		t.Errorf("%+v, %v", s, err)
	}
	for text, want := range map[string]string{
		"strem: flights\n":  `line 1: there is no setting "strem"`,
		"\nmax-age: long\n": "line 2: max-age",
		"stream: {a: b}\n":  "want one value or a list",
		"stream: [\n":       "read the configuration",
	} {
		if _, err := load(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", text, err, want)
		}
	}
}

func TestTheDemonstrationEndsWell(t *testing.T) {
	s := &settings{}
	s.defaults()
	s.pace, s.json = 3*time.Second, true
	var out strings.Builder
	ok, err := demonstrate(t.Context(), s, &out)
	if err != nil || !ok || !strings.Contains(out.String(), "20000 records, 20000 in exactly one object") || !strings.Contains(out.String(), "records/\n") {
		t.Errorf("%v, %v:\n%s", ok, err, out.String())
	}
}

func TestPositionsOfAStart(t *testing.T) {
	s := &settings{}
	s.defaults()
	now := time.Now()
	if p, err := s.position(now); err != nil || p != record.TrimHorizon {
		t.Error(p, err)
	}
	s.start = "LATEST"
	if p, err := s.position(now); err != nil || p != record.Latest {
		t.Error(p, err)
	}
	s.start = "MIDDLE"
	if _, err := s.position(now); err == nil {
		t.Error("no error for a start that there is not")
	}
	s.replaySince, s.epoch = time.Hour, "again"
	if p, err := s.position(now); err != nil || !p.Time().Equal(now.Truncate(time.Millisecond)) {
		t.Error(p, err)
	}
}
