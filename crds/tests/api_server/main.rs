//! What the definition makes a real API server do. Every test installs the definition under an API group of its own, so
//! that it neither needs nor disturbs an installed one, and removes it, with all its objects, at the end.
//!
//! The cluster is found through KUBECONFIG; `kubectl` is expected on the PATH. `make e2e` gives both.

mod applying;
mod display;
mod harness;
mod refusals;
mod refused_updates;
