# Everything is done by two of these: `make demo` and `make test`.

DEMO_DIR ?= .demo
DEMO_PORT ?= 8440
DEMO_SCALE ?= small
export DEMO_DIR DEMO_PORT DEMO_SCALE
export PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD = 1

CARGO ?= cargo
# One test runner for all: nextest where it is installed, the one that comes with cargo elsewhere.
NEXTEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo yes)

.DEFAULT_GOAL := help
# Where schemathesis asks: a monitor that is running, best one that may be changed. What fits a schema may still be
# refused: nodes must exist, times must be near; and the guard looks at the method before it looks at the route.
URL ?= http://127.0.0.1:$(DEMO_PORT)

.PHONY: api-check help cases demo test test-rust test-web test-long lint lint-web build install bench bench-web faults screenshots notices docs deb clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  DEMO_DIR=$(DEMO_DIR) DEMO_PORT=$(DEMO_PORT) DEMO_SCALE=$(DEMO_SCALE)"

demo: build ## the ordering platform and its monitor, in the foreground; Ctrl-C stops everything
	@scripts/need servers
	@exec target/release/topowatch demo --stop-with-parent

test: test-rust test-web ## every test, on real servers and a real browser

test-rust:
	@scripts/need build servers
ifeq ($(NEXTEST),yes)
	$(CARGO) nextest run --workspace --no-fail-fast
	$(CARGO) test --workspace --doc --quiet
else
	$(CARGO) test --workspace --no-fail-fast
endif

test-web: web/e2e/node_modules lint-web
	@scripts/need build servers browser
	$(CARGO) build --workspace --bins
	$(CARGO) build --workspace --example wall
	cd web/e2e && node --test --test-concurrency=1 *.test.mjs

MUTATIONS ?= 1000000
KILL_ROUNDS ?= 1000
MUTATIONS_SEED ?= $(shell date +%s)

test-long: ## property tests of 10,000 cases, a million broken files, 1,000 kills; MUTATIONS_SEED=N repeats a run
	@scripts/need build
	@echo "MUTATIONS=$(MUTATIONS) MUTATIONS_SEED=$(MUTATIONS_SEED)"
	PROPTEST_CASES=10000 PROPTEST_RNG_SEED=$(MUTATIONS_SEED) \
	$(CARGO) test --release -p topology -p probes -p collector -p web --lib
	MUTATIONS=$(MUTATIONS) MUTATIONS_SEED=$(MUTATIONS_SEED) \
	$(CARGO) test --release -p cli --test integration mutations:: -- --nocapture
	KILL_ROUNDS=$(KILL_ROUNDS) KILL_SEED=$(MUTATIONS_SEED) \
	$(CARGO) test --release -p cli --test integration kills:: -- --nocapture

web/e2e/node_modules: web/e2e/package-lock.json
	@scripts/need browser
	cd web/e2e && npm ci --ignore-scripts --no-audit --no-fund --silent
	@touch $@

lint: ## formatting and clippy, as CI wants them
	@scripts/need build
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny --offline check bans licenses sources; \
	else echo "cargo-deny is not installed: licences and sources were not checked here"; fi

lint-web: web/e2e/node_modules ## the page's scripts: types and style
	cd web/e2e && npx --no-install tsc -p tsconfig.json
	cd web && e2e/node_modules/.bin/eslint -c e2e/eslint.config.mjs assets e2e/*.mjs

build: ## target/release/topowatch and target/release/ordering-platform
	@scripts/need build
	$(CARGO) build --release --workspace --bins

install: ## topowatch into ~/.cargo/bin
	@scripts/need build
	$(CARGO) install --locked --path cli

FAULTS_SCALE ?= small
export FAULTS_SCALE

faults: build ## every fault of the platform, alone and in pairs, and what the monitor says (FAULTS_SCALE=small|full, FAULTS="one two")
	@scripts/need servers
	$(CARGO) build --release --workspace --examples
	target/release/examples/faults --check $(if $(FAULTS),--only "$(FAULTS)")
	@echo; echo "confidence, on these and the recorded cases together:"
	@$(CARGO) run --release --quiet -p topology --example cases -- --confidence topology/cases $(CASES_DIR) target/faults/cases

CASES_DIR ?= ../shared/cases

cases: ## how often the verdict is right, on recorded cases (CASES_DIR=... for more of them)
	$(CARGO) run --release --quiet -p topology --example cases -- topology/cases $(CASES_DIR)
	@echo; echo "a tenth of the edges dropped, five times:"
	$(CARGO) run --release --quiet -p topology --example cases -- --brief --drop-edges 0.1 $(CASES_DIR)
	@echo; echo "every edge reversed:"
	$(CARGO) run --release --quiet -p topology --example cases -- --brief --reverse $(CASES_DIR)

bench: build ## what the monitor and the platform cost, in ratios; then parse, roll-up and verdict by size
	@scripts/need servers peers
	$(CARGO) build --release -p cli --examples
	scripts/bench
	scripts/bench-looks
	scripts/bench-platform
	$(CARGO) bench -p topology

bench-web: web/e2e/node_modules ## what the wall costs the network and the browser, against its budgets
	@scripts/need build browser
	$(CARGO) build --release --workspace --example wall
	cd web/e2e && TOPOWATCH_PROFILE=release node bench.mjs
	cd web/e2e && TOPOWATCH_PROFILE=release SOAK=20000 node --test --test-name-pattern='boards later' live.test.mjs

api-check: ## schemathesis against a running server (URL=...), where it is installed
	@if command -v schemathesis >/dev/null 2>&1; \
	then schemathesis run $(URL)/api/v1/openapi.json --checks all --exclude-checks positive_data_acceptance,unsupported_method --exclude-path-regex '^/api/v1/(events|record)$$' --max-examples 30; \
	else echo "schemathesis is not installed (pip install schemathesis): the API was not checked"; fi

screenshots: web/e2e/node_modules ## docs/images/: every state of the wall
	@scripts/need build browser
	$(CARGO) build --workspace --example wall
	cd web/e2e && node screenshots.mjs

docs: ## the documentation as a book: target/book/index.html
	@scripts/need docs
	mdbook build

deb: build ## a Debian package: target/debian/topowatch_*.deb (scripts/try-deb tries it in a bare root)
	@scripts/need deb
	@scripts/deb

notices: ## THIRD-PARTY-NOTICES.md, from the lock file
	scripts/notices > THIRD-PARTY-NOTICES.md

clean: ## what was built
	$(CARGO) clean
	rm -rf web/e2e/node_modules
