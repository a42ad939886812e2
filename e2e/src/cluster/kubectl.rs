//! Commands as a person types them: `kubectl` in one namespace, and the signal that no pod can catch.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};

use serde_json::Value;

use super::ClusterError;

/// `kubectl` with a namespace. It finds the cluster by KUBECONFIG, as in the shell.
#[derive(Clone, Debug)]
pub struct Kubectl {
    namespace: String,
}

impl Kubectl {
    /// All commands are about this namespace.
    pub fn new(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned() }
    }

    /// Runs it; gives what it printed.
    pub fn run(&self, arguments: &[&str]) -> Result<String, ClusterError> {
        self.run_with(arguments, "")
    }

    /// The object or list as JSON.
    pub fn json(&self, arguments: &[&str]) -> Result<Value, ClusterError> {
        let text = self.run(&[arguments, &["--output=json"]].concat())?;
        serde_json::from_str(&text).map_err(|source| ClusterError::Json { what: arguments.join(" "), source })
    }

    /// `kubectl apply` of one object, as most people do it: client-side.
    pub fn apply(&self, object: &Value) -> Result<String, ClusterError> {
        self.run_with(&["apply", "--filename=-"], &object.to_string())
    }

    /// A path of the API server, `kubectl get --raw`: the way to any pod's HTTP port.
    pub fn raw(&self, path: &str) -> Result<String, ClusterError> {
        self.run(&["get", "--raw", path])
    }

    /// Follows a pod's log to its end. Returns when the first line is there: the log of a pod that ends is gone at
    /// once, and only who reads it already gets the rest.
    pub fn follow_logs(&self, pod: &str) -> Result<JoinHandle<io::Result<String>>, ClusterError> {
        let mut command = self.command(&["logs", "--follow", pod]);
        let line = format!("{command:?}").replace('"', "");
        let start_error = |source| ClusterError::Start { command: line.clone(), source };
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(start_error)?;
        let output = child.stdout.take().ok_or_else(|| ClusterError::Unexpected(format!("no output of {line}")))?;
        let mut log = BufReader::new(output);
        let mut text = String::new();
        log.read_line(&mut text).map_err(start_error)?;
        Ok(thread::spawn(move || {
            log.read_to_string(&mut text)?;
            child.wait()?;
            Ok(text)
        }))
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The same with standard input, which `--filename=-` reads.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Result<String, ClusterError> {
        output(self.command(arguments), input)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        // `get --raw` takes no namespace.
        if !arguments.contains(&"--raw") {
            command.arg(format!("--namespace={}", self.namespace));
        }
        command.args(arguments);
        command
    }
}

/// Ends a container's process by SIGKILL from its node: no grace, no chance to say good-bye, the pod stays.
pub fn kill_process(pod: &Value) -> Result<(), ClusterError> {
    let (id, node) = container(pod)?;
    on_node(node, &["ctr", "--namespace=k8s.io", "tasks", "kill", "--signal=SIGKILL", id]).map(drop)
}

/// User and group of a container's process, as its node sees them: `1000650000:0`.
pub fn process_ids(pod: &Value) -> Result<String, ClusterError> {
    let (id, node) = container(pod)?;
    let tasks = on_node(node, &["ctr", "--namespace=k8s.io", "tasks", "list"])?;
    let line = tasks.lines().find(|line| line.starts_with(id));
    let process = line.and_then(|line| line.split_whitespace().nth(1));
    let process = process.ok_or_else(|| ClusterError::Unexpected(format!("no task {id} in {tasks}")))?;
    let ids = on_node(node, &["stat", "--format=%u:%g", &format!("/proc/{process}")])?;
    Ok(ids.trim().to_owned())
}

/// The container's id and its node.
fn container(pod: &Value) -> Result<(&str, &str), ClusterError> {
    let id = pod["status"]["containerStatuses"][0]["containerID"].as_str().unwrap_or_default();
    match (id.strip_prefix("containerd://"), pod["spec"]["nodeName"].as_str()) {
        (Some(id), Some(node)) => Ok((id, node)),
        _ => Err(ClusterError::Unexpected(format!("the pod has no running container: {}", pod["status"]))),
    }
}

/// A command on a node, which is a container of the Docker Engine.
fn on_node(node: &str, arguments: &[&str]) -> Result<String, ClusterError> {
    let mut command = Command::new("docker");
    command.args(["exec", node]).args(arguments);
    output(command, "")
}

/// One of Kafka's own command line tools, by `e2e/kafka/cli.sh`.
pub(super) fn kafka_tool(arguments: &[&str]) -> Result<String, ClusterError> {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("kafka/cli.sh"));
    command.args(arguments);
    output(command, "")
}

fn output(mut command: Command, input: &str) -> Result<String, ClusterError> {
    let line = format!("{command:?}").replace('"', "");
    let start_error = |source| ClusterError::Start { command: line.clone(), source };
    let stdin = if input.is_empty() { Stdio::null() } else { Stdio::piped() };
    let piped = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().map_err(start_error)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(start_error)?;
    }
    let output = child.wait_with_output().map_err(start_error)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(ClusterError::Command { command: line, output: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
}
