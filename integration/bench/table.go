package main

import (
	"time"

	"github.com/shoal-stream/shoal/integration/bench/job"
)

// A scenario is one thing that is measured: what its contenders do by turns, and which ratios of their figures count.
type scenario struct {
	name  string
	title string // in the report

	full, smoke job.Job  // what to do; URL, Stream and App are filled in
	filled      bool     // the stream has job.Records records before it begins
	onlyFull    bool     // not in the smoke test
	once        bool     // one round is enough, for it takes long
	contenders  []string // programs of this program, "peers/NAME" of integration/bench/peers, or "java"
	shown       []string // figures in the table
	ratios      []ratio
}

// A ratio is a figure of one contender, or that divided by, or less, one of another, in the same round.
type ratio struct {
	name        string
	figure      string
	of          string
	over, minus string  // at most one of them; a ratio over "*peers" is to each of them
	least, most float64 // the target, if there is one
}

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
		shown:      []string{"records_per_s", "cpu_s_per_million", "peak_mib", "first_s"},
		ratios: []ratio{
			{name: "worker_raw_rate", figure: "records_per_s", of: "shoal", over: "raw", least: 3},
			{name: "worker_raw_cpu", figure: "cpu_s_per_million", of: "raw", over: "shoal", least: 5},
			{name: "worker_raw_peak_memory", figure: "peak_mib", of: "shoal", over: "raw", most: 0.5},
		},
	},
}
