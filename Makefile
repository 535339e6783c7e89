# Every task of the repository, each with one target. `make` alone lists them.

CARGO_DENY := .tools/cargo-deny@0.20.2/bin/cargo-deny
CARGO_FUZZ := .tools/cargo-fuzz@0.13.1/bin/cargo-fuzz
CARGO_MACHETE := .tools/cargo-machete@0.9.2/bin/cargo-machete

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24

.PHONY: run
run: ## Start RevenueFlow on http://localhost:3000 (ARGS="leads list": run another command)
	cargo run --locked -- $(ARGS)

.PHONY: dev-stack
dev-stack: ## Start PostgreSQL and Redis for local work, until Ctrl-C
	scripts/dev-stack

# Third-party clients that the tests run, from npm and PyPI, one folder each.
PEERS := tests/interop/node_modules/.installed
PEERS += tests/clients/salesforce/node_modules/.installed .tools/python/tests/clients/salesforce/.installed
PEERS += tests/clients/hubspot/node_modules/.installed
PEERS += .tools/python/tests/clients/ai/.installed
PEERS += .tools/python/tests/clients/enrichment/.installed
PEERS += .tools/python/tests/clients/api/.installed

.PHONY: test
test: $(PEERS) ## Run all tests, with a private PostgreSQL, Redis and AWS emulator (ARGS="-p store": only some)
	scripts/with-postgres scripts/with-redis localstack/with-ministack \
	    $(if $(ARGS),cargo test --locked $(ARGS),scripts/test-workspace)
	$(if $(ARGS),,@$(MAKE) --no-print-directory test-localstack)

# LocalStack counts the age of a receipt from the receive, even after the lease was renewed (4.9, its
# `_pre_delete_checks`), so it cannot delete a message that was worked on for longer than one lease. AWS can.
.PHONY: test-localstack
test-localstack: infra/node_modules/.installed ## Run the tests of queues, buckets, secrets, alerts and stacks on LocalStack as well
	scripts/with-postgres scripts/with-redis localstack/with-localstack \
	    cargo test --locked --workspace --test sqs --test function -- --skip a_renewed_lease_does_not_run_out
	cd infra && ../localstack/with-localstack node --import tsx --test --test-reporter spec test/localstack/*.test.ts

# The advisories are a separate target: they need a database from the network, and change independently of
# this repository.
.PHONY: check
check: check-text $(CARGO_DENY) $(CARGO_MACHETE) ## Check format, lints, dependencies, licences and docs
	$(CARGO_MACHETE) --skip-target-dir
	$(CARGO_DENY) --locked check --hide-inclusion-graph --allow unused-wrapper bans licenses sources
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
	$(MAKE) --no-print-directory check-infra

.PHONY: check-infra
check-infra: infra/node_modules/.installed .tools/python/infra/.installed ## Check the AWS stacks of every stage, without AWS
	cd infra && node_modules/.bin/tsc && node_modules/.bin/prettier --check --log-level warn '**/*.ts' 'hook/*' 'synthetic/*'
	cd infra && ../scripts/with-postgres ../localstack/with-ministack \
	    node --import tsx --test --test-reporter spec test/*.test.ts
	.tools/python/infra/bin/cfn-lint -i W3005 -- infra/cdk.out/*/*.template.json
	.tools/python/infra/bin/python -c 'from tfparse import load_from_path as load; \
	    assert len(load("infra/terraform").get("aws_cloudformation_stack", [])) == 2, "infra/terraform does not parse"'

.PHONY: deploy-local
deploy-local: infra/node_modules/.installed ## Build the functions and deploy them to the emulator at AWS_ENDPOINT_URL (ARGS=arm64: built as for AWS)
	scripts/build-functions $(ARGS)
	localstack/deploy

# Fast checks, before those that need an installation.
.PHONY: check-text
check-text:
	scripts/lint-repo
	scripts/lint-language
	cargo fmt --all --check

.PHONY: audit
audit: $(CARGO_DENY) ## Check dependencies against known vulnerabilities (needs the network)
	$(CARGO_DENY) --locked check advisories

# A failed download of the database is reported in one line and is not a failure.
.PHONY: audit-if-online
audit-if-online: $(CARGO_DENY)
	@if $(CARGO_DENY) --locked fetch db > /dev/null 2>&1; \
	    then $(CARGO_DENY) --locked check --disable-fetch advisories; \
	    else echo "audit skipped: the advisory database cannot be reached"; fi

.PHONY: show
show: ## Show the first steps of a user, on SQLite and on PostgreSQL, with start time and memory (builds for release)
	cargo build --locked --release --bin revenueflow
	scripts/with-postgres scripts/show

# Not part of `make test`: it rebuilds everything with coverage counters, and runs for the requested time.
.PHONY: fuzz
fuzz: $(CARGO_FUZZ) ## Fuzz intake and grounding (SECONDS_EACH=600: how long each target; 60 by default)
	fuzz/run $(or $(SECONDS_EACH),60)

# Not part of `make test`, which runs the same test with 400 leads.
.PHONY: soak
soak: tests/interop/node_modules/.installed ## Kill Redis and the workers while 10,000 leads arrive (CRASH_LEADS=2000: fewer)
	CRASH_LEADS=$(or $(CRASH_LEADS),10000) scripts/with-postgres scripts/with-redis cargo test --locked -p cli --test e2e \
	    -- --nocapture repeatedly_killed_processes_and_redis

.PHONY: bench
bench: tests/bench/node_modules/.installed ## Measure the product beside a Node application (ARGS="sqlite --leads 5000": only some; ARGS=--help)
	cargo build --locked --release -p cli -p bench --bins
	scripts/with-postgres --benchmark scripts/with-redis $(or $(CARGO_TARGET_DIR),target)/release/bench $(ARGS)

.PHONY: bench-parts
bench-parts: tests/interop/node_modules/.installed ## Run the benchmarks of single parts (ARGS="-p queue --bench redis": only some)
	scripts/with-redis cargo bench --locked $(or $(ARGS),--workspace --benches)

# Not part of `make check`: it builds for release, which takes long.
.PHONY: cold-start
cold-start: ## Measure the cold start of ingest and its zip (ARGS=--all: and the zips of all functions)
	functions/ingest/cold-start $(ARGS)

# Node packages by folder: FOLDER/package-lock.json pins the content of FOLDER/node_modules.
%/node_modules/.installed: %/package-lock.json
	@command -v npm > /dev/null && node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || \
	    { echo "make: Node 20 or newer is needed, with npm" >&2; exit 1; }
	@echo "installing the packages of $* into $(@D) (once)"
	@npm ci --prefix $* --no-audit --no-fund --loglevel=error
	@touch $@

# Python tools by folder: FOLDER/requirements.txt pins the content of .tools/python/FOLDER. Debian has venv in
# a separate package, which is installed if possible, like PostgreSQL.
.tools/python/%/.installed: %/requirements.txt
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || \
	    { echo "make: Python 3.11 or newer is needed" >&2; exit 1; }
	@python3 -c 'import ensurepip, venv' 2> /dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null && \
	    echo "installing python3-venv (once)" && apt-get update -qq && apt-get install -qq -y python3-venv > /dev/null; } || \
	    { echo "make: Python's venv is needed (\`apt install python3-venv\`)" >&2; exit 1; }
	@echo "installing $(firstword $(shell grep == $<)) into .tools (once)"
	@python3 -m venv --clear $(@D)
	@$(@D)/bin/pip install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@

# Tools are installed in the repository, one folder per version: .tools/NAME@VERSION. An unoptimised build of
# each takes about a minute, and is fast enough.
.tools/%: tool = $(firstword $(subst /, ,$*))
.tools/%:
	@echo "installing $(tool) into .tools (once)"
	@CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --profile dev --root .tools/$(tool) $(tool)
