# Everything that is done with this repository, and no more to remember than `make run` and `make test`.

RUST_NEEDED := 1.94
NODE_NEEDED := 20.19
# What the pages are built of.
PAGES := client/package.json $(wildcard client/vite.*.ts client/tsconfig*.json) \
	$(shell find client/src client/dashboard client/graphiql client/scripts -type f 2>/dev/null)

.PHONY: help run test client clients e2e screenshots pages fuzz check schema bench soak versions postgres pgbouncer chromium

help: ## Show this
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: versions pages ## Build and serve at http://127.0.0.1:8000, with the demo pipeline live
	cargo run --release --locked -- serve --demo

# The client comes first: the program has its pages in it.
test: versions postgres pgbouncer chromium client check ## Check and test everything, on both databases, with real clients and a browser
	cargo test --workspace --locked
	$(MAKE) clients e2e
	tests/vanish.sh

client: versions client/node_modules/.package-lock.json ## Check and test the TypeScript client, and build the pages
	cd client && npm test
	@touch client/dist/.built

clients: versions ## Test the program with real client libraries, of JavaScript and Python
	cargo build --locked
	cd tests/clients && npm ci --no-audit --no-fund && npm test && npm run test:python

e2e: versions pages chromium ## Test the pages in Chromium against the program
	cargo build --locked
	cd client && CHROMIUM=$$(../tests/chromium.sh) npm run e2e

screenshots: versions pages chromium ## Every page, light and dark, desktop and phone, into client/screenshots/
	cargo build --locked
	cd client && CHROMIUM=$$(../tests/chromium.sh) npm run screenshots

pages: client/dist/.built

# Built only when something has changed: the program is built anew after them.
client/dist/.built: client/node_modules/.package-lock.json $(PAGES)
	cd client && npm run build
	@touch $@

client/node_modules/.package-lock.json: client/package-lock.json
	cd client && npm ci --no-audit --no-fund
	@touch $@

# How long `make fuzz` takes in all, beside its build; each target gets the same share.
FUZZ_SECONDS := 600
FUZZ_TARGETS := $(sort $(notdir $(basename $(wildcard fuzz/fuzz_targets/*.rs))))
FUZZ_SHARE = $(shell expr $(FUZZ_SECONDS) / $(words $(FUZZ_TARGETS)))

fuzz: ## Feed arbitrary bytes to every parser that faces the network, for ten minutes
	@command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --locked
	cargo fuzz build --sanitizer none
	@set -e; for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/corpus/$$target; \
		echo "$$target, for $(FUZZ_SHARE) s"; \
		cargo fuzz run --sanitizer none $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
			-timeout=1 -rss_limit_mb=512 -max_total_time=$(FUZZ_SHARE) -verbosity=0 -print_final_stats=1; \
	done

check: versions ## Formatting and lints; warnings are errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked --document-private-items --quiet

schema: ## Write schema.graphql and openapi.json anew
	cargo run --locked --quiet -- schema > schema.graphql.new
	mv schema.graphql.new schema.graphql
	cargo run --locked --quiet -- openapi > openapi.json.new
	mv openapi.json.new openapi.json

bench: versions postgres ## Measure, beside peers too, and print the tables of the README
	bench/peers/install.sh
	cargo build --release --locked -p pipewatch -p pipewatch-bench
	target/release/pipewatch-bench all

soak: versions postgres ## The long scenarios, of which `make test` runs a small version
	SOAK_SECONDS=300 cargo test --release --locked --test it -- soak hardening --nocapture --test-threads 1

postgres:
	@tests/postgres.sh --check

pgbouncer:
	@tests/pgbouncer.sh

chromium:
	@tests/chromium.sh

# Says what is missing before anything is built.
versions:
	@tests/versions.sh rustc $(RUST_NEEDED) "Rust, by rustup"
	@tests/versions.sh node $(NODE_NEEDED) "Node.js"
