#!/usr/bin/env bash
# Tests of e2e/labs/doctest: what it takes for right, and that it fails where it must.
set -euo pipefail
cd "$(dirname "$0")/../.."
page=$(mktemp -t balancefleet-page.XXXXXX)
trap 'rm -f "$page" "$page.count"' EXIT
passed=0

# expect STATUS TEXT LINE…: what doctest says of a page of these lines.
expect() {
  local status=0 said
  printf '%s\n' "${@:3}" >"$page"
  said=$(timeout 60 e2e/labs/doctest "$page" 2>&1) || status=$?
  if [[ $status != "$1" || $said != *"$2"* ]]; then
    printf 'expected status %s and "%s", got %s:\n%s\n' "$1" "$2" "$status" "$said" >&2
    exit 1
  fi
  passed=$((passed + 1))
}
block='```console' end='```'

expect 0 '2 passed; 0 failed' "$block" '$ echo one; echo two' 'one' 'two' '$ true' "$end"
expect 1 'printed:' "$block" '$ echo one' 'two' "$end"
# A line more or less than the page has.
expect 1 '0 passed; 1 failed' "$block" '$ echo one; echo two' 'one' "$end"
expect 1 '0 passed; 1 failed' "$block" '$ echo one' 'one' 'two' "$end"
# Its exit status counts, with and without output.
expect 1 'exit status 3' "$block" '$ (exit 3)' "$end"
expect 1 'exit status 3' "$block" '$ echo one; (exit 3)' 'one' "$end"
expect 0 '1 passed' '<!-- doctest: status=3 -->' "$block" '$ (exit 3)' "$end"
# Progress and errors are no part of the page, but help when a command fails.
expect 0 '1 passed' "$block" '$ echo step 1 >&2; echo one' 'one' "$end"
expect 1 'next: do that' "$block" '$ echo "next: do that" >&2; (exit 3)' "$end"
expect 1 'next: do that' '<!-- doctest: background -->' "$block" '$ echo "next: do that" >&2; (exit 3)' "$end" "$block" '$ sleep 1' "$end"
# Any text, any lines, any space.
expect 0 '1 passed' "$block" '$ printf "a 12 z\nx\ny\nlast   line\n"' 'a … z' '…' 'last line' "$end"
expect 1 '0 passed; 1 failed' "$block" '$ printf "a 12 z\nx\n"' '…' 'y' "$end"
# Numbers only where the page asks for it, and nothing else with them.
expect 1 '0 passed; 1 failed' "$block" '$ echo lag 7' 'lag 12' "$end"
expect 0 '1 passed' '<!-- doctest: numbers=any -->' "$block" '$ echo "lag 7 at 10:00:01.5Z"' 'lag 1200 at 9:59:00Z' "$end"
expect 1 '0 passed; 1 failed' '<!-- doctest: numbers=any -->' "$block" '$ echo lag unknown' 'lag 12' "$end"
expect 0 '2 passed' '<!-- doctest: numbers=any -->' "$block" '$ echo "up 2m5s, lag 0s"' 'up 91s, lag 12ms' '$ echo 7m' '30s' "$end"
expect 1 '0 passed; 1 failed' '<!-- doctest: numbers=any -->' "$block" '$ echo 91' '91s' "$end"
# A comment counts for its own block.
expect 1 '1 passed; 1 failed' '<!-- doctest: numbers=any -->' "$block" '$ echo 1' '2' "$end" "$block" '$ echo 1' '2' "$end"
# Repeated until it is as expected, and not for ever.
rm -f "$page.count"
expect 0 '1 passed' '<!-- doctest: within=20 -->' "$block" "\$ echo x >>$page.count; wc -l <$page.count" '3' "$end"
rm -f "$page.count"
expect 1 '0 passed; 1 failed' '<!-- doctest: within=1 -->' "$block" '$ echo one' 'two' "$end"
expect 1 'no end within 1 s' '<!-- doctest: timeout=1 -->' "$block" '$ sleep 30' "$end"
# One shell, continued lines, and the rest of the page after a failure.
# shellcheck disable=SC1003,SC2016 # the page's shell continues the line and expands the variable
expect 0 '2 passed' "$block" '$ x=1' '$ echo \' '> "$x"' '1' "$end"
expect 1 '0 passed; 1 failed' "$block" '$ false' '$ echo two' "$end"
expect 1 '1 passed; 1 failed' "$block" '$ false' "$end" '<!-- doctest: cleanup -->' "$block" '$ echo two' 'two' "$end"
# Beside the others.
expect 0 '2 passed' '<!-- doctest: background -->' "$block" '$ sleep 1; echo done' 'done' "$end" "$block" '$ echo one' 'one' "$end"
expect 1 '1 passed; 1 failed' '<!-- doctest: background -->' "$block" '$ sleep 1; echo done' 'undone' "$end" "$block" '$ true' "$end"
# What is not run, and a page in which nothing is.
expect 0 '1 passed' '<!-- doctest: skip -->' "$block" '$ false' "$end" '<!-- doctest: long -->' "$block" '$ false' "$end" "$block" '$ true' "$end"
expect 1 '0 passed' 'No commands.'
# Mistakes of the page.
expect 1 'unknown word' '<!-- doctest: withn=5 -->' "$block" '$ true' "$end"
expect 1 'has no end' "$block" '$ true'
expect 1 'begins with a command' "$block" 'true' "$end"
# A page's make prints what it prints to its reader, also when make runs doctest.
MAKEFLAGS=w MAKELEVEL=1 expect 0 '1 passed' "$block" '$ make help | head -n 1' '  make help …' "$end"

echo "test result: ok. $passed passed; 0 failed"
