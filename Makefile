# `make run` and `make test` are the two commands to remember.

RUST_NEEDED := 1.94
NODE_NEEDED := 20.19
PYTHON_NEEDED := 3.11
# The source files of the dashboard and GraphiQL pages.
PAGES := client/package.json $(wildcard client/vite.*.ts client/tsconfig*.json) \
	$(shell find client/src client/dashboard client/docs client/graphiql client/scripts -type f 2>/dev/null)

.PHONY: help run test client clients python e2e screenshots pages fuzz check schema bench soak versions postgres pgbouncer chromium

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: versions pages ## Build, and serve http://127.0.0.1:8000 with the demo pipeline
	cargo run --release --locked -- serve --demo

# The client is built first because the program embeds its pages.
test: versions postgres pgbouncer chromium client check ## Run all checks and tests: both databases, client libraries, a browser
	cargo test --workspace --locked
	$(MAKE) clients python e2e
	scripts/dead_peer.sh

client: versions client/node_modules/.package-lock.json ## Check and test the TypeScript client, and build the pages
	cd client && npm test
	@touch client/dist/.built

clients: versions ## Test the program with JavaScript and Python client libraries
	cargo build --locked
	cd tests/clients && npm ci --no-audit --no-fund && npm test && npm run test:python

python: versions ## Check, test and build the Python package, with dbt and Airflow
	cargo build --locked
	clients/python/check.sh

e2e: versions pages chromium ## Test the dashboard in Chromium
	cargo build --locked
	cd client && CHROMIUM=$$(../scripts/chromium.sh) npm run e2e

screenshots: versions pages chromium ## Write screenshots of every page to client/screenshots/
	cargo build --locked
	cd client && CHROMIUM=$$(../scripts/chromium.sh) npm run screenshots

pages: client/dist/.built

# Rebuilt only when a source file has changed, since the program must be rebuilt after it.
client/dist/.built: client/node_modules/.package-lock.json $(PAGES)
	cd client && npm run build
	@touch $@

client/node_modules/.package-lock.json: client/package-lock.json
	cd client && npm ci --no-audit --no-fund
	@touch $@

# Total duration of `make fuzz`, not counting the build. Each target gets an equal share.
FUZZ_SECONDS := 600
FUZZ_TARGETS := $(sort $(notdir $(basename $(wildcard fuzz/fuzz_targets/*.rs))))
FUZZ_SHARE = $(shell expr $(FUZZ_SECONDS) / $(words $(FUZZ_TARGETS)))

fuzz: ## Fuzz every parser that reads network input, for ten minutes
	@command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --locked
	cargo fuzz build --sanitizer none
	@set -e; for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/corpus/$$target; \
		echo "$$target, $(FUZZ_SHARE) s"; \
		cargo fuzz run --sanitizer none $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
			-timeout=1 -rss_limit_mb=512 -max_total_time=$(FUZZ_SHARE) -verbosity=0 -print_final_stats=1; \
	done

check: versions ## Check documentation, language, formatting, lints and doc comments; warnings are errors
	python3 scripts/test_check_language.py --quiet
	python3 scripts/check_language.py
	python3 scripts/test_check_docs.py --quiet
	python3 scripts/check_docs.py
	python3 scripts/configuration.py --check
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --manifest-path fuzz/Cargo.toml --target-dir target --no-default-features --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked --document-private-items --quiet

schema: ## Regenerate schema.graphql, openapi.json and docs/configuration.md
	cargo run --locked --quiet -- schema > schema.graphql.new
	mv schema.graphql.new schema.graphql
	cargo run --locked --quiet -- openapi > openapi.json.new
	mv openapi.json.new openapi.json
	python3 scripts/configuration.py

bench: versions postgres ## Run the benchmarks, including other servers, and print their tables
	bench/peers/install.sh
	cargo build --release --locked -p pipewatch -p pipewatch-bench
	target/release/pipewatch-bench all

soak: versions postgres ## Run the soak and hardening tests at full length
	SOAK_SECONDS=300 cargo test --release --locked --test it -- soak hardening --nocapture --test-threads 1

postgres:
	@scripts/postgres.sh --check

pgbouncer:
	@scripts/pgbouncer.sh

chromium:
	@scripts/chromium.sh

# Fails early, before anything is built, when a tool is missing or too old.
versions:
	@scripts/versions.sh rustc $(RUST_NEEDED) "Rust, by rustup"
	@scripts/versions.sh node $(NODE_NEEDED) "Node.js"
	@scripts/versions.sh python3 $(PYTHON_NEEDED) "Python"
