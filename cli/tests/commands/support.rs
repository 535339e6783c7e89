//! Fixtures: a folder to run the binary in, and a server to run it against.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Limit for every wait of a test.
const TIMEOUT: Duration = Duration::from_mins(2);

/// An empty temporary folder in which commands run, with an otherwise empty environment.
pub(crate) struct Folder {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

/// The result of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().expect("a temporary folder"), variables: Vec::new() }
    }

    /// Sets a variable for every command.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn files(&self) -> usize {
        std::fs::read_dir(self.folder.path()).expect("the folder is there").count()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_revenueflow"));
        command.args(arguments).current_dir(self.folder.path()).env_clear().stdin(Stdio::null());
        command.env("USER", "dana");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().expect("the binary runs");
        Ran {
            code: output.status.code(),
            out: output.stdout,
            err: String::from_utf8(output.stderr).expect("messages are text"),
        }
    }

    /// Runs a command that must succeed, and parses its JSON output.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let ran = self.run(&[arguments, &["--format", "json"]].concat());
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.err);
        serde_json::from_slice(&ran.out).expect("JSON was asked for")
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs")
    }

    /// Repeats a command until its output meets a condition.
    pub(crate) fn json_once(&self, arguments: &[&str], is_met: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let answer = self.json(arguments);
            if is_met(&answer) {
                return answer;
            }
            assert!(began.elapsed() < TIMEOUT, "{arguments:?} still says {answer:#}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Ran {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.out.clone()).expect("the data is text")
    }

    /// The error output of a failed command: one error line, at most one hint below it, and no data.
    pub(crate) fn error(&self) -> String {
        assert_eq!((self.code, self.text().as_str()), (Some(1), ""), "{}", self.err);
        let lines: Vec<_> = self.err.lines().collect();
        assert!(lines[0].starts_with("error: "), "{lines:?}");
        assert!(lines.len() == 1 || (lines.len() == 2 && lines[1].starts_with("hint: ")), "{lines:?}");
        self.err.clone()
    }
}

/// A server that runs until it is dropped or killed.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
}

impl Server {
    /// Starts a server on any free port.
    pub(crate) fn start(folder: &Folder) -> Self {
        Self::start_on(folder, "0")
    }

    pub(crate) fn start_on(folder: &Folder, port: &str) -> Self {
        let mut child = folder
            .command(&["serve", "--port", port])
            .env("LOG_FORMAT", "json")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let mut earlier = Vec::new();
        let address = loop {
            let Some(line) = lines.next() else {
                panic!("the server ended before it was ready: {earlier:?}")
            };
            let line = line.expect("log lines are text");
            let entry: Value = serde_json::from_str(&line).unwrap_or_default();
            if entry["message"] == "ready" {
                break entry["address"].as_str().expect("the address is logged").to_owned();
            }
            earlier.push(line);
        };
        // Keep reading: a full pipe would block the server.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Kills the server, as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it still runs");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The URL of an SQLite database file.
pub(crate) fn url_of(file: &Path) -> String {
    format!("sqlite://{}", file.display())
}
