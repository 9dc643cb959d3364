# Needs Go 1.26 (the library in partitioned/ also builds with 1.25), make, git and, for the race detector, a C compiler. Every other tool is pinned in tools/ and run by
# `go tool`, which builds it when it is first used.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

GO      ?= go
BUILD   := build
OTELCOL := $(BUILD)/otelcol-partitionedbuffer
PROOF   := $(BUILD)/proof/otelcol-proof
KAFKA   := $(BUILD)/kafka/otelcol-kafka
KEYED   := $(BUILD)/key-expressions/otelcol-key-expressions

# $(call tool,NAME) is the command line that runs a tool, from any folder.
tool = $(GO) tool -modfile=$(CURDIR)/tools/$(1)/go.mod $(1)

# The modules that have code of ours. tools/ and build/ have none.
MODULES := . $(patsubst %/go.mod,%,$(wildcard bench/go.mod bench/interval/go.mod bench/queuebatch/go.mod e2e/go.mod e2e/headerssetter/go.mod keyexpressions/go.mod monitoring/go.mod \
	partitioned/go.mod))

# What a collector is made of.
SOURCES := builder-config.yaml go.mod partitioned/go.mod $(wildcard go.sum) $(filter-out %_test.go,\
	$(wildcard *.go e2e/headerssetter/*.go) $(shell find partitioned internal -name '*.go' 2>/dev/null))

# Go files that are written by hand; mdatagen's are as mdatagen makes them.
GOFILES = $(shell git ls-files --cached --others --exclude-standard '*.go' | grep -v '\bgenerated_' | \
	while read -r f; do if [ -f "$$f" ]; then echo "$$f"; fi; done)

# A line that sends something to the collector of `make run`.
SEND = $(GO) tool -modfile=tools/telemetrygen/go.mod telemetrygen traces --otlp-insecure --otlp-endpoint 127.0.0.1:4317 \
	--traces 1000 --rate 0

.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-19s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

## The collector

.PHONY: build
build: $(OTELCOL) ## build a collector with the processor, into build/

# Sources and go.mod of the collector. ocb resolves the modules anew, so that a change in our go.mod gets there.
$(BUILD)/go.mod: builder-config.yaml go.mod partitioned/go.mod $(wildcard go.sum) tools/builder/go.mod
	$(call tool,builder) --config=builder-config.yaml --skip-compilation
	@touch $@

$(OTELCOL): $(BUILD)/go.mod $(SOURCES)
	$(call tool,builder) --config=builder-config.yaml --skip-generate --skip-get-modules
	@touch $@

# The same collector with the race detector: what `cgo_enabled: true` and GOFLAGS=-race would make ocb do, in the sources that
# it generated before.
$(OTELCOL)-race: $(BUILD)/go.mod $(SOURCES)
	cd $(BUILD) && CGO_ENABLED=1 $(GO) build -race -o $(notdir $@) .
	@touch $@

.PHONY: build-proof
build-proof: $(PROOF) ## build a collector with rivals and parts of contrib, into build/proof/

$(BUILD)/proof/go.mod: builder-config-proof.yaml go.mod partitioned/go.mod bench/queuebatch/go.mod tools/builder/go.mod
	@mkdir -p $(BUILD)
	$(call tool,builder) --config=builder-config-proof.yaml --skip-compilation
	@touch $@

$(PROOF): $(BUILD)/proof/go.mod $(SOURCES) bench/queuebatch/factory.go
	$(call tool,builder) --config=builder-config-proof.yaml --skip-generate --skip-get-modules
	@touch $@

.PHONY: build-kafka
build-kafka: $(KAFKA) ## build a newer collector with contrib's Kafka components, into build/kafka/

$(BUILD)/kafka/go.mod: builder-config-kafka.yaml go.mod partitioned/go.mod tools/builder/go.mod
	@mkdir -p $(BUILD)
	$(call tool,builder) --config=builder-config-kafka.yaml --skip-strict-versioning --skip-compilation
	@touch $@

$(KAFKA): $(BUILD)/kafka/go.mod $(SOURCES)
	$(call tool,builder) --config=builder-config-kafka.yaml --skip-strict-versioning --skip-generate --skip-get-modules
	@touch $@

.PHONY: build-key-expressions
build-key-expressions: $(KEYED) ## build a collector with key_expressions, into build/key-expressions/

$(BUILD)/key-expressions/go.mod: builder-config-key-expressions.yaml go.mod keyexpressions/go.mod partitioned/go.mod tools/builder/go.mod
	@mkdir -p $(BUILD)
	$(call tool,builder) --config=builder-config-key-expressions.yaml --skip-compilation
	@touch $@

$(KEYED): $(BUILD)/key-expressions/go.mod $(SOURCES) $(filter-out %_test.go,$(wildcard keyexpressions/*.go))
	$(call tool,builder) --config=builder-config-key-expressions.yaml --skip-generate --skip-get-modules
	@touch $@

$(BUILD)/telemetrygen: tools/telemetrygen/go.mod
	@mkdir -p $(BUILD)
	$(GO) build -modfile=tools/telemetrygen/go.mod -o $@ \
		github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen
	@touch $@

# Prometheus: the one that is installed, or that of Debian's package, unpacked. To install it would start its service.
$(BUILD)/prometheus $(BUILD)/promtool &:
	@mkdir -p $(BUILD)/deb
	@{ command -v prometheus && command -v promtool; } >/dev/null || \
		{ cd $(BUILD)/deb && rm -f *.deb && apt-get download -q prometheus && dpkg-deb -x prometheus_*.deb .; } || \
		{ echo 'Prometheus is missing: install it, or run apt-get update for its package'; exit 1; }
	@for c in prometheus promtool; do ln -sf "$$(command -v $$c || echo deb/usr/bin/$$c)" $(BUILD)/$$c; done

.PHONY: build-e2e
build-e2e: $(OTELCOL) $(OTELCOL)-race $(PROOF) $(KAFKA) $(KEYED) $(BUILD)/telemetrygen $(BUILD)/prometheus ## build what the tests in e2e/ run

.PHONY: run
run: $(OTELCOL) ## run the collector on examples/quickstart.yaml, until Ctrl-C
	@echo
	@echo 'OTLP gRPC on 127.0.0.1:4317, HTTP on 127.0.0.1:4318, metrics on http://127.0.0.1:8888/metrics,'
	@echo 'batches below and in $(BUILD)/quickstart/. To send 2000 spans, in another terminal:'
	@echo
	@echo '  $(SEND)'
	@echo
	@exec $(OTELCOL) --config=examples/quickstart.yaml

.PHONY: demo
demo: $(OTELCOL) $(BUILD)/telemetrygen ## run it, send traces, metrics and logs, count what arrives
	@cd e2e && $(GO) run ./cmd/demo

.PHONY: faults
faults: $(OTELCOL) ## run it against backends with faults, and write FAULTS.md
	@cd e2e && $(GO) run ./cmd/faults > ../$(BUILD)/FAULTS.md
	@mv $(BUILD)/FAULTS.md FAULTS.md

.PHONY: proof
proof: $(PROOF) ## measure whole collectors side by side, and write docs/proof.md; on an idle machine, ten minutes
	cd e2e && $(GO) run ./cmd/proof

.PHONY: soak
soak: $(PROOF) ## run a collector for an hour under faults and reloads, and write docs/soak.md
	cd e2e && $(GO) run ./cmd/soak -page ../docs/soak.md

## Tests

.PHONY: test
test: build-e2e ## run all tests of all modules, with the race detector except in bench/interval
	@failed=; for m in $(MODULES); do \
		race=-race; if [ $$m = bench/interval ]; then race=; fi; \
		echo "== go test $$race ./... in $$m"; \
		(cd $$m && $(GO) test $$race $$([ $$m != e2e ] || echo -count=1) -timeout 20m ./...) || failed="$$failed $$m"; \
	done; \
	if [ -n "$$failed" ]; then echo "tests failed in:$$failed"; exit 1; fi

.PHONY: library
library: ## run the tests of the library alone, with the race detector
	cd partitioned && $(GO) test -race -timeout 10m ./...

# What the Collector's core distribution is released for: distributions/otelcol/.goreleaser.yaml in opentelemetry-collector-releases.
PLATFORMS := aix/ppc64 darwin/amd64 darwin/arm64 linux/386 linux/amd64 linux/arm linux/arm64 linux/ppc64le linux/riscv64 linux/s390x \
	windows/386 windows/amd64 windows/arm64

# The modules that somebody else's collector is built with.
RELEASED := . keyexpressions partitioned

.PHONY: cross
cross: ## build and vet for every platform of the Collector, test on 32 bits
	@for p in $(PLATFORMS); do for m in $(RELEASED); do \
		echo "== $$p in $$m"; \
		(cd $$m && export GOOS=$${p%/*} GOARCH=$${p#*/} GOARM=7 CGO_ENABLED=0 && $(GO) build ./... && $(GO) vet ./...); \
	done; done
	@for m in $(RELEASED); do echo "== go test on linux/386 in $$m"; (cd $$m && GOARCH=386 CGO_ENABLED=0 $(GO) test ./...); done

# The oldest Collector that code and tests compile with, and the newest that there is.
OLDEST := v1.60.0 v0.154.0
NEWEST := v1.71.0 v0.165.0

# The oldest Go that the library is for. The go command fetches it.
OLDEST_GO := go1.25.5

.PHONY: compat
compat: ## test against the oldest and the newest Collector, and the library with the oldest Go
	@.ci/compat $(OLDEST)
	@.ci/compat $(NEWEST)
	@echo "== $(OLDEST_GO) in partitioned"; cd partitioned && GOTOOLCHAIN=$(OLDEST_GO) $(GO) test ./...

.PHONY: soak-short
soak-short: $(PROOF) ## soak for three minutes
	cd e2e && $(GO) run ./cmd/soak -for 3m -cycle 10s

.PHONY: bench
bench: ## run the benchmarks, see bench/
	cd bench && $(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: adaptive
adaptive: ## run adaptive_concurrency against a backend on the loopback interface, and draw docs/adaptive-concurrency.svg
	cd e2e && $(GO) run ./cmd/adaptive -picture ../docs/adaptive-concurrency.svg

.PHONY: remote-write
remote-write: $(PROOF) $(BUILD)/prometheus ## send metrics to a real Prometheus in several ways, and print what it took
	@cd e2e && $(GO) run ./cmd/remotewrite

.PHONY: dashboard
dashboard: ## write monitoring/dashboard.json
	@mkdir -p $(BUILD)
	cd monitoring && $(GO) run . > ../$(BUILD)/dashboard.json
	@mv $(BUILD)/dashboard.json monitoring/dashboard.json

.PHONY: monitoring-pictures
monitoring-pictures: $(OTELCOL) $(BUILD)/prometheus ## draw monitoring/pictures from a real Prometheus
	cd e2e && $(GO) test -count=1 -run '^TestMonitoring$$' . -args -pictures=../monitoring/pictures

## Form

.PHONY: check
check: fmt-check lint generate-check tidy-check test ## everything that has to be green before a commit

.PHONY: fmt
fmt: ## format the Go code
	@$(call tool,gofumpt) -l -w $(GOFILES)

.PHONY: fmt-check
fmt-check:
	@unformatted=$$($(call tool,gofumpt) -l $(GOFILES)); \
	if [ -n "$$unformatted" ]; then echo "not formatted, run make fmt:"; echo "$$unformatted"; exit 1; fi

.PHONY: lint
lint: ## lint the Go code
	@failed=; for m in $(MODULES); do \
		echo "== golangci-lint in $$m"; \
		(cd $$m && $(call tool,golangci-lint) run --config=$(CURDIR)/.golangci.yml ./...) || failed="$$failed $$m"; \
	done; \
	if [ -n "$$failed" ]; then echo "lint failed in:$$failed"; exit 1; fi

# mdatagen takes the package's name from that of the folder, which is whatever somebody cloned into; hence the link. What a
# $ref leads to it would fetch from GitHub, unless it is in .schemas: the module has the same file.
CONFIGRETRY = go.opentelemetry.io/collector/config/configretry

.PHONY: generate
generate: ## generate code and documentation from metadata.yaml
	@read -r version from < <($(GO) list -m -f '{{.Version}} {{.Dir}}' $(CONFIGRETRY)); \
	install -D -m 644 "$$from/metadata.yaml" ".schemas/$$version/config/configretry/metadata.yaml"
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	ln -s $(CURDIR) "$$dir/partitionedbufferprocessor"; \
	$(call tool,mdatagen) "$$dir/partitionedbufferprocessor/metadata.yaml"
	@$(GO) test -run '^TestSchemaSaysWhatValidateSays$$' . -args -update >/dev/null

# Hashes of all files that git does not ignore: the same before and after, whether or not they were committed.
FILE_HASHES = git ls-files --cached --others --exclude-standard | sort -u | \
	while read -r f; do if [ -f "$$f" ]; then echo "$$(git hash-object "$$f") $$f"; fi; done

.PHONY: generate-check
generate-check:
	@mkdir -p $(BUILD); $(FILE_HASHES) > $(BUILD)/generate-before
	@$(MAKE) --no-print-directory generate
	@$(FILE_HASHES) | diff $(BUILD)/generate-before - || \
		{ echo "make generate changed these files: commit what it made"; exit 1; }

.PHONY: tidy
tidy: ## tidy the go.mod of every module
	@for m in $(MODULES) $(wildcard tools/*); do (cd $$m && $(GO) mod tidy); done

.PHONY: tidy-check
tidy-check:
	@for m in $(MODULES) $(wildcard tools/*); do (cd $$m && $(GO) mod tidy -diff); done

.PHONY: clean
clean: ## remove build/
	rm -rf $(BUILD)
