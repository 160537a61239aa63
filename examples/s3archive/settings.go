package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/shoal-stream/shoal/examples/s3archive/archive"
	"github.com/shoal-stream/shoal/examples/s3archive/format"
	"github.com/shoal-stream/shoal/examples/s3archive/prefix"
	"github.com/shoal-stream/shoal/record"
)

// Settings are the flags, which a configuration file may give, too, under the same names.
type settings struct {
	config string

	stream, app, worker string
	endpoint            string
	aws                 bool
	region              string
	start               string
	replaySince         time.Duration
	epoch               string
	lease               time.Duration

	s3Endpoint, bucket         string
	prefix, errorPrefix, query string
	transform, zone            string
	format, compression        string
	columns                    string
	maxBytes                   int64
	maxRecords                 int
	maxAge                     time.Duration
	maxOutputs                 int
	budget                     int64
	spool                      string
	uploads                    int
	lagAlarm, timeout          time.Duration
	unsafeStore, unsafeNoAdopt bool

	verify, complete, redrive, json, keep bool
	pace                                  time.Duration
}

func (s *settings) flags(fs *flag.FlagSet) {
	fs.StringVar(&s.config, "config", "", "a YAML `file` with settings under the names of these flags; a flag overrides it")
	fs.StringVar(&s.stream, "stream", "", "the stream's `name`; without it, a demonstration runs that needs nothing")
	fs.StringVar(&s.app, "app", "s3archive", "the application's `name`; its processes share the shards and the lease table of that name")
	fs.StringVar(&s.worker, "worker", "", "this process's `name` in the lease table; made up if empty")
	fs.StringVar(&s.endpoint, "endpoint", "", "the `URL` of localstream, or another Kinesis and DynamoDB")
	fs.BoolVar(&s.aws, "aws", false, "use AWS, with the credentials that its tools use, instead of -endpoint and -s3-endpoint")
	fs.StringVar(&s.region, "region", "us-east-1", "the region; with -aws that of its tools, unless given")
	fs.StringVar(&s.start, "start", "TRIM_HORIZON", "where a new application begins: TRIM_HORIZON or LATEST")
	fs.DurationVar(&s.replaySince, "replay-since", 0, "archive once more what came within this `time`, under an -epoch of its own, beside the first pass")
	fs.StringVar(&s.epoch, "epoch", "", "the `name` of a pass over the stream: keys begin with it, and it has leases of its own")
	fs.DurationVar(&s.lease, "lease", 10*time.Second, "after how long the shards of a dead process are taken over, 1s to 10m")

	fs.StringVar(&s.s3Endpoint, "s3-endpoint", "", "the `URL` of an S3 that is not Amazon's")
	fs.StringVar(&s.bucket, "bucket", "", "the bucket's `name`")
	fs.StringVar(&s.prefix, "prefix", "records/!{timestamp:yyyy/MM/dd/HH}/", "the folder of objects, in the language of Firehose")
	fs.StringVar(&s.errorPrefix, "error-prefix", "errors/!{firehose:error-output-type}/!{timestamp:yyyy/MM/dd}/", "the folder of dead letters; if empty, a record that fails holds its shard")
	fs.StringVar(&s.query, "partition-query", "", "a jq `expression` that makes an object of the values for !{partitionKeyFromQuery:…}")
	fs.StringVar(&s.transform, "transform", "", "a jq `expression` for each record: one result is stored, none drops the record, an error makes it a dead letter")
	fs.StringVar(&s.zone, "timezone", "UTC", "the time `zone` of !{timestamp:…}, such as Europe/Berlin")
	fs.StringVar(&s.format, "format", "jsonl", "jsonl, frames or parquet")
	fs.StringVar(&s.compression, "compression", "gzip", "none, gzip or zstd")
	fs.StringVar(&s.columns, "columns", "", "the schema of parquet, as `name:type=field, …`; see docs/s3archive.md")
	fs.Int64Var(&s.maxBytes, "max-bytes", 32<<20, "cut an object at so many `bytes` of data")
	fs.IntVar(&s.maxRecords, "max-records", 1_000_000, "cut an object at so many records")
	fs.DurationVar(&s.maxAge, "max-age", time.Minute, "cut an object so long after its first record was read")
	fs.IntVar(&s.maxOutputs, "max-outputs", 500, "the most partitions of a shard that are open at a time")
	fs.Int64Var(&s.budget, "budget", 256<<20, "how many `bytes` of data this process holds at most, at least 64 MiB")
	fs.StringVar(&s.spool, "spool", "", "the `folder` in which data waits instead of in memory")
	fs.IntVar(&s.uploads, "uploads", 8, "how many objects are made at a time")
	fs.DurationVar(&s.lagAlarm, "lag-alarm", 10*time.Minute, "the age of a record in no object at which to warn")
	fs.DurationVar(&s.timeout, "timeout", 30*time.Second, "how long a request to S3 may take, without its body")
	fs.BoolVar(&s.unsafeStore, "unsafe-store", false, "archive to a store that has failed the probe: records may be lost or repeated")
	fs.BoolVar(&s.unsafeNoAdopt, "unsafe-no-adopt", false, "take objects of others for one's own: loses and repeats records, for tests that have to see it")

	fs.BoolVar(&s.verify, "verify", false, "read the stream and the bucket, and say whether each record is in exactly one object, in order")
	fs.BoolVar(&s.complete, "complete", false, "with -verify: records that no archiver has come to yet are missing, too")
	fs.BoolVar(&s.redrive, "redrive", false, "put the dead letters that no longer fail into objects")
	fs.BoolVar(&s.json, "json", false, "print the result of -verify, or of the demonstration, as one JSON object on the last line")
	fs.BoolVar(&s.keep, "keep", false, "keep the demonstration's stream and print where it is")
	fs.DurationVar(&s.pace, "pace", 12*time.Second, "spread the flights of the demonstration over this `time`, 5s to 10m")
}

// load reads the configuration file into the flags that were not given.
func (s *settings) load(fs *flag.FlagSet) error {
	if s.config == "" {
		return nil
	}
	text, err := os.ReadFile(s.config)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	var file map[string]yaml.Node
	if err := yaml.Unmarshal(text, &file); err != nil {
		return fmt.Errorf("read the configuration %s: %w", s.config, err)
	}
	given := map[string]bool{"config": true}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	var errs []error
	for name, node := range file {
		value := node.Value
		switch {
		case fs.Lookup(name) == nil || name == "config":
			errs = append(errs, fmt.Errorf("%s, line %d: there is no setting %q", s.config, node.Line, name))
			continue
		case node.Kind == yaml.SequenceNode: // columns
			var list []string
			for _, n := range node.Content {
				list = append(list, n.Value)
			}
			value = strings.Join(list, ", ")
		case node.Kind != yaml.ScalarNode:
			errs = append(errs, fmt.Errorf("%s, line %d: %s: want one value or a list", s.config, node.Line, name))
			continue
		}
		if given[name] {
			continue
		}
		if err := fs.Set(name, value); err != nil {
			errs = append(errs, fmt.Errorf("%s, line %d: %s: %w", s.config, node.Line, name, err))
		}
	}
	return errors.Join(errs...)
}

// archive makes the archiver's configuration, without its store.
func (s *settings) archive() (archive.Config, error) {
	var errs []error
	note := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	zone, err := time.LoadLocation(s.zone)
	note(err)
	epoch := ""
	if s.epoch != "" {
		if err := nameOf(s.epoch); err != nil {
			note(fmt.Errorf("-epoch %q: %w", s.epoch, err))
		}
		epoch = s.epoch + "/"
	}
	cfg := archive.Config{
		MaxBytes: s.maxBytes, MaxRecords: s.maxRecords, MaxAge: s.maxAge, MaxOutputs: s.maxOutputs, Budget: s.budget,
		SpoolDir: s.spool, Uploads: s.uploads, LagAlarm: s.lagAlarm, NoAdopt: s.unsafeNoAdopt,
	}
	cfg.Prefix, err = prefix.Parse(epoch+s.prefix, zone)
	note(err)
	if s.errorPrefix != "" {
		cfg.ErrorPrefix, err = prefix.Parse(epoch+s.errorPrefix, zone)
		note(err)
	}
	if s.query != "" {
		cfg.Query, err = prefix.ParseQuery(s.query)
		note(err)
	}
	if s.transform != "" {
		q, err := prefix.ParseQuery(s.transform)
		note(err)
		cfg.Transform = transform(q)
	}
	cfg.Compression, err = format.ParseCompression(s.compression)
	note(err)
	var columns []string
	if s.columns != "" {
		columns = strings.Split(s.columns, ",")
	}
	cfg.Format, err = format.New(s.format, columns, cfg.Compression)
	note(err)
	return cfg, errors.Join(errs...)
}

// position is where a new application begins; since is what the first process of a second pass has decided on.
func (s *settings) position(since time.Time) (record.Position, error) {
	switch {
	case s.replaySince < 0:
		return record.Position{}, fmt.Errorf("-replay-since %v: want a time back from now, such as 12h", s.replaySince)
	case s.replaySince > 0 && s.epoch == "":
		return record.Position{}, errors.New("-replay-since needs an -epoch: a second pass wants keys of its own")
	case s.replaySince > 0:
		return record.AtTimestamp(since), nil
	case s.start == "TRIM_HORIZON":
		return record.TrimHorizon, nil
	case s.start == "LATEST":
		return record.Latest, nil
	default:
		return record.Position{}, fmt.Errorf("-start %q: want TRIM_HORIZON or LATEST", s.start)
	}
}

// application is the name of the leases: each pass over the stream has its own.
func (s *settings) application() string {
	if s.epoch == "" {
		return s.app
	}
	return s.app + "-" + s.epoch
}

// nameOf refuses what is no plain name.
func nameOf(text string) error {
	for _, c := range text {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", c) {
			return fmt.Errorf("want letters, digits, '-', '_' and '.'")
		}
	}
	return nil
}

// defaults are the settings without any flag.
func (s *settings) defaults() { s.flags(flag.NewFlagSet("", flag.ContinueOnError)) }
