# Everything that is done with this repository, and no more to remember than `make run` and `make test`.

RUST_NEEDED := 1.94
NODE_NEEDED := 20.19

.PHONY: help run test clients fuzz check schema bench soak versions postgres

help: ## Show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: versions ## Build and serve at http://127.0.0.1:8000, with the demo pipeline live
	cargo run --release --locked -- serve --demo

test: versions check postgres ## Check and test everything, on SQLite and PostgreSQL, with real clients
	cargo test --workspace --locked
	$(MAKE) clients
	tests/vanish.sh

clients: versions ## Test the program with real client libraries, of JavaScript and Python
	cargo build --locked
	cd tests/clients && npm ci --no-audit --no-fund && npm test && npm run test:python

fuzz: ## Feed arbitrary bytes to what faces the network, for a minute
	@command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --locked
	mkdir -p fuzz/corpus/websocket fuzz/corpus/reports
	cargo fuzz run --sanitizer none websocket fuzz/corpus/websocket fuzz/seeds/websocket -- -max_total_time=40
	cargo fuzz run --sanitizer none reports fuzz/corpus/reports fuzz/seeds/reports -- -max_total_time=20

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
	SOAK_SECONDS=300 cargo test --locked --test it soak -- --nocapture

postgres:
	@tests/postgres.sh --check

# Says what is missing before anything is built.
versions:
	@tests/versions.sh rustc $(RUST_NEEDED) "Rust, by rustup"
	@tests/versions.sh node $(NODE_NEEDED) "Node.js"
