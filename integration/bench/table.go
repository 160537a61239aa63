package main

import (
	"slices"
	"strings"
	"time"

	"github.com/shoal-stream/shoal/integration/bench/job"
)

// The shares of the processors' time with other machines from which on a round is done again. The slowest of a hundred
// records is the one that waited for a processor.
const (
	mostStolen          = 0.05
	mostStolenOfLatency = 0.03
)

// largeLease is how long leases last where one worker holds very many (README, "Thousands of shards").
const largeLease = 2 * time.Minute

// A scenario is one thing that is measured: what its contenders do by turns, and which ratios of their figures count.
type scenario struct {
	name  string
	title string // in the report

	full, smoke job.Job  // what to do; URL, Stream and App are filled in
	filled      bool     // the stream has job.Records records before it begins
	onlyFull    bool     // not in the smoke test
	once        bool     // one round is enough, for it takes long
	stolen      float64  // from how much of the processors' time with other machines on a round is done again, 1 for never; 0 is mostStolen
	contenders  []string // the programs of child.go; those with + between run at the same time
	peers       []string // of peers.go
	shown       []string // figures in the table
	ratios      []ratio
}

// A ratio is a figure of one contender, or that divided by, or less, one of another, in the same round.
type ratio struct {
	name        string
	figure      string
	of          string
	over, minus string  // at most one of them
	least, most float64 // the target, if there is one
}

// turns are who take turns: a contender, or some that run at the same time.
func (s scenario) turns() (all [][]string) {
	for _, names := range append(slices.Clone(s.contenders), s.peers...) {
		all = append(all, strings.Split(names, "+"))
	}
	return all
}

// who are the contenders.
func (s scenario) who() []string { return slices.Concat(s.turns()...) }

var scenarios = []scenario{
	{
		name: "codec_1k", title: "Codec alone: one answer of 5,000 records of 1 KB",
		full:       job.Job{Records: 5_000, Size: 1 << 10, Window: time.Second},
		smoke:      job.Job{Records: 5_000, Size: 1 << 10, Window: 200 * time.Millisecond},
		contenders: []string{"codec-shoal", "codec-sdk-json", "codec-sdk-cbor"},
		shown:      []string{"ns_per_record", "allocs_per_record"},
		ratios: []ratio{
			{name: "codec_1k_json_cpu", figure: "ns_per_record", of: "codec-sdk-json", over: "codec-shoal", least: 10},
			{name: "codec_1k_cbor_cpu", figure: "ns_per_record", of: "codec-sdk-cbor", over: "codec-shoal", least: 4},
			{name: "codec_1k_allocs", figure: "allocs_per_record", of: "codec-shoal", most: 1},
		},
	},
	{
		name: "codec_100b", title: "Codec alone: one answer of 10,000 records of 100 bytes",
		full:       job.Job{Records: 10_000, Size: 100, Window: time.Second},
		smoke:      job.Job{Records: 10_000, Size: 100, Window: 200 * time.Millisecond},
		contenders: []string{"codec-shoal", "codec-sdk-json", "codec-sdk-cbor"},
		shown:      []string{"ns_per_record", "allocs_per_record"},
		ratios: []ratio{
			{name: "codec_100b_json_cpu", figure: "ns_per_record", of: "codec-sdk-json", over: "codec-shoal", least: 6},
			{name: "codec_100b_allocs", figure: "allocs_per_record", of: "codec-shoal", most: 1},
		},
	},
	{
		name: "worker", title: "Whole worker: 4 shards, records of 1 KB, over HTTP", filled: true,
		full:       job.Job{Shards: 4, Records: 400_000, Size: 1 << 10},
		smoke:      job.Job{Shards: 4, Records: 100_000, Size: 1 << 10},
		contenders: []string{"raw", "shoal"},
		peers:      []string{"harlow", "kinsumer"},
		shown:      []string{"whole_per_s", "records_per_s", "cpu_s_per_million", "peak_mib", "first_s"},
		ratios: []ratio{
			{name: "worker_raw_rate", figure: "whole_per_s", of: "shoal", over: "raw", least: 3},
			{name: "worker_raw_cpu", figure: "cpu_s_per_million", of: "raw", over: "shoal", least: 5},
			{name: "worker_raw_peak_memory", figure: "peak_mib", of: "shoal", over: "raw", most: 0.5},
			{name: "worker_harlow_cpu", figure: "cpu_s_per_million", of: "harlow", over: "shoal", least: 5},
			{name: "worker_kinsumer_cpu", figure: "cpu_s_per_million", of: "kinsumer", over: "shoal", least: 5},
			{name: "worker_harlow_rate", figure: "records_per_s", of: "shoal", over: "harlow"},
			{name: "worker_kinsumer_rate", figure: "records_per_s", of: "shoal", over: "kinsumer"},
		},
	},
	{
		name: "peers", title: "Whole worker beside slow peers: 4 shards, records of 1 KB, over HTTP", filled: true, onlyFull: true,
		stolen:     1,                                                   // a round of them takes two minutes, and what they need is far apart
		full:       job.Job{Shards: 4, Records: 160_000, Size: 1 << 10}, // vmware reads 2 MB/s of a shard at most
		contenders: []string{"shoal"},
		peers:      []string{"vmware", "java"},
		shown:      []string{"whole_per_s", "records_per_s", "cpu_s_per_million", "peak_mib", "first_s"},
		ratios: []ratio{
			{name: "worker_vmware_cpu", figure: "cpu_s_per_million", of: "vmware", over: "shoal", least: 5},
			{name: "worker_java_cpu", figure: "cpu_s_per_million", of: "java", over: "shoal"},
			{name: "worker_vmware_rate", figure: "records_per_s", of: "shoal", over: "vmware"},
			{name: "worker_java_rate", figure: "records_per_s", of: "shoal", over: "java"},
		},
	},
	{
		name: "latency", title: "From the put to the processor: 1,000 records/s of 100 bytes; fan-out and its floor, a bare HTTP/2 stream, at the same time",
		full:       job.Job{Shards: 1, Rate: 1000, Window: 6 * time.Second},
		smoke:      job.Job{Shards: 1, Rate: 1000, Window: 2 * time.Second},
		stolen:     mostStolenOfLatency,
		contenders: []string{"fanout+floor", "polling", "fanout-sdk-put"},
		shown:      []string{"p50_ms", "p99_ms"},
		ratios: []ratio{
			{name: "fanout_p99_over_floor_ms", figure: "p99_ms", of: "fanout", minus: "floor", most: 3},
			{name: "fanout_p50_over_floor_ms", figure: "p50_ms", of: "fanout", minus: "floor"},
			{name: "fanout_sdk_put_p99_over_floor_ms", figure: "p99_ms", of: "fanout-sdk-put", minus: "floor"},
			{name: "polling_fanout_p50", figure: "p50_ms", of: "polling", over: "fanout"},
			{name: "polling_fanout_p99", figure: "p99_ms", of: "polling", over: "fanout"},
		},
	},
	{
		name: "producer", title: "Producer: 4 shards, records of 1 KB, four requests under way",
		full:       job.Job{Shards: 4, Records: 200_000, Keys: 10_000, Size: 1 << 10},
		smoke:      job.Job{Shards: 4, Records: 30_000, Keys: 10_000, Size: 1 << 10},
		contenders: []string{"put-hand", "put-hand-cbor", "put-shoal", "put-shoal-none", "put-shoal-kpl"},
		shown:      []string{"records_per_s", "cpu_s_per_million", "peak_mib"},
		ratios: []ratio{
			{name: "producer_hand_rate", figure: "records_per_s", of: "put-shoal", over: "put-hand", least: 0.9},
			{name: "producer_hand_cpu", figure: "cpu_s_per_million", of: "put-hand", over: "put-shoal"},
			{name: "producer_cbor_rate", figure: "records_per_s", of: "put-shoal", over: "put-hand-cbor"},
		},
	},
	{
		name: "bykey", title: "ByKey: 10 ms for each record, one shard", filled: true,
		full:       job.Job{Shards: 1, Records: 60_000, Keys: 5_000, Size: 100, Window: 5 * time.Second},
		smoke:      job.Job{Shards: 1, Records: 20_000, Keys: 5_000, Size: 100, Window: 2 * time.Second},
		contenders: []string{"bykey-1", "bykey-64"},
		shown:      []string{"records_per_s"},
		ratios:     []ratio{{name: "bykey_64_rate", figure: "records_per_s", of: "bykey-64", over: "bykey-1", least: 40}},
	},
	{
		name: "idle_1k", title: "1,000 idle shards in one worker",
		full:       job.Job{Shards: 1_000, Window: 15 * time.Second, Lease: largeLease},
		smoke:      job.Job{Shards: 1_000, Window: 4 * time.Second, Lease: largeLease},
		once:       true,
		contenders: []string{"idle"},
		shown:      []string{"rss_mib", "kib_per_shard", "core_percent", "leases_kept", "all_held_s"},
		ratios: []ratio{
			{name: "idle_1k_kib_per_shard", figure: "kib_per_shard", of: "idle"},
			{name: "idle_1k_leases_kept", figure: "leases_kept", of: "idle", least: 1},
		},
	},
	{
		name: "idle_10k", title: "10,000 idle shards in one worker, with GOMEMLIMIT=182MiB", onlyFull: true, once: true,
		full:       job.Job{Shards: 10_000, Window: time.Minute, Lease: largeLease, Memory: 182 << 20},
		contenders: []string{"idle"},
		shown:      []string{"rss_mib", "kib_per_shard", "core_percent", "leases_kept", "all_held_s"},
		ratios: []ratio{
			{name: "idle_10k_rss_mib", figure: "rss_mib", of: "idle", most: 200},
			{name: "idle_10k_core_percent", figure: "core_percent", of: "idle", most: 25},
			{name: "idle_10k_kib_per_shard", figure: "kib_per_shard", of: "idle"},
			{name: "idle_10k_leases_kept", figure: "leases_kept", of: "idle", least: 1},
		},
	},
	{
		name: "many", title: "1,000 shards with data, pages of 50 records of 1 KB", filled: true, once: true,
		full:       job.Job{Shards: 1_000, Records: 800_000, Size: 1 << 10},
		smoke:      job.Job{Shards: 1_000, Records: 400_000, Size: 1 << 10},
		contenders: []string{"many"},
		shown:      []string{"slowest_to_mean", "records_per_s", "cpu_s_per_million", "peak_mib", "kib_per_shard", "firsts_s"},
		ratios: []ratio{
			{name: "many_slowest_to_mean", figure: "slowest_to_mean", of: "many", least: 0.5},
			{name: "many_peak_mib", figure: "peak_mib", of: "many", most: 256}, // the worker's budget
			{name: "busy_1k_kib_per_shard", figure: "kib_per_shard", of: "many"},
			{name: "first_records_1k_shards_s", figure: "firsts_s", of: "many", most: 3},
		},
	},
	{
		name: "busy_10k", title: "10,000 shards with 40 records of 1 KB each", filled: true, onlyFull: true, once: true,
		full:       job.Job{Shards: 10_000, Records: 400_000, Size: 1 << 10, Lease: largeLease},
		contenders: []string{"many"},
		shown:      []string{"records_per_s", "cpu_s_per_million", "peak_mib", "kib_per_shard", "firsts_s"},
		ratios: []ratio{
			{name: "busy_10k_kib_per_shard", figure: "kib_per_shard", of: "many"},
			{name: "busy_10k_peak_mib", figure: "peak_mib", of: "many"},
		},
	},
}
