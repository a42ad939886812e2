//! Command line and environment: only what a user or the chart sets, nothing derived from it.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, ValueEnum};

/// Runs and scales fleets of Kafka consumers that keep exact balances.
#[derive(Debug, Clone, Parser)]
#[command(name = "balancefleet-operator", version)]
pub struct Args {
    /// Worker image of this release; new groups use it, existing groups keep theirs.
    #[arg(long, env = "WORKER_IMAGE")]
    pub worker_image: String,

    /// Namespaces to watch, separated by commas [default: all].
    #[arg(long, env = "WATCH_NAMESPACES", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,

    /// Name of this operator's pod, the source of the events it publishes.
    #[arg(long, env = "POD_NAME")]
    pub pod_name: Option<String>,

    /// Listen address for /livez, /readyz and /metrics.
    #[arg(long, env = "HTTP_ADDRESS", default_value = "0.0.0.0:8080")]
    pub http_address: SocketAddr,

    /// Log filter, for example `info` or `info,balancefleet_operator=debug`.
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    pub log_level: String,

    /// Log format.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Kubeconfig file [default: $KUBECONFIG, ~/.kube/config or the pod's service account].
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,

    /// Context in the kubeconfig [default: the current context].
    #[arg(long)]
    pub context: Option<String>,
}

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text for humans.
    Text,
    /// One JSON object per line, for log collectors.
    Json,
}

impl Args {
    /// The namespaces to watch, without empty entries (from an empty value or a trailing comma).
    pub fn namespaces(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.watch_namespaces.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
        // A namespace that is listed twice would get two controllers that write the same objects.
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
