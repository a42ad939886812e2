# Everything a person or a machine runs here; `make` lists it. Logic lives in scripts and Rust.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# Build products and downloads stay out of the clone, so that every clone shares them.
export BALANCEFLEET_CACHE ?= $(HOME)/.cache/balancefleet
export CARGO_TARGET_DIR ?= $(BALANCEFLEET_CACHE)/target
CARGO := cargo

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo demo-down
demo: ## Cluster, Kafka, operator and a day of traffic; ends with scaled workers and checked balances
	@e2e/demo/demo.sh
demo-down: ## Remove what the demo left: the cluster and the Docker Engine it started
	@e2e/demo/demo-down.sh

.PHONY: test check integration faults api-test charts-test e2e
test: ## All that must pass; the last line is "N passed, N failed"
	@.ci/suite check integration faults api charts e2e
check: ## The fast part: format, lints, unit and property tests, drift of generated files
	@.ci/suite check
integration: ## Tests on a real Kafka and a real PostgreSQL, started and stopped here
	@.ci/suite integration
faults: ## What may go wrong around a fleet, each fault once, on three real brokers
	@.ci/suite faults
api-test: ## Custom resource and controller beside a Kubernetes control plane of their own
	@.ci/suite api
charts-test: ## Helm and kustomize: lint, render, schema, dry run on a real API server
	@.ci/suite charts
e2e: ## The product on a kind cluster, installed by Helm
	@.ci/suite e2e

.PHONY: soak mutations
soak: ## Faults by chance for 30 minutes, or SOAK_MINUTES; SOAK_SEED makes the same ones again
	@.ci/soak
mutations: ## Takes one guard after the other out of the worker: a test must fail each time
	@.ci/mutations
.PHONY: bench
bench: ## Speed of the worker beside librdkafka, Java and Kafka Streams; SCENARIOS="catch-up idle" for a part
	@bench/run.sh $(SCENARIOS)

.PHONY: cluster-up cluster-down images generate format clean
cluster-up: ## A kind cluster named balancefleet
	@e2e/cluster/up.sh
cluster-down: ## Delete that cluster and stop what was started for it
	@e2e/cluster/down.sh
images: ## Container images of operator, worker and traffic generator
	@e2e/images/build.sh
generate: ## Rewrite every generated file: custom resource, charts, kustomize, OpenAPI
	@.ci/generate
format: ## Format the Rust code
	@$(CARGO) fmt --all
clean: ## Remove every cache of this project (the next run builds the cluster again)
	@e2e/cluster/down.sh # the engine's data lives in the cache
	rm -rf "$(BALANCEFLEET_CACHE)"
