//! What the CRD makes a real API server do. Every test installs the CRD under an API group of its own, so
//! that it neither needs nor disturbs an installed one, and removes it, with all its objects, at the end.
//!
//! The cluster is found through KUBECONFIG; `kubectl` is expected on the PATH. `make e2e` gives both.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is how a test fails")]
#![allow(clippy::needless_pass_by_value, reason = "a table of json! values reads better without borrows")]

mod applying;
mod display;
mod harness;
mod refusals;
mod refused_updates;
