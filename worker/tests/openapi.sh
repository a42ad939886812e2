#!/usr/bin/env bash
# Holds a running worker against its own OpenAPI document: Schemathesis makes requests by it, right ones and wrong ones,
# and every answer has to be one that the document describes.
#
#   e2e/kafka/with-kafka.sh worker/tests/openapi.sh [ARGUMENT OF `schemathesis run`…]      for example: --max-time 600
#
# The binaries balance-worker and traffic must be built. Schemathesis comes from PyPI in the versions of
# openapi-requirements.txt, into <cache>, once. Without arguments a run that is not over after five minutes is ended.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../e2e/scripts/lib.sh"
usage_when_asked "$@"
[[ -n ${BALANCEFLEET_TEST_KAFKA:-} ]] || fail "no broker to test with" "e2e/kafka/with-kafka.sh worker/tests/openapi.sh"
limit=$(($# == 0 ? 300 : 0))

# A virtual environment cannot be moved to its final name; a folder of packages can.
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

# deposit CUSTOMER CURRENCY: one of the labs' messages.
deposit() {
  printf '{"transactionId":"BAL-001","customerId":"%s","amount":5000,"currency":"%s","type":3,"timestamp":"2026-02-08T22:00:00Z"}\n' "$@"
}
# The customer that the document gives as an example is there, and so is one with two currencies: both forms are answered.
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

# The same requests each time; what was found last time is kept nowhere.
cd "$scratch"
PYTHONPATH=$packages timeout --foreground "$limit" python3 -m schemathesis.cli run \
  "http://127.0.0.1:$port/swagger/v1/swagger.json" \
  --checks all --max-examples 100 --request-timeout 10 --seed 1 --warnings off "$@"
cd /
rm -rf "$scratch"
