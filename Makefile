# make run     build and serve the embedded default with a demo fleet
# make test    every test on SQLite and on Postgres, agents also in containers, then `make check`
# make check   formatting, lints, docs, dependency rules, also of the web interface
# make ui      build the web interface into ui/dist
# make ui-size how much JavaScript the first page needs
# make ui-measure    what the pages cost, beside what they may cost
# make screenshots   take the pictures of the README anew
# make bench   the published measurements
# make agent-image   build trinity-agent-base, the image of agents, with or without a registry
# make test-long     soaks that take longer than a coffee
# make test-clis     what needs the real CLIs, which it installs in target/ by npm

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
NEXTEST := $(shell cargo nextest --version 2>/dev/null | head -n 1)
TEST := $(if $(NEXTEST),cargo nextest run,cargo test)

.PHONY: run test check ui ui-size ui-measure screenshots bench agent-image test-long test-clis tools

tools:
	@scripts/install-missing cc=build-essential

run: tools ui
	cargo run --bin trinity -- serve --demo

test: tools
	@scripts/install-missing faketime=faketime jq=jq curl=curl openssl=openssl \
		zsh=zsh fish=fish
	TRINITY_TEST_POSTGRES_FSYNC=off scripts/with-postgres scripts/with-redis scripts/with-docker \
		scripts/test-image scripts/run-tests $(TEST)
	scripts/ui test
	cargo build --bin trinity
	scripts/ui e2e
	$(MAKE) check

check: tools
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet
	scripts/check-dependencies
	scripts/ui check
	scripts/ui size

ui:
	scripts/ui build

ui-size:
	scripts/ui size

ui-measure: tools
	cargo build --bin trinity --example fill_executions
	scripts/ui measure

screenshots: tools
	cargo build --bin trinity
	scripts/ui screenshots

agent-image: tools
	scripts/agent-image

# The soaks: 200 kills of the server under load on each store, thousands of streams that nobody reads, many
# made-up requests to every operation of the API, then a minute of made-up input for whatever reads input
# from elsewhere.
test-long: tools
	TRINITY_TEST_KILLS=200 scripts/with-postgres scripts/run-tests $(TEST) kills_under_load
	TRINITY_TEST_STREAMS=10000 scripts/with-postgres scripts/run-tests $(TEST) clients_that_never_read
	TRINITY_TEST_EXAMPLES=40 scripts/with-postgres scripts/run-tests $(TEST) every_answer_is_as
	scripts/fuzz 60

bench: tools
	TRINITY_TEST_POSTGRES_FSYNC=on scripts/with-postgres scripts/with-docker \
		env TRINITY_TEST_IMAGE_PROFILE=release scripts/test-image cargo bench --bench '*'

# The real CLIs against mocks of their APIs on loopback; installs them by npm.
test-clis: tools
	scripts/with-docker scripts/test-clis
