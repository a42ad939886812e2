//! Promises of the controller, kept against a real API server: `KUBECONFIG` names it. Every test has a namespace and an
//! operator of its own; no worker has to start, so no image is needed. What is about groups needs a broker.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test that cannot go on has failed

mod assignor;
mod at_rest;
mod children;
mod contention;
mod crash;
mod cut;
mod kafka;
mod namespaces;
mod problems;
mod scale;
mod support;
