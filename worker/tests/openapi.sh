#!/usr/bin/env bash
# Tests a running worker against its own OpenAPI document: Schemathesis generates valid and invalid requests from the
# document, and every response must be one that the document describes.
#
#   e2e/kafka/with-kafka.sh worker/tests/openapi.sh [ARGUMENT OF `schemathesis run`…]      for example: --max-time 600
#
# The binaries balance-worker and traffic must be built. Schemathesis is installed from PyPI into <cache>, once, in the
# versions of openapi-requirements.txt. Without arguments, a run that takes longer than five minutes is ended.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../e2e/scripts/lib.sh"
usage_when_asked "$@"
[[ -n ${BALANCEFLEET_TEST_KAFKA:-} ]] || fail "no broker to test with" "e2e/kafka/with-kafka.sh worker/tests/openapi.sh"
limit=$(($# == 0 ? 300 : 0))

# A virtual environment cannot be moved to its final path; a folder of packages can.
install() {
  python3 -m venv "$1/venv"
  quietly "installing Schemathesis" "$1/venv/bin/pip" install --disable-pip-version-check --no-deps \
    --target "$1/packages" --requirement "$here/openapi-requirements.txt"
  rm -rf "$1/venv"
}
python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
packages=$(cached "schemathesis-python$python" "$(content_hash "$here/openapi-requirements.txt")" install)/packages

scratch=$(mktemp -d -t balancefleet-openapi.XXXXXX)
export KAFKA_BOOTSTRAP_SERVERS=$BALANCEFLEET_TEST_KAFKA KAFKA_TOPIC=openapi-$$ KAFKA_GROUP_ID=openapi-$$
"$CARGO_TARGET_DIR/release/traffic" produce --count 2000 >"$scratch/traffic.log" 2>&1 ||
  fail "no transactions could be sent" "look at $scratch/traffic.log"

# deposit CUSTOMER CURRENCY: prints one message in the reference format.
deposit() {
  printf '{"transactionId":"BAL-001","customerId":"%s","amount":5000,"currency":"%s","type":3,"timestamp":"2026-02-08T22:00:00Z"}\n' "$@"
}
# The document's example customer exists, and so does one with two currencies: both forms of response occur.
{ deposit CUST-001 EUR && deposit CUST-002 EUR && deposit CUST-002 JPY; } |
  "$e2e/kafka/cli.sh" ConsoleProducer --bootstrap-server "$KAFKA_BOOTSTRAP_SERVERS" --topic "$KAFKA_TOPIC" \
    >"$scratch/deposits.log" 2>&1 || fail "no deposits could be sent" "look at $scratch/deposits.log"

port=$(free_port)
HTTP_ADDRESS=127.0.0.1:$port "$CARGO_TARGET_DIR/release/balance-worker" >"$scratch/worker.log" 2>&1 &
worker=$!
trap 'kill "$worker" 2>/dev/null || true; wait "$worker" || true' EXIT

answers() { curl --silent --fail "http://127.0.0.1:$port/api/Balance/balances/$1" | grep --quiet "$2"; }
both_are_there() { answers CUST-001 '"balance":5000.00' && answers CUST-002 '"balances":{"EUR":5000.00,"JPY":5000}'; }
wait_until 60 both_are_there || fail "the worker does not serve the balances" "look at $scratch/worker.log"

# Every run sends the same requests; nothing is kept from earlier runs.
cd "$scratch"
PYTHONPATH=$packages timeout --foreground "$limit" python3 -m schemathesis.cli run \
  "http://127.0.0.1:$port/swagger/v1/swagger.json" \
  --checks all --max-examples 100 --request-timeout 10 --seed 1 --warnings off "$@"
cd /
rm -rf "$scratch"
