//! Where and of what the figures were taken.

use std::fs;
use std::process::Command;

use jiff::Timestamp;
use serde::Serialize;

/// The facts without which a figure says nothing.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Facts {
    pub(crate) date: String,
    pub(crate) command: String,
    /// Of this project, with a mark when files were changed.
    pub(crate) commit: String,
    pub(crate) cores: usize,
    pub(crate) cpu: String,
    pub(crate) kernel: String,
    pub(crate) kafka: String,
    pub(crate) librdkafka: String,
    pub(crate) java: String,
    /// Load of the machine before anything was measured, of the last minute.
    pub(crate) load_before: String,
}

impl Facts {
    pub(crate) fn gather(command: String, kafka: String) -> Self {
        let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
        Self {
            date: Timestamp::now().strftime("%Y-%m-%d").to_string(),
            command,
            commit: first_line("git", &["describe", "--always", "--dirty"]),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            cpu: cpu_model(&read("/proc/cpuinfo")),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            kafka,
            librdkafka,
            java: first_line("java", &["--version"]),
            load_before: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn cpu_model(cpuinfo: &str) -> String {
    let line = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    line.map_or("unknown", |line| line.trim_start_matches(['\t', ' ', ':'])).to_owned()
}

/// Empty when there is no such program.
fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::cpu_model;

    #[test]
    fn the_model_of_the_cpu_is_named() {
        assert_eq!(cpu_model("processor\t: 0\nmodel name\t: Fast One @ 3 GHz\n"), "Fast One @ 3 GHz");
        assert_eq!(cpu_model(""), "unknown");
    }
}
