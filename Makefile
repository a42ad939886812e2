# Entry points for users and CI; `make` lists them. The logic lives in scripts and Rust.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# Build products and downloads stay outside the clone, so all clones share them.
export BALANCEFLEET_CACHE ?= $(HOME)/.cache/balancefleet
export CARGO_TARGET_DIR ?= $(BALANCEFLEET_CACHE)/target
CARGO := cargo

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo demo-down
demo: ## Run the demo: cluster, Kafka, operator and a day of traffic; scales workers and checks all balances
	@e2e/demo/demo.sh
demo-down: ## Delete the demo's cluster and stop the Docker Engine it started
	@e2e/demo/demo-down.sh

.PHONY: compose compose-down
compose: ## Look at the consumer without Kubernetes: Kafka, workers and traffic with Docker Compose (docs/compose.md)
	@e2e/compose/up.sh
compose-down: ## Remove what `make compose` started
	@e2e/compose/down.sh

.PHONY: test check integration faults api-test charts-test e2e compose-test
test: ## Run everything that must pass; the last line is "N passed, N failed"
	@.ci/suite check integration faults api charts e2e compose lab_a
check: ## Run the fast part: format, lints, unit and property tests, drift of generated files
	@.ci/suite check
integration: ## Test against a real Kafka and a real PostgreSQL, which it starts and stops
	@.ci/suite integration
faults: ## Inject each fault around a fleet once, on three real brokers
	@.ci/suite faults
api-test: ## Test custom resource and controller against a private Kubernetes control plane
	@.ci/suite api
charts-test: ## Test Helm charts and kustomize: lint, render, schema, dry run on a real API server
	@.ci/suite charts
e2e: ## Test the product on a kind cluster, installed by Helm
	@.ci/suite e2e
compose-test: ## Test what `make compose` starts: health, balances, killed workers, bad input
	@.ci/suite compose lab_a

.PHONY: topic send traffic groups kill-worker history lag assignors
# The instruments of the demo and the labs (e2e/labs): what is given on make's command line becomes their options. It goes
# through the environment, and unexpanded: spaces, quotes and $ arrive as they were typed.
LABS := e2e/labs/make.sh
$(foreach name,ON NAMESPACE GROUP TOPIC PARTITIONS MESSAGE FILE KEY ANY MEMBERS STATE LIST WORKER STOP SINCE JSON SAVE FROM FOR SVG TABLE RATE,\
  $(if $(filter command line,$(origin $(name))),$(eval override $(name) := $$(value $(name)))$(eval export LABS_$(name) := $$($(name)))))
topic: ## Create or describe a topic: make topic TOPIC=orders PARTITIONS=6
	@$(LABS) topic.sh ON TOPIC PARTITIONS
send: ## Send own messages: make send TOPIC=orders MESSAGE='{"orderId":"ORD-001"}', or FILE=lines.json; KEY=k, ANY=yes
	@$(LABS) send.sh ON TOPIC MESSAGE FILE KEY ANY
traffic: ## Send transactions at a steady rate: make traffic RATE=300 FOR=30s; TOPIC=banking.transactions
	@$(LABS) traffic.sh ON TOPIC RATE FOR
groups: ## Show a consumer group by Kafka's own tool: make groups GROUP=balance-service; MEMBERS=yes, STATE=yes, LIST=yes
	@$(LABS) groups.sh ON GROUP MEMBERS STATE LIST
kill-worker: ## Kill a worker (kill -9), a random one or WORKER=name; STOP=yes stops it as planned
	@$(LABS) kill-worker.sh ON NAMESPACE GROUP WORKER STOP
history: ## Show all workers' rebalances on one time line: make history SINCE='2 minutes ago'; SAVE=a.json, FROM='a.json b.json'
	@$(LABS) history.sh ON NAMESPACE GROUP SINCE JSON SAVE FROM
lag: ## Plot a group's lag and members: make lag FOR=60s SVG=lag.svg
	@$(LABS) lag.sh ON GROUP FOR SVG SAVE FROM TABLE
assignors: ## Compare the three assignors: scales 2 to 3 with each, and shows all rebalances in one table; 2 min
	@$(LABS) assignors.sh ON NAMESPACE GROUP

.PHONY: soak matrix mutations
soak: ## Inject random faults for 30 minutes, or SOAK_MINUTES; SOAK_SEED repeats the same ones
	@.ci/soak
matrix: ## Run the integration and fault tests on Kafka 4.1 and 3.6 as well
	@.ci/matrix
mutations: ## Remove one guard at a time from a copy of the sources; a test must fail each time
	@.ci/mutations
.PHONY: bench
bench: ## Benchmark the worker against librdkafka, Java and Kafka Streams; SCENARIOS="catch-up idle" runs a part
	@bench/run.sh $(SCENARIOS)

.PHONY: cluster-up cluster-down images generate format clean
cluster-up: ## Start a kind cluster named balancefleet
	@e2e/cluster/up.sh
cluster-down: ## Delete that cluster and stop the Docker Engine started for it
	@e2e/cluster/down.sh
images: ## Build the container images of operator, worker and traffic generator; RELEASE=1: the optimised worker
	@e2e/images/build.sh
generate: ## Rewrite all generated files: custom resource, charts, kustomize, reference, OpenAPI
	@.ci/generate
format: ## Format the Rust code
	@$(CARGO) fmt --all
clean: ## Delete every cache of this project (the next run rebuilds the cluster)
	@e2e/compose/down.sh
	@e2e/cluster/down.sh # the engine's data lives in the cache
	rm -rf "$(BALANCEFLEET_CACHE)"
