#!/usr/bin/env bash
# Cargo calls this as `rustc.sh RUSTC ARGUMENT…` for the crates of this workspace (RUSTC_WORKSPACE_WRAPPER). Test harnesses
# are run a few times after each compilation, so that time spent on optimising them is lost: they get less of it, and no
# line tables (a panic names its line without them).
# Libraries and programs are compiled as Cargo says. (bash: sh drops variables such as CARGO_BIN_EXE_balance-worker.)
for argument; do
  [ "$argument" != --test ] || exec "$@" -C opt-level=1 -C debuginfo=0
done
exec "$@"
