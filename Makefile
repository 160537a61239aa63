# make        build, vet, format check, tests with the race detector
# make help   the other targets

.DEFAULT_GOAL := all
GO ?= go

.PHONY: all build vet fmt test race quickstart processes processes-full bench bench-smoke bench-localstream bench-localstream-quick conformance oracle oracle-smoke help

all: build vet fmt race ## build, vet, check the format, test with the race detector

build: ## compile everything
	$(GO) build ./...

vet: ## go vet
	$(GO) vet ./...

fmt: ## fail if a file is not as gofmt writes it
	@files=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$files" ]; then echo "not gofmt'ed:"; echo "$$files"; exit 1; fi

test: ## the tests
	$(GO) test ./...

race: ## the tests with the race detector
	$(GO) test -race ./...

quickstart: ## a fleet that survives a crash and a reshard, on real earthquakes
	$(GO) run ./examples/quickstart

processes: ## fleets of real processes that are killed and stopped, once
	$(GO) test -count=1 -v ./integration/processes

processes-full: ## the same 20 times over, with 200 kills of the server
	$(GO) test -count=20 -timeout 60m -run Fleet ./integration/processes
	$(GO) test -count=1 -timeout 60m -run Killed ./integration/processes -kills 200

bench: ## what Shoal costs beside other ways, in 20 to 40 minutes; writes docs/benchmarks.md; the last line is JSON
	@$(GO) run ./integration/bench -write docs -patience 15m

bench-smoke: ## the same in two minutes, with less data
	@$(GO) run ./integration/bench -smoke

conformance: ## boto3, the AWS CLI, the Java SDK and KCL and the Go SDK against localstream; the last line is the verdict
	@$(GO) run ./integration/conformance

oracle: ## 100,000 random operations beside DynamoDB Local (java and mvn needed)
	$(GO) test -tags oracle -count=1 -timeout 120m -v -run Answers ./integration/oracle -operations 100000

oracle-smoke: ## 2,000 of them, and the lease table in DynamoDB Local
	$(GO) test -tags oracle -count=1 -timeout 10m ./integration/oracle -operations 2000

KINESALITE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/shoal-bench/kinesalite

bench-localstream: kinesalite ## localstream's speed beside a null server and kinesalite; the last line is JSON
	$(GO) run ./integration/bench/localstream -kinesalite "$(KINESALITE)"

bench-localstream-quick: kinesalite ## the same in half a minute
	$(GO) run ./integration/bench/localstream -quick -kinesalite "$(KINESALITE)"

.PHONY: bench-leases bench-leases-full
bench-leases: ## what 1,000 leases cost in request units beside Java KCL's protocol; the last line is JSON
	@$(GO) run ./integration/bench/leases

bench-leases-full: ## the same with 10,000 leases over 20 workers
	@$(GO) run ./integration/bench/leases -leases 10000 -for 60s

.PHONY: kinesalite
kinesalite: # the peer, outside of the repository; the benchmark says so if it is left out
	@test -e "$(KINESALITE)/node_modules/.bin/kinesalite" || ! command -v npm >/dev/null || \
		npm install --prefix "$(KINESALITE)" --no-audit --no-fund --silent kinesalite@3.3.3 || \
		echo "kinesalite cannot be installed: it is left out"

.PHONY: s3-crash s3-crash-quick s3-throughput s3-parquet
s3-crash: ## the S3 archiver through 300 faults on versitygw, which it installs; the last line is the verdict
	@$(GO) run ./integration/s3crash

s3-crash-quick: ## the same with 60 faults, in less than four minutes
	@$(GO) run ./integration/s3crash -records 4000 -faults 60 -without 30

s3-throughput: ## the S3 archiver beside a plain loop that reads, compresses and puts
	$(GO) test -run '^$$' -bench Throughput -benchtime 3x ./examples/s3archive

s3-parquet: ## DuckDB reads what the S3 archiver writes (python3 needed)
	$(GO) test -tags duckdb -count=1 -run DuckDB ./examples/s3archive

.PHONY: interop interop-full failover failover-full
interop: ## fleets of Go and Java KCL workers on one lease table (java and mvn needed); the last line is JSON
	@$(GO) run ./integration/javakcl

interop-full: ## the same with leases of 10 s, Java's own settings and 50 hand-overs
	@$(GO) run ./integration/javakcl -full -v

failover: ## how long shards stand still when Go workers die, stop, are replaced or join; the last line is JSON
	@$(GO) run ./integration/failover

failover-full: ## the same 20 times over, beside fleets of the Java KCL (java and mvn needed)
	@$(GO) run ./integration/failover -full

.PHONY: sim sim-full soak
sim: ## fleets on virtual time under faults, their replay, planted faults, the model, real processes, the server; the last line is JSON
	@$(GO) run ./integration/reliability

sim-full: ## more of each
	@$(GO) run ./integration/reliability -full

soak: ## fleets with fresh seeds for an hour; figures are appended to docs/soak.ndjson
	@$(GO) run ./integration/reliability -soak 1h

.PHONY: durability durability-quick
durability: ## localstream through power cuts, disk errors, damaged files and kills; the last line is JSON
	@$(GO) run ./integration/durability

durability-quick: ## a twentieth of it
	@$(GO) run ./integration/durability -quick

.PHONY: crowd crowd-quick
crowd: ## real processes that are killed, stopped and cut off, in three and a half minutes; the last line is JSON
	@$(GO) run ./integration/crowd

crowd-quick: ## the same in half a minute
	@$(GO) run ./integration/crowd -quick

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 18
