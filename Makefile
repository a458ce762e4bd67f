# wxnotify: `make help` lists what there is.

GOLANGCI_LINT_VERSION := v2.15.0
PKG                   := ./...
VERSION               := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS               := -s -w -X main.version=$(VERSION)
BIN                   := $(CURDIR)/.bin
LINT                  := $(BIN)/golangci-lint-$(GOLANGCI_LINT_VERSION)

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## Run everything in one process, with an embedded Redis and a sandbox WeChat
	@mkdir -p $(BIN)
	go build -ldflags '$(LDFLAGS)' -o $(BIN)/wxnotify ./cmd/wxnotify
	@exec $(BIN)/wxnotify dev

.PHONY: build
build: ## Build .bin/wxnotify, without cgo
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/wxnotify ./cmd/wxnotify

# -p 1: packages start servers and processes of their own, and share the cores.
# -count 1: the end-to-end tests build and run the binary, which go test's cache
# does not see change.
.PHONY: test
test: prepare ## Run all tests, with the race detector and real Redis servers
	go test -race -count 1 -p 1 -timeout 30m $(PKG)

.PHONY: race
race: prepare ## Run all tests three times, to shake races out
	go test -race -count 3 -p 1 -timeout 90m $(PKG)

.PHONY: lint
lint: $(LINT) ## Check formatting and run the linters
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo 'gofmt would change:'; gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet $(PKG)
	$(LINT) run --allow-parallel-runners

$(LINT):
	GOBIN=$(BIN) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv $(BIN)/golangci-lint $(LINT)

FUZZTIME := 20s

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (20s)
	@set -e; for pkg in $$(go list $(PKG)); do \
	  for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; \
	done

.PHONY: bench
bench: prepare ## Measure the whole pipeline against a bare asynq handler; prints a table
	go run ./cmd/internal/bench

.PHONY: chaos
chaos: prepare ## Kill, freeze, cut off and fail over real processes under load; prints a table (minutes)
	go run ./cmd/internal/chaos

.PHONY: chaos-short
chaos-short: prepare ## The same in about a minute and a half
	go run ./cmd/internal/chaos -short

# What each tool cannot be had for is said, and left out.
.PHONY: deploy-check
deploy-check: ## Check the files of deploy/ with the tools that are installed
	@bash deploy/check

.PHONY: watch-check
watch-check: prepare ## Let a real Prometheus watch a live system in trouble; prints what it saw (minutes)
	go run ./cmd/internal/watchcheck

.PHONY: image
image: ## Build the container image wxnotify:VERSION
	docker build -f deploy/Dockerfile --build-arg VERSION=$(VERSION) -t wxnotify:$(VERSION) .

.PHONY: docs
docs: ## Rewrite the tables of both READMEs from the code
	go run ./cmd/internal/docs

.PHONY: check
check: ## What CI runs: tests, lint, deploy-check, chaos-short and a smoke test of `make run`
	bash .ci/run

# Tests and the benchmark start real redis-server processes of their own; the
# race detector needs a C compiler.
.PHONY: prepare
prepare:
	@bash .ci/install
