//! A peer: another program that reads the topic, from its first record to the end known at the peer's start.
//!
//! It speaks in lines of JSON on its standard output, and ends when its standard input does:
//!
//! | line | says |
//! |---|---|
//! | `{"event":"first"}` | the first record is there |
//! | `{"event":"done","records":N}` | all are processed and, where there is something to commit, committed |
//! | `{"event":"check","records":N,"minorUnits":M}` | after a line of ours: what its own ledger adds up to |
//! | `{"event":"at","partition":P,"offset":O}` | one that goes on until it is stopped has processed that record |
//! | `{"event":"restored","records":N,"millis":T}` | a second start is at work again; the time is that of restoring alone |

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::error::BenchError;
use crate::figures::Run;
use crate::process::Process;
use crate::topic::Data;

/// The slowest peer takes a minute for two million records.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Said {
    First,
    Done { records: u64 },
    Check { records: u64, minor_units: Option<i64> },
    Restored { records: u64, millis: u64 },
    At { partition: i32, offset: i64 },
}

/// A running peer.
pub(crate) struct Peer {
    process: Process,
    input: Option<ChildStdin>,
    lines: mpsc::Receiver<(Instant, String)>,
}

/// What a second start took.
pub(crate) struct Restore {
    /// Records read back, if any had to be.
    pub(crate) records: Option<u64>,
    pub(crate) restoring: Duration,
    pub(crate) start_to_active: Duration,
    pub(crate) cpu: Duration,
    pub(crate) peak_memory: u64,
}

impl Peer {
    pub(crate) fn start(name: &str, command: &mut Command, folder: &std::path::Path) -> Result<Self, BenchError> {
        let mut process = Process::start_piped(name, command, folder)?;
        let (input, output) = process.pipes().ok_or_else(|| process.ended())?;
        Ok(Self { process, input: Some(input), lines: read_lines(output)? })
    }

    /// Follows it to the end of the topic and compares what it has with what the topic holds.
    pub(crate) fn run(mut self, data: &Data) -> Result<Run, BenchError> {
        let (first, Said::First) = self.hear()? else { return Err(self.unexpected("no first record")) };
        let cpu_before = self.process.cpu()?;
        let (done, Said::Done { records }) = self.hear()? else { return Err(self.unexpected("no end")) };
        let run = Run {
            counted: records,
            wall: done.duration_since(first),
            cpu: self.process.cpu()?.saturating_sub(cpu_before),
            records,
            cpu_with_start: self.process.cpu()?,
            peak_memory: self.process.peak_memory()?,
        };
        self.say("check")?;
        let (_, Said::Check { records, minor_units }) = self.hear()? else { return Err(self.unexpected("no check")) };
        data.must_hold(&self.process.name, records, minor_units.map(i128::from))?;
        self.end()?;
        Ok(run)
    }

    /// Follows a second start until it is at work again.
    pub(crate) fn restore(mut self) -> Result<Restore, BenchError> {
        let (active, Said::Restored { records, millis }) = self.hear()? else {
            return Err(self.unexpected("no restore"));
        };
        let restore = Restore {
            records: Some(records),
            restoring: Duration::from_millis(millis),
            start_to_active: active.duration_since(self.process.started),
            cpu: self.process.cpu()?,
            peak_memory: self.process.peak_memory()?,
        };
        self.end()?;
        Ok(restore)
    }

    /// For one that goes on until it is stopped: the process, its input that stops it by its end, and where it is.
    pub(crate) fn apart(mut self) -> (Process, Option<ChildStdin>, Steps) {
        (self.process, self.input.take(), Steps(self.lines))
    }

    fn hear(&mut self) -> Result<(Instant, Said), BenchError> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok((at, line)) => match serde_json::from_str(&line) {
                Ok(said) => Ok((at, said)),
                Err(_) => Err(self.unexpected(&line)),
            },
            Err(RecvTimeoutError::Disconnected) => Err(self.process.ended()),
            Err(RecvTimeoutError::Timeout) => Err(BenchError::NotInTime {
                what: format!("the next line of {}", self.process.name),
                patience: PATIENCE,
                state: "nothing said".into(),
            }),
        }
    }

    fn unexpected(&self, line: &str) -> BenchError {
        BenchError::Protocol { who: self.process.name.clone(), line: line.to_owned() }
    }

    fn say(&mut self, word: &str) -> Result<(), BenchError> {
        if let Some(input) = &mut self.input {
            writeln!(input, "{word}")?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), BenchError> {
        self.input = None;
        self.process.wait()
    }
}

/// The records that a peer processes, as it tells of them.
pub(crate) struct Steps(mpsc::Receiver<(Instant, String)>);

impl Iterator for Steps {
    type Item = (Instant, i32, i64);

    /// Ends with the peer.
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (at, line) = self.0.recv().ok()?;
            if let Ok(Said::At { partition, offset }) = serde_json::from_str(&line) {
                return Some((at, partition, offset));
            }
        }
    }
}

/// Notes for each line when it came, whatever the main thread is doing.
fn read_lines(output: ChildStdout) -> Result<mpsc::Receiver<(Instant, String)>, BenchError> {
    let (sender, lines) = mpsc::channel();
    thread::Builder::new().name("peer".into()).spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send((Instant::now(), line)).is_err() {
                return;
            }
        }
    })?;
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(script: &str) -> (Peer, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let peer = Peer::start("script", Command::new("sh").args(["-c", script]), folder.path()).unwrap();
        (peer, folder)
    }

    fn data() -> Data {
        Data { records: 5, minor_units: 700, ..Data::default() }
    }

    #[test]
    fn a_peer_is_followed_from_its_first_record_to_its_check() {
        let (peer, _folder) = peer(
            r#"echo '{"event":"first"}'; sleep 0.2; echo '{"event":"done","records":5}'
               read word; echo '{"event":"check","records":5,"minorUnits":700}'; read end"#,
        );
        let run = peer.run(&data()).unwrap();
        assert_eq!((run.records, run.counted), (5, 5));
        assert!(run.wall >= Duration::from_millis(190), "{run:?}");
    }

    #[test]
    fn figures_of_a_wrong_ledger_are_refused() {
        let (peer, _folder) = peer(
            r#"echo '{"event":"first"}'; echo '{"event":"done","records":5}'
               read word; echo '{"event":"check","records":5,"minorUnits":701}'; read end"#,
        );
        assert!(matches!(peer.run(&data()), Err(BenchError::Wrong { .. })));
    }

    #[test]
    fn a_peer_that_dies_is_told_with_its_last_words() {
        let (peer, _folder) = peer("echo 'no broker' >&2; exit 1");
        let error = peer.run(&data()).unwrap_err().to_string();
        assert!(error.contains("no broker"), "{error}");
    }
}
