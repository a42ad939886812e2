//! A measured process: what it has used so far, as the kernel counts it. It is killed when dropped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::BenchError;

/// The kernel's unit of CPU time in /proc, the same on every Linux that Rust runs on.
const TICK: Duration = Duration::from_millis(10);
/// Lines of a log that an error shows.
const TAIL: usize = 15;

/// A child with a log of its own.
pub(crate) struct Process {
    child: Child,
    pub(crate) name: String,
    log: PathBuf,
    pub(crate) started: Instant,
}

impl Process {
    /// Starts it with its output in `<folder>/<name>.log`.
    pub(crate) fn start(name: &str, command: &mut Command, folder: &Path) -> Result<Self, BenchError> {
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        Self::spawn(name, command, log)
    }

    /// The same, but its standard input and output are pipes.
    pub(crate) fn start_piped(name: &str, command: &mut Command, folder: &Path) -> Result<Self, BenchError> {
        let log = folder.join(format!("{name}.log"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        Self::spawn(name, command, log)
    }

    fn spawn(name: &str, command: &mut Command, log: PathBuf) -> Result<Self, BenchError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let started = Instant::now();
        let child = command.spawn().map_err(|source| BenchError::Start { program, source })?;
        Ok(Self { child, name: name.to_owned(), log, started })
    }

    /// Its pipes, once.
    pub(crate) fn pipes(&mut self) -> Option<(ChildStdin, ChildStdout)> {
        Some((self.child.stdin.take()?, self.child.stdout.take()?))
    }

    /// Time its threads have spent on a core, user and system.
    pub(crate) fn cpu(&self) -> Result<Duration, BenchError> {
        cpu_of_stat(&self.read("stat")?).ok_or_else(|| self.unreadable("no CPU time in stat"))
    }

    /// The most memory it ever held, in bytes.
    pub(crate) fn peak_memory(&self) -> Result<u64, BenchError> {
        memory_of_status(&self.read("status")?, "VmHWM:").ok_or_else(|| self.unreadable("no VmHWM in status"))
    }

    /// The memory it holds now, in bytes.
    pub(crate) fn memory(&self) -> Result<u64, BenchError> {
        memory_of_status(&self.read("status")?, "VmRSS:").ok_or_else(|| self.unreadable("no VmRSS in status"))
    }

    fn read(&self, file: &str) -> Result<String, BenchError> {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(path).map_err(|error| self.unreadable(&error.to_string()))
    }

    fn unreadable(&self, reason: &str) -> BenchError {
        BenchError::Proc { who: self.name.clone(), reason: reason.to_owned() }
    }

    /// An error when it no longer runs.
    pub(crate) fn must_run(&mut self) -> Result<(), BenchError> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(_) => Err(self.ended()),
        }
    }

    /// That it ended, with the end of its log.
    pub(crate) fn ended(&self) -> BenchError {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
        BenchError::Ended { who: self.name.clone(), log: self.log.clone(), tail }
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(&mut self) -> Result<(), BenchError> {
        self.ask_to_stop()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, without waiting.
    pub(crate) fn ask_to_stop(&self) -> Result<(), BenchError> {
        Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status()?;
        Ok(())
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(&mut self) -> Result<(), BenchError> {
        self.child.wait()?;
        Ok(())
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) -> Result<(), BenchError> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The 14th and 15th field of /proc/PID/stat; the second one is a name in brackets that may hold anything.
fn cpu_of_stat(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let (user, system): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(TICK * (user + system))
}

/// A line of /proc/PID/status, which counts in units of 1024 bytes.
fn memory_of_status(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_user_and_system_whatever_the_process_is_called() {
        let stat = "4242 (a) 1 (b) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0 4 0 99 1000 50";
        assert_eq!(cpu_of_stat(stat), Some(Duration::from_millis(1_750)));
        assert_eq!(cpu_of_stat("4242 (a) S"), None);
    }

    #[test]
    fn memory_is_told_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(memory_of_status(status, "VmHWM:"), Some(2_097_152));
        assert_eq!(memory_of_status(status, "VmSwap:"), None);
    }

    #[test]
    fn a_process_that_works_is_seen_to_use_a_core() {
        let folder = tempfile::tempdir().unwrap();
        let busy = "while :; do :; done";
        let mut process = Process::start("busy", Command::new("sh").args(["-c", busy]), folder.path()).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        assert!(process.cpu().unwrap() >= TICK);
        assert!(process.peak_memory().unwrap() >= process.memory().unwrap());
        process.must_run().unwrap();
        process.kill().unwrap();
        assert!(process.must_run().is_err());
    }
}
