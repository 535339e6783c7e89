//! Processes of the measured programs, and their use of the machine.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_LIMIT: Duration = Duration::from_mins(1);
/// Clock ticks a second in `/proc`: `USER_HZ`, which is 100 on every Linux that Rust supports.
const TICKS: f64 = 100.0;

/// A running program. Killed when dropped.
pub(crate) struct Process {
    child: Child,
    pid: u32,
    /// The address that it listens on, if it does.
    pub(crate) address: String,
}

impl Process {
    /// Starts a program with only these variables, its log in a file of the folder, and waits for the log
    /// line `ready`.
    pub(crate) async fn start(
        program: impl AsRef<OsStr>,
        arguments: &[&str],
        variables: &[(String, String)],
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let log = folder.join(format!("{}.log", arguments.join("-").replace('/', "_")));
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log)?)
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().context("the process has ended")?;
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let text = fs::read_to_string(&log)?;
            if let Some(address) = text.lines().find_map(ready_address) {
                return Ok(Self { child, pid, address });
            }
            let is_late = Instant::now() > deadline;
            anyhow::ensure!(!is_late && child.try_wait()?.is_none(), "{arguments:?} did not start:\n{text}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Stops it with SIGTERM and waits for its end.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.pid.to_string();
        anyhow::ensure!(Command::new("kill").args(["-TERM", &pid]).status().await?.success(), "kill {pid}");
        let ended = timeout(STOP_LIMIT, self.child.wait()).await.context("the process does not stop")??;
        anyhow::ensure!(ended.success(), "the process ended with {ended}");
        Ok(())
    }

    /// CPU seconds so far; None without `/proc`.
    pub(crate) fn cpu_seconds(&self) -> Option<f64> {
        cpu_seconds(self.pid)
    }

    /// Bytes written to disk so far; None without `/proc`.
    pub(crate) fn written_bytes(&self) -> Option<f64> {
        let io = fs::read_to_string(format!("/proc/{}/io", self.pid)).ok()?;
        io.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.trim().parse().ok()
    }

    /// Peak resident memory in MB; None without `/proc`.
    pub(crate) fn peak_memory(&self) -> Option<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kilobytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kilobytes / 1024.0)
    }
}

/// CPU seconds of a process and of its ended children; None without `/proc`.
fn cpu_seconds(pid: u32) -> Option<f64> {
    let fields = stat(pid)?;
    // utime, stime, cutime and cstime: fields 14 to 17 of proc_pid_stat(5), of which the first two are cut
    // off.
    let ticks: f64 = fields.get(11..15)?.iter().filter_map(|field| field.parse::<f64>().ok()).sum();
    Some(ticks / TICKS)
}

/// CPU seconds of a server with one process for each connection: of the parent of `child`, and of all its
/// children, running and ended.
pub(crate) fn cpu_seconds_of_family(child: u32) -> Option<f64> {
    let parent: u32 = stat(child)?.get(1)?.parse().ok()?;
    let mut seconds = cpu_seconds(parent)?;
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if stat(pid).is_some_and(|fields| fields.get(1) == Some(&parent.to_string())) {
            seconds += cpu_seconds(pid).unwrap_or_default();
        }
    }
    Some(seconds)
}

/// The fields of `/proc/PID/stat` after the name, from the state on.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

/// CPU seconds of a single process by its id.
pub(crate) fn cpu_seconds_of(pid: u32) -> Option<f64> {
    cpu_seconds(pid)
}

fn ready_address(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    (line["message"] == "ready").then(|| line["address"].as_str().map(str::to_owned))?
}
