# Everything that is done to Tidepool from a shell. `make help` lists the targets.

SHELL      := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS  += --no-print-directory
.DEFAULT_GOAL := help

GO        ?= go
CONFIG    ?= examples/simple.lua
PREFIX    ?= /usr/local
FUZZTIME  ?= 1m
BENCH     ?=
BENCHLEAF ?=
BENCHHEDGE ?=
BENCHWARM ?=
HISTORIES ?= 1000
SEED      ?= 0
BENCHROUTES ?=
DURATION  ?= 10m
MUTATE    ?=
SOAK      ?=
CHURN     ?=
PKGS      ?= ./...

MEMCACHED_SRC ?=
NAMES         ?=
ROUTELIB      ?=
PROXYLIBS     ?=
PEER_MEMCACHED_OLD ?=

PEER_MEMCACHED ?=

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)

# What a proxy spends its time in, for the compiler (make pgo). It has no name that Go would look for, so that tests, which build all anew with the
# race detector, do not build it twice.
PROFILE := cmd/tidepool/serve.pgo

# The race detector is written in C, so a machine without a C compiler tests without it, and is told so.
RACE := $(shell command -v "$${CC:-gcc}" >/dev/null 2>&1 && echo -race)

# Modules of their own, so that what these tests import is no dependency of Tidepool's. Go does not see that they read files outside, and
# would take last time's result for theirs: -count=1.
MODULES := $(patsubst %/go.mod,%,$(wildcard tests/*/go.mod))

# Programs that tests run Tidepool against, and the Debian packages that hold them. None is needed to build or to run.
PEERS         := memcached nutcracker memccat luacheck lua5.4 etcd
DEBIAN_PEERS  := memcached nutcracker libmemcached-tools lua-check lua5.4 etcd-server
DEBIAN_TOOLS  := gcc libc6-dev curl

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

.PHONY: build
build: ## build bin/tidepool, one static binary
	CGO_ENABLED=0 $(GO) build -pgo $(PROFILE) -trimpath -ldflags '$(LDFLAGS)' -o bin/tidepool ./cmd/tidepool

.PHONY: cross
cross: ## build bin/linux-amd64/tidepool and bin/linux-arm64/tidepool, as the Dockerfile does
	@for arch in amd64 arm64; do \
		CGO_ENABLED=0 GOOS=linux GOARCH=$$arch $(GO) build -pgo $(PROFILE) -trimpath -ldflags '$(LDFLAGS)' -o bin/linux-$$arch/tidepool ./cmd/tidepool; \
		echo bin/linux-$$arch/tidepool; \
	done

.PHONY: pgo
pgo: ## record anew what a proxy spends its time in, which the compiler is told
	@mkdir -p bin
	$(GO) test -trimpath -run '^$$' -bench Serve -benchtime 4s -cpuprofile $(PROFILE) -o bin/engine.test ./engine

.PHONY: run
run: build ## build, and run a proxy over three leaves in one process (CONFIG=examples/simple.lua)
	exec bin/tidepool dev $(CONFIG)

.PHONY: test
test: peers ## run every test, with the race detector (PKGS=./...)
	$(GO) test $(RACE) -timeout 15m $(PKGS)
	@[ '$(PKGS)' != ./... ] || for m in $(MODULES); do echo "$(GO) test ./$$m"; (cd $$m; $(GO) test -count=1 -timeout 10m ./...); done

.PHONY: lint
lint: ## form, vet, staticcheck, luacheck and the house rules
	$(GO) vet ./...
	@for m in $(MODULES); do echo "$(GO) vet ./$$m"; (cd $$m; $(GO) vet ./...); done
	$(GO) tool staticcheck ./...
	@if command -v luacheck >/dev/null; then \
		echo luacheck scripts routes examples engine/routetest; luacheck --quiet scripts routes examples engine/routetest; \
	elif [ "$${TIDEPOOL_PEERS:-}" = required ]; then \
		echo 'luacheck is not installed (make ci-deps installs it)' >&2; exit 1; \
	else \
		echo 'SKIPPED: luacheck is not installed (make ci-deps installs it)' >&2; \
	fi
	$(GO) test -count=1 ./tests/house

.PHONY: allocs
allocs: ## run the tests of allocations, which the race detector would disturb
	$(GO) test -count=1 -run Alloc ./engine/... ./client/load

.PHONY: check
check: lint build allocs test ## all that CI checks: lint, build, test

.PHONY: fmt
fmt: ## put Go files into form
	gofmt -w $$(git ls-files -co --exclude-standard '*.go')

.PHONY: fuzz
fuzz: ## run every fuzz target for a minute (FUZZTIME=1m)
	@targets=$$($(GO) test -list '^Fuzz' $(PKGS) | awk '/^Fuzz/ { f[++n] = $$1 } $$1 == "ok" { for (i = 1; i <= n; i++) print $$2, f[i]; n = 0 }'); \
	while read -r pkg target; do \
		echo "== $$pkg $$target"; \
		$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "$$pkg"; \
	done <<<"$$targets"
	$(GO) test -run TestDiffer -count=1 ./engine/vm/lualib -differ.seed 0
	$(GO) test -run TestGenerated -count=1 ./engine/vm/quick -quick.seed 0 -quick.programs 20000

.PHONY: bench
bench: build ## compare proxies, and a leaf with memcached, side by side (BENCH=-help, BENCHLEAF=-help for flags)
	$(GO) run ./tests/benchpeers -tidepool bin/tidepool -rows depth1,depth16,leaves1,leaves16 $(BENCH)
	$(GO) run ./tests/benchleaf -tidepool bin/tidepool $(BENCHLEAF)

.PHONY: bench-peers
bench-peers: build ## compare with memcached's own proxy, all rows (PEER_MEMCACHED=memcached built with its proxy, PROXYLIBS=, BENCH=-help for flags)
	$(GO) run ./tests/benchpeers -tidepool bin/tidepool -peer-memcached '$(PEER_MEMCACHED)' -proxylibs '$(PROXYLIBS)' $(BENCH)

.PHONY: mutate
mutate: ## change the route library in one place after the other, and tell what no test of it notices (MUTATE=-help for flags)
	$(GO) run ./tests/mutate $(MUTATE)

.PHONY: bench-hedge
bench-hedge: build ## measure what hedged reads save and cost, over replicas that are slow now and then (BENCHHEDGE=-help for flags)
	@mkdir -p bin && $(GO) build -o bin/benchhedge ./tests/benchhedge
	bin/benchhedge -tidepool bin/tidepool $(BENCHHEDGE)

.PHONY: bench-routes
bench-routes: build ## measure what leases save the database when a hot key goes, and a gutter when a backend does (BENCHROUTES=-help for flags)
	@mkdir -p bin && $(GO) build -o bin/benchroutes ./tests/benchroutes
	bin/benchroutes -tidepool bin/tidepool $(BENCHROUTES)

.PHONY: bench-warm
bench-warm: ## measure what a database sees when a pool grows from three leaves to four, with and without warming (BENCHWARM=-help for flags)
	$(GO) run ./tests/benchwarm $(BENCHWARM)

.PHONY: histories
histories: ## resize, kill and cut off leaves at random in so many short histories, and check all that clients were told (HISTORIES=1000, SEED=0: by chance)
	$(GO) test -count=1 -timeout 120m -v -run TestHistories ./tests/warm -histories $(HISTORIES) -seed $(SEED)

.PHONY: soak
soak: build ## kill, hang and reload for a long time at full memory, and verify every answer (DURATION=10m, SOAK=-help for flags)
	$(GO) run ./tests/soak -tidepool bin/tidepool -duration $(DURATION) $(SOAK)

.PHONY: churn
churn: build ## have leaves join, stop, die and be cut off for a long time, and verify every answer (DURATION=10m, CHURN='-every 1s')
	$(GO) test -count=1 -timeout 0 -v ./tests/churn -run TestChurn -args -tidepool '$(CURDIR)/bin/tidepool' -duration $(DURATION) -every 3s $(CHURN)

.PHONY: compat
compat: build ## run memcached's own tests through Tidepool (MEMCACHED_SRC=its source, NAMES='cas getset', ROUTELIB=routelib.lua)
	@TIDEPOOL_ROUTELIB='$(ROUTELIB)' tests/compat/run '$(MEMCACHED_SRC)' $(NAMES)
	@if [ -n '$(PROXYLIBS)' ]; then \
		PEER_MEMCACHED="$${PEER_MEMCACHED:-$(MEMCACHED_SRC)/memcached}" PEER_MEMCACHED_OLD='$(PEER_MEMCACHED_OLD)' PROXYLIBS='$(PROXYLIBS)' \
			TIDEPOOL='$(CURDIR)/bin/tidepool' $(GO) test -count=1 -timeout 600s -v ./tests/compat; \
	else echo "routes are NOT COMPARED with memcached's: PROXYLIBS (a folder of memcached-proxylibs) is not set"; fi

.PHONY: peers
peers: ## say which peers of the tests are missing here
	@for p in $(PEERS); do \
		PATH="$$PATH:/usr/sbin:/usr/local/sbin" command -v $$p >/dev/null || echo "PEER MISSING: $$p: tests that want it are SKIPPED (make ci-deps installs it)"; \
	done
	@if [ -z '$(RACE)' ]; then \
		echo 'NO C COMPILER: tests run without the race detector'; \
		[ "$${TIDEPOOL_PEERS:-}" != required ]; \
	fi

.PHONY: ci-deps
ci-deps: ## install what the tests want on Debian (as root or with sudo)
	@sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	missing=$$({ dpkg-query -W -f '$${Package} $${Status}\n' $(DEBIAN_PEERS) $(DEBIAN_TOOLS) 2>/dev/null || :; } | awk '/ installed$$/ { have[$$1] = 1 } \
		END { n = split("$(DEBIAN_PEERS) $(DEBIAN_TOOLS)", want, " "); for (i = 1; i <= n; i++) if (!(want[i] in have)) printf "%s ", want[i] }'); \
	[ -n "$$missing" ] || { echo 'every package is installed'; exit 0; }; \
	for try in 1 2 3 4 5; do \
		if $$sudo apt-get -o Acquire::Retries=3 update -q && \
			$$sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -o Acquire::Retries=3 install -q -y --no-install-recommends $$missing; then exit 0; fi; \
		echo "cannot install $$missing: try $$try of 5" >&2; sleep $$((try * 5)); \
	done; exit 1

.PHONY: install
install: build ## install the binary below PREFIX (/usr/local)
	install -D -m 755 bin/tidepool $(DESTDIR)$(PREFIX)/bin/tidepool

.PHONY: clean
clean: ## remove what build made
	rm -rf bin
