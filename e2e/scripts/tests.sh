# shellcheck shell=bash
# For scripts that test something, one line per test; to be sourced.

passed=0 failed=0

# test_that WORDS COMMAND…: runs one test and prints the command's output if it fails.
test_that() {
  local words=$1 output
  shift
  if output=$("$@" 2>&1); then
    passed=$((passed + 1))
    echo "ok      $words"
  else
    failed=$((failed + 1))
    printf 'FAILED  %s\n        %s\n' "$words" "${output//$'\n'/$'\n'        }"
  fi
}

# test_result: counts them in the same line as cargo's, so one parser counts both; fails if a test failed.
test_result() {
  local verdict=ok
  ((failed == 0)) || verdict=FAILED
  echo
  echo "test result: $verdict. $passed passed; $failed failed"
  ((failed == 0))
}
