# `make help` lists the targets. They work on a fresh Debian with only Go, git
# and make: whatever else is needed is built, or installed when run as root.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null)
BIN     := $(CURDIR)/bin
CUEPOD  := $(BIN)/cuepod
AGENTS  := runner/agent/image/bin
EXAMPLE := examples/guestbook

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# The engine that docker talks to, or the private one: see scripts/engine.sh.
USE_ENGINE := scripts/engine.sh start >/dev/null; eval "$$(scripts/engine.sh env)"

# Tests that want an engine name this variable. Their packages run one at a
# time: they share the engine's ports and its patience.
ENGINE_TESTS := CUEPOD_REQUIRE_ENGINE

# Modules of their own, for tools and tests that the main module does without.
NESTED := $(patsubst ./%/go.mod,%,$(shell find . -mindepth 2 -name go.mod -not -path './.cache/*'))

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##
## Build
##

.PHONY: build
build: agents ## build bin/cuepod with the agents inside
	@mkdir -p $(BIN)
	CGO_ENABLED=0 go build -trimpath -tags embedagent -ldflags '-s -w -X main.version=$(VERSION)' -o $(CUEPOD) ./cmd/cuepod

.PHONY: agents
agents:
	@for arch in amd64 arm64; do \
		CGO_ENABLED=0 GOOS=linux GOARCH=$$arch go build -trimpath -buildvcs=false -ldflags '-s -w' \
			-o $(AGENTS)/cuepod-agent-linux-$$arch ./cmd/cuepod-agent; \
	done

.PHONY: demo-images
demo-images:
	@$(USE_ENGINE); scripts/images.sh redis redis:7.0; $(EXAMPLE)/images.sh

.PHONY: images
images: demo-images ## put the images of the example and the tests on the engine
	@$(USE_ENGINE); scripts/images.sh nginx nginx:1.29; scripts/images.sh postgres postgres:15; examples/shop/images.sh

.PHONY: clean
clean: ## remove what build made
	rm -rf $(BIN) $(AGENTS)/cuepod-agent-linux-*

##
## Demo
##

.PHONY: demo
demo: build demo-images ## run the guestbook, and sign it
	@$(USE_ENGINE); PATH="$(BIN):$$PATH" $(EXAMPLE)/demo.sh

.PHONY: demo-clean
demo-clean: build ## remove everything that demo made
	@if scripts/engine.sh find >/dev/null; then \
		eval "$$(scripts/engine.sh env)"; PATH="$(BIN):$$PATH" $(EXAMPLE)/demo.sh clean; scripts/images.sh clean; \
	fi
	@scripts/engine.sh purge
	@$(MAKE) --no-print-directory clean

##
## Check
##

.PHONY: test
test: lint unchanged test-unit test-engine test-nested ## everything that CI runs

.PHONY: lint
lint: ## gofmt, tidy, vet of every module, staticcheck, shellcheck
	@echo '--- lint'
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt these: $$unformatted" >&2; exit 1; fi
	go mod tidy -diff
	@for module in . $(NESTED); do echo "go vet $$module"; (cd $$module && go vet ./...); done
	go run $(STATICCHECK) ./...
	@if command -v shellcheck >/dev/null; then \
		git ls-files '*.sh' .ci/run | xargs shellcheck; \
	else echo 'shellcheck is not here: shell scripts are not checked'; fi

.PHONY: generate
generate: ## write what follows from Kubernetes' API and from the schema
	cd internal/generate && go run .

# The tests of goldens rewrite them when CUEPOD_UPDATE is set.
.PHONY: golden
golden: ## rewrite the goldens
	CUEPOD_UPDATE=1 go test -count=1 $$(grep -rl --include='*_test.go' CUEPOD_UPDATE . | xargs -n1 dirname | sort -u)

.PHONY: unchanged
unchanged: # goldens are what the code makes of them
	@echo '--- goldens'
	@before=$$(git diff HEAD | sha256sum); $(MAKE) --no-print-directory golden; \
	if [ "$$(git diff HEAD | sha256sum)" != "$$before" ]; then \
		git --no-pager diff --stat; echo 'goldens are not up to date: run make golden and read the diff' >&2; exit 1; \
	fi

.PHONY: test-unit
test-unit: race
	@echo '--- tests'
	go test $(RACE) -timeout 30m $$(comm -23 <(go list ./... | sort) <($(ENGINE_PACKAGES) | sort))

.PHONY: test-engine
test-engine: race musl build images
	@echo '--- tests on an engine'
	@$(USE_ENGINE); scripts/images.sh nginx nginx:1.29; \
	CUEPOD=$(CUEPOD) CUEPOD_REQUIRE_ENGINE=1 go test $(RACE) -count=1 -p 1 -timeout 30m $$($(ENGINE_PACKAGES))

# Real pods against what Kubernetes' own conformance tests look at. REPEAT is how
# many copies there are of each pod whose order of events is looked at, CASES a
# regular expression of the cases to run.
.PHONY: conformance
conformance: build ## run the conformance suite on an engine, print its table
	@echo '--- conformance'
	@mkdir -p $(BIN)
	@$(USE_ENGINE); status=0; rm -f $(BIN)/conformance.txt; \
	CUEPOD=$(CUEPOD) CUEPOD_REQUIRE_ENGINE=1 CUEPOD_CONFORMANCE='$(CASES)' CUEPOD_CONFORMANCE_REPEAT=$(or $(REPEAT),1) \
	CUEPOD_CONFORMANCE_REPORT=$(BIN)/conformance.txt go test -count=1 -timeout 2h -run TestConformance ./internal/conformance/suite || status=$$?; \
	if [ -f $(BIN)/conformance.txt ]; then cat $(BIN)/conformance.txt; fi; exit $$status

# They build what they test, which Go's cache of results does not see.
.PHONY: test-nested
test-nested: pyyaml
	@for module in $(NESTED); do \
		echo "--- module $$module"; \
		(cd $$module && go test -count=1 ./...); \
	done

# QUERIES is how many questions, SEED what they are made of.
.PHONY: dns-compare
dns-compare: ## ask the real CoreDNS and ours the same, print what differs
	@cd internal/dnsoracle && go run . -queries $(or $(QUERIES),6000) -seed $(or $(SEED),1)

# One of the readers that internal/yamlparsers holds our YAML against.
.PHONY: pyyaml
pyyaml:
	@if ! python3 -c 'import yaml' 2>/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo 'installing PyYAML for the tests of our YAML'; \
		apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends python3-yaml >/dev/null; \
	fi

ENGINE_PACKAGES = go list $$(grep -rl --include='*_test.go' $(ENGINE_TESTS) . | xargs -n1 dirname | sort -u)

# The race detector needs a C compiler.
RACE = $(if $(shell command -v gcc || command -v cc),-race)
.PHONY: race
race:
	@if ! command -v gcc >/dev/null && ! command -v cc >/dev/null; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo 'installing gcc for the race detector'; \
			apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends gcc libc6-dev >/dev/null; \
		else echo 'no C compiler is here: tests run without the race detector'; fi; \
	fi

# A program with musl's resolver looks names up in a pod.
.PHONY: musl
musl:
	@if ! command -v musl-gcc >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing musl's compiler for the tests of names"; \
		apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends musl-tools >/dev/null; \
	fi

# FAULTS are flags of the sweep, such as "-sample 2" or "-only hand/".
.PHONY: faults
faults: build ## kill cuepod at every moment, break the engine's answers, print the table
	@$(USE_ENGINE); go run ./internal/faultsweep -cuepod $(CUEPOD) $(FAULTS)

.PHONY: bench
bench: agents ## run the benchmarks, on an engine too
	@$(USE_ENGINE); go test -tags embedagent -run '^$$' -bench . -p 1 ./...

.PHONY: bench-compile
bench-compile: ## compare whole compiles with Helm's, as a table
	@cd internal/compilerbench && go run .

.PHONY: bench-dns
bench-dns: agents ## compare a pod's name server with the engine's and with CoreDNS
	@cd internal/dnsoracle && go run . -bench
	@$(USE_ENGINE); CUEPOD_REQUIRE_ENGINE=1 CUEPOD_BENCH_DNS=1 go test -count=1 -v -run TestNames_SideBySideWithTheEngine ./runner | grep -v '^='

.PHONY: bench-propagation
bench-propagation: ## measure from a port opening to every pod's rules knowing it, 50 pods and 50 services
	@$(USE_ENGINE); CUEPOD_REQUIRE_ENGINE=1 CUEPOD_PROPAGATION=50 go test ./runner/agent/agenttest -run EndpointsPropagate -count=1 -v

.PHONY: bench-run
bench-run: build ## compare starts and stops of pods with docker run's, as a table
	@$(USE_ENGINE); go run ./internal/runnerbench -cuepod $(CUEPOD)

# EDITS is how many; with ENGINE=1 it is a real engine whose answers go wrong. SEED
# repeats a run.
.PHONY: soak
soak: ## edit a definition again and again while the engine, in memory, fails: nothing is lost, nothing stays behind
ifdef ENGINE
	@$(USE_ENGINE); CUEPOD_REQUIRE_ENGINE=1 CUEPOD_SEED=$(SEED) CUEPOD_SOAK=$(or $(EDITS),200) \
	go test -count=1 -v -timeout 5h -run 'TestSoak_OnARealEngine$$' ./cmd/cuepod | grep -v '^='
else
	@CUEPOD_SEED=$(SEED) CUEPOD_SOAK=$(or $(EDITS),5000) go test -count=1 -v -timeout 60m -run 'TestSoak$$' ./runner | grep -v '^='
endif

.PHONY: bench-services
bench-services: build ## compare connections through services with direct ones, as a table
	@$(USE_ENGINE); scripts/images.sh nginx nginx:1.29; scripts/images.sh haproxy haproxy:2.6; go run ./internal/servicebench -cuepod $(CUEPOD)

# It has Debian's podman beside it where that is installed. BENCH are flags, such as
# "-n 9" or "-kinds env,sync".
.PHONY: bench-reload
bench-reload: build ## compare reloads with docker compose watch and podman kube play, as a table
	@$(USE_ENGINE); compose="$$(scripts/compose.sh)"; go run ./internal/watchbench -cuepod $(CUEPOD) -compose "$$compose" $(BENCH)

# LOSS are flags of the tool, such as "-strict" or "-v"; with "-rude" or "-no-hold"
# it has to see requests fail.
.PHONY: loss
loss: agents ## change an app while clients ask it, count the requests that fail
	@$(USE_ENGINE); go run -tags embedagent ./internal/losstest -changes $(or $(CHANGES),100) -swaps $(or $(SWAPS),30) $(LOSS)
