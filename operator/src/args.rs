//! Command line and environment: what a person or the chart sets, nothing derived from it.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, ValueEnum};

/// Runs fleets of Kafka consumers that keep exact balances, and keeps their number right.
#[derive(Debug, Clone, Parser)]
#[command(name = "balancefleet-operator", version)]
pub struct Args {
    /// Image of this release's workers; a group created now gets it, an existing group keeps its own.
    #[arg(long, env = "WORKER_IMAGE")]
    pub worker_image: String,

    /// Namespaces to watch, separated by commas; all of them when absent.
    #[arg(long, env = "WATCH_NAMESPACES", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,

    /// Name of this operator's pod, for the events it publishes.
    #[arg(long, env = "POD_NAME")]
    pub pod_name: Option<String>,

    /// Address of /livez, /readyz and /metrics.
    #[arg(long, env = "HTTP_ADDRESS", default_value = "0.0.0.0:8080")]
    pub http_address: SocketAddr,

    /// What to log, for example `info` or `info,balancefleet_operator=debug`.
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    pub log_level: String,

    /// How to log.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// A kubeconfig file; otherwise $KUBECONFIG, ~/.kube/config or the service account of the pod.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,

    /// A context of the kubeconfig; otherwise its current one.
    #[arg(long)]
    pub context: Option<String>,
}

/// The two ways a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For collectors: one JSON object per line.
    Json,
}

impl Args {
    /// The namespaces to watch without the empty entries that an empty or trailing comma leaves.
    pub fn namespaces(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.watch_namespaces.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
        // Watched twice, a namespace would have two controllers that write the same objects.
        names.sort();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Args {
        Args::parse_from([&["balancefleet-operator", "--worker-image", "worker:1"], arguments].concat())
    }

    #[test]
    fn an_empty_namespace_list_watches_everything() {
        assert!(parse(&["--watch-namespaces", ""]).namespaces().is_empty());
    }

    #[test]
    fn a_namespace_named_twice_is_watched_once() {
        assert_eq!(parse(&["--watch-namespaces", "b, a,,b"]).namespaces(), ["a", "b"]);
    }
}
