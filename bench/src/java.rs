//! How the peers written in Java are started.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::subject::{Form, Tuning};

/// Their classes and jars, built by `bench/peers/build.sh`.
#[derive(Clone, Debug)]
pub(crate) struct Java {
    pub(crate) folder: PathBuf,
    pub(crate) brokers: String,
    /// Further settings of the Streams applications, KEY=VALUE.
    pub(crate) streams: Vec<String>,
}

/// A heap no larger than what the tuned variants need; the default takes a quarter of the machine.
const TUNED: [&str; 2] = ["-Xmx1g", "-XX:+UseParallelGC"];

/// Whether an application begins or begins again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Until {
    /// Everything is processed and committed.
    End,
    /// Its state is back.
    Restored,
    /// It is stopped; until then it tells of every record beyond the end that it found.
    Stopped,
}

impl Until {
    const fn name(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::Restored => "restored",
            Self::Stopped => "stopped",
        }
    }
}

impl Java {
    /// The plain consumer.
    pub(crate) fn consumer(&self, topic: &str) -> Command {
        let mut command = self.peer(&[]);
        command.args(["consumer", &self.brokers, topic]);
        command
    }

    /// A Streams application of that id with its state in `state`.
    pub(crate) fn streams(
        &self,
        (form, tuning): (Form, Tuning),
        topic: &str,
        application: &str,
        state: &Path,
        until: Until,
    ) -> Command {
        let mut command = self.peer(if tuning == Tuning::Tuned { &TUNED } else { &[] });
        let form = if form == Form::Processor { "processor" } else { "dsl" };
        let tuning = if tuning == Tuning::Tuned { "tuned" } else { "defaults" };
        command
            .args([form, &self.brokers, topic, application])
            .arg(state)
            .args([tuning, until.name()])
            .args(&self.streams);
        command
    }

    fn peer(&self, options: &[&str]) -> Command {
        let folder = self.folder.display();
        let mut command = Command::new("java");
        command
            .arg("-XX:-UsePerfData")
            .args(options)
            .arg(format!("-Dlog4j2.configurationFile={folder}/classes/log4j2.properties"))
            .args(["-cp", &format!("{folder}/classes:{folder}/libs/*"), "io.balancefleet.bench.Peer"]);
        command
    }
}
