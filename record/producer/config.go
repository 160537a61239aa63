package producer

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/shoal-stream/shoal/internal/clock"
)

// An Order is what a producer promises about the order of records in the stream. The package comment says how far such
// a promise can go.
type Order int

const (
	// OrderPerKey, the default: the records of one partition key are in the order of their Puts. A request holds at most
	// one record of a key, or one aggregate with several, and a key has at most one request under way; other keys go on.
	// One key alone therefore moves one record a round trip, or with Config.Aggregate one aggregate.
	OrderPerKey Order = iota
	// OrderStrict: all records that land in one shard are in the order of their Puts, and so are those of a key over all
	// reshards. Each shard has one PutRecord under way at a time, so it moves one record a round trip, or with
	// Config.Aggregate one aggregate. Only what is sent into a shard that has just been merged, before the producer has
	// learnt of it from the answers, is in order within each of the two former shards.
	OrderStrict
	// OrderNone: records are sent as soon as there is room for them, and again when they failed, in any order.
	OrderNone
)

// String is the order in words.
func (o Order) String() string {
	switch o {
	case OrderPerKey:
		return "per key"
	case OrderStrict:
		return "strict"
	case OrderNone:
		return "none"
	default:
		return fmt.Sprintf("Order(%d)", int(o))
	}
}

// Config of a Producer. Only Stream is required; zero means the default.
type Config struct {
	// Stream is the stream's name or ARN.
	Stream string

	// Order is what is promised about order. Default OrderPerKey.
	Order Order

	// Linger is how long a record may wait for others to share its request: 0 to 1 min, default 10 ms, but at most half of
	// Deadline; negative is not at all, and then records still gather while MaxInFlight requests are under way.
	Linger time.Duration

	// MaxBatchRecords and MaxBatchBytes bound a request: 1 to 500 records, and data with partition keys of up to 10 MiB; a
	// larger record still goes alone. Defaults 500, and 5 MiB, which was the service's limit until October 2025.
	MaxBatchRecords int
	MaxBatchBytes   int

	// MaxInFlight is how many requests may be under way at once, 1 to 1,000; default 16.
	MaxInFlight int

	// MaxBuffered bounds what the producer holds, from Put until the record's answer was handed on: data and keys and 256
	// bytes a record. At the bound Put waits. 1 KiB or more, default 64 MiB. A single larger record is let in alone.
	MaxBuffered int64

	// Deadline is how long after its Put a record is still sent, or sent again; 1 ms to 24 h, default 30 s. An attempt that
	// is under way then is waited for, and so is one at a record that must come before it.
	Deadline time.Duration

	// RequestTimeout is how long a request waits for its answer, 1 ms to 10 min; default 10 s. A short one makes
	// duplicates.
	RequestTimeout time.Duration

	// RateLimit paces what is sent to each shard, as a share of what a shard takes: 1,000 records and 1 MiB a second. It
	// falls while a shard refuses records and is back within 10 s of the last refusal. Default 1; below that if other
	// producers write too; negative does not pace at all, and shards still rest after they refused records.
	RateLimit float64

	// Aggregate, if set, packs small records of a shard into one as the Kinesis Producer Library does. Consumers must open
	// them, as Shoal's and Amazon's KCL do.
	Aggregate bool

	// AggregateBytes is how large an aggregate may be, partition key included: 1 KiB to 10 MiB, and not more than a record
	// of the stream may have; default 51,200, as KPL's, but at most MaxBatchBytes. A record that does not fit in goes on
	// its own.
	AggregateBytes int

	// SDKCodec writes requests with the codec of the client that New was given, by default the SDK's in JSON, in place of
	// record/kinesiscbor, which costs less CPU.
	SDKCodec bool

	// Clock is the producer's time and randomness. The zero value is the real one.
	Clock clock.Clock
}

// The most that the service takes (Kinesis API reference, PutRecords; quotas since October 2025).
const (
	maxBatchRecords = 500
	maxBatchBytes   = 10 << 20
	maxRecordBytes  = 10 << 20
)

// withDefaults is c with every zero field that has a default filled in.
func (c Config) withDefaults() Config {
	c.Linger = cmp.Or(c.Linger, 10*time.Millisecond)
	c.MaxBatchRecords = cmp.Or(c.MaxBatchRecords, maxBatchRecords)
	c.MaxBatchBytes = cmp.Or(c.MaxBatchBytes, 5<<20)
	c.MaxInFlight = cmp.Or(c.MaxInFlight, 16)
	c.MaxBuffered = cmp.Or(c.MaxBuffered, 64<<20)
	c.Deadline = cmp.Or(c.Deadline, 30*time.Second)
	c.RequestTimeout = cmp.Or(c.RequestTimeout, 10*time.Second)
	c.RateLimit = cmp.Or(c.RateLimit, 1)
	c.AggregateBytes = cmp.Or(c.AggregateBytes, 51_200)
	return c
}

var validName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)

// name is the stream's name, also if it is given by ARN.
func (c Config) name() string {
	if !strings.HasPrefix(c.Stream, "arn:") {
		return c.Stream
	}
	_, name, _ := strings.Cut(c.Stream, ":stream/")
	return name
}

// validate lists every field that is out of its range.
func (c Config) validate() error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("producer.Config.%s: %s", field, fmt.Sprintf(format, args...)))
	}
	within := func(field string, v, low, high int64) {
		if v < low || v > high {
			bad(field, "is %d; want %d to %d", v, low, high)
		}
	}
	lasting := func(field string, d, low, high time.Duration) {
		if d < low || d > high {
			bad(field, "is %v; want %v to %v", d, low, high)
		}
	}
	if !validName.MatchString(c.name()) {
		bad("Stream", "is %.200q; want a name of 1 to 128 characters out of a-z, A-Z, 0-9, _ . -, or arn:…:stream/NAME", c.Stream)
	}
	if c.Order < OrderPerKey || c.Order > OrderNone {
		bad("Order", "is %v; want OrderPerKey, OrderStrict or OrderNone", c.Order)
	}
	if c.Linger > time.Minute {
		bad("Linger", "is %v; want at most 1m0s, or negative for none", c.Linger)
	}
	within("MaxBatchRecords", int64(c.MaxBatchRecords), 1, maxBatchRecords)
	within("MaxBatchBytes", int64(c.MaxBatchBytes), 1, maxBatchBytes)
	within("MaxInFlight", int64(c.MaxInFlight), 1, 1000)
	if c.MaxBuffered < 1<<10 {
		bad("MaxBuffered", "is %d bytes; want at least 1024", c.MaxBuffered)
	}
	lasting("Deadline", c.Deadline, time.Millisecond, 24*time.Hour)
	lasting("RequestTimeout", c.RequestTimeout, time.Millisecond, 10*time.Minute)
	if !(c.RateLimit < 0 || c.RateLimit >= 0.01 && c.RateLimit <= 1000) {
		bad("RateLimit", "is %v; want 0.01 to 1000, or negative for none", c.RateLimit)
	}
	within("AggregateBytes", int64(c.AggregateBytes), 1<<10, maxRecordBytes)
	return errors.Join(errs...)
}
