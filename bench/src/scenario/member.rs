//! A member of a group under traffic: one of our workers or a Streams application, and somebody who follows it.

use std::process::ChildStdin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::watch::{Place, Step, Watch};
use crate::bench::Bench;
use crate::error::BenchError;
use crate::http::Http;
use crate::java::Until;
use crate::peer::Peer;
use crate::process::Process;
use crate::subject::{Form, Ours, Subject, Tuning};
use crate::worker::{Metrics, Task};

/// How often a worker is asked which records it processed last.
const EVERY: Duration = Duration::from_millis(5);

/// Killed when dropped.
pub(super) struct Member {
    pub(super) place: Place,
    pub(super) process: Process,
    /// Whose end stops a peer; ours are stopped by SIGTERM.
    input: Option<ChildStdin>,
    ended: Arc<AtomicBool>,
}

impl Member {
    /// Starts one more member of the group.
    pub(super) fn start(
        bench: &Bench,
        subject: Subject,
        (topic, group): (&str, &str),
        place: Place,
        watch: &Watch,
    ) -> Result<Self, BenchError> {
        match subject {
            Subject::Worker(ours) => Self::worker(bench, ours, (topic, group), place, watch),
            Subject::Streams(form, tuning) => Self::streams(bench, (form, tuning), (topic, group), place, watch),
            Subject::Bare | Subject::BareBatch | Subject::JavaConsumer => Err(BenchError::NoPart(subject)),
        }
    }

    fn worker(
        bench: &Bench,
        ours: Ours,
        (topic, group): (&str, &str),
        place: Place,
        watch: &Watch,
    ) -> Result<Self, BenchError> {
        let name = format!("{group}-{place}");
        let worker = bench.launch.start(&Task { name, topic: topic.to_owned(), group: group.to_owned(), ours })?;
        let ended = Arc::new(AtomicBool::new(false));
        let (watch, over, http) = (watch.clone(), Arc::clone(&ended), Http::new(worker.port)?);
        thread::Builder::new().name("follow".into()).spawn(move || {
            while !over.load(Ordering::Relaxed) {
                // One that does not answer yet, or no longer, is asked again.
                if let Ok(metrics) = http.json::<Metrics>("/api/Balance/metrics") {
                    let at = Instant::now();
                    for (partition, offset) in metrics.partition_offsets {
                        watch.note(Step { at, member: place, partition, offset });
                    }
                }
                thread::sleep(EVERY);
            }
        })?;
        Ok(Self { place, process: worker.process, input: None, ended })
    }

    fn streams(
        bench: &Bench,
        kind: (Form, Tuning),
        (topic, group): (&str, &str),
        place: Place,
        watch: &Watch,
    ) -> Result<Self, BenchError> {
        let name = format!("{group}-{place}");
        let state = bench.scratch.path().join(&name);
        let mut command = bench.java.streams(kind, topic, group, &state, Until::Stopped);
        let (process, input, steps) = Peer::start(&name, &mut command, &bench.logs)?.apart();
        let watch = watch.clone();
        thread::Builder::new().name("follow".into()).spawn(move || {
            for (at, partition, offset) in steps {
                watch.note(Step { at, member: place, partition, offset });
            }
        })?;
        Ok(Self { place, process, input, ended: Arc::new(AtomicBool::new(false)) })
    }

    /// Asks it to leave the group and end.
    pub(super) fn leave(&mut self) -> Result<(), BenchError> {
        match self.input.take() {
            Some(input) => {
                drop(input);
                Ok(())
            }
            None => self.process.ask_to_stop(),
        }
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self) -> Result<(), BenchError> {
        self.process.kill()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}
