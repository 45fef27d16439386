//! Examples as their users meet them: processes with arguments, files, two output streams and an exit code.

use crate::{example, program};
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any job of the tests takes on a busy machine, shorter than the patience of whoever waits.
pub const LIMIT: Duration = Duration::from_secs(120);

/// A directory that goes when the test ends.
pub struct Tree(PathBuf);

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// An empty one.
    ///
    /// # Panics
    ///
    /// If there is no place for it.
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("greenlight-tree-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let root = std::env::temp_dir().join(name);
        fs::create_dir(&root).expect("a temporary directory");
        Self(root)
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// The path of what has this name, or would have it.
    pub fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.0.join(name.as_ref())
    }

    /// Adds a file, and the directories it is in.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn file(&self, name: impl AsRef<OsStr>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("inside of the tree")).expect("its directories");
        fs::write(&path, content).expect("a file");
        path
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let removed = fs::remove_dir_all(&self.0);
        if !thread::panicking() {
            removed.expect("the tree can be removed");
        }
    }
}

/// An example, about to start in `directory`, its output streams ours.
pub fn command<S: AsRef<OsStr>>(name: &str, directory: &Path, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = program(example(name));
    command.args(args).current_dir(directory).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs an example in `directory` to its end.
///
/// # Panics
///
/// If it does not start, or hangs.
pub fn run<S: AsRef<OsStr>>(name: &str, directory: &Path, args: impl IntoIterator<Item = S>) -> Output {
    finish(command(name, directory, args).spawn().expect("the example starts"))
}

/// Waits for the end, but not for ever.
///
/// # Panics
///
/// If it does not come.
pub fn finish(child: Child) -> Output {
    let pid = child.id();
    let (ended, end) = mpsc::channel();
    thread::spawn(move || ended.send(child.wait_with_output()));
    match end.recv_timeout(LIMIT) {
        Ok(output) => output.expect("the child's output"),
        Err(_) => {
            signal("KILL", pid);
            panic!("process {pid} hangs");
        }
    }
}

/// Sends a signal by its name.
pub fn signal(name: &str, pid: u32) {
    // Fails if the process has just ended, which is as good.
    let _ = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).stderr(Stdio::null()).status();
}

/// Polls until `ready`, while `child` still runs.
///
/// # Panics
///
/// If that does not come.
pub fn wait_until(child: &mut Child, mut ready: impl FnMut(u32) -> bool) {
    let start = Instant::now();
    while !ready(child.id()) {
        let ended = child.try_wait().expect("our own child");
        assert!(ended.is_none() && start.elapsed() < LIMIT, "not in time: {ended:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// One number of a file such as `/proc/PID/io`; 0 while the kernel does not have it.
///
/// # Panics
///
/// If it is no number.
pub fn proc_number(pid: u32, file: &str, key: &str, radix: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(key));
    value.map_or(0, |value| u64::from_str_radix(value.trim(), radix).expect("a number"))
}

/// Whether the process has a handler for Ctrl-C.
pub fn catches_sigint(pid: u32) -> bool {
    const SIGINT: u32 = 2;
    proc_number(pid, "status", "SigCgt:", 16) & (1 << (SIGINT - 1)) != 0
}

/// Checks all that a process leaves behind.
///
/// # Panics
///
/// If something else came out.
#[track_caller]
pub fn assert_output(output: &Output, code: i32, stdout: impl AsRef<[u8]>, stderr: &str) {
    let (printed, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(complaints, stderr, "stdout: {printed}");
    assert_eq!(printed, String::from_utf8_lossy(stdout.as_ref()));
    assert_eq!(output.stdout, stdout.as_ref(), "not even in the bytes that are no UTF-8");
    assert_eq!(output.status.code(), Some(code));
}

/// Checks what an example says about arguments that make no sense, and to `--help`.
///
/// # Panics
///
/// If it says anything else.
#[track_caller]
pub fn assert_usage(name: &str, refused: &[&[&str]]) {
    let tree = Tree::new();
    for args in refused {
        let output = run(name, tree.root(), *args);
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {complaints}");
        assert!(output.stdout.is_empty(), "{args:?}");
        assert!(complaints.starts_with(&format!("{name}: ")), "{args:?}: {complaints}");
        assert!(complaints.contains(&format!("usage: {name}")), "{args:?}: {complaints}");
    }
    let help = run(name, tree.root(), ["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(help.stdout.starts_with(format!("usage: {name}").as_bytes()) && help.stderr.is_empty());
}

/// An example that serves until it is told to stop: killed when the test ends without having told it.
pub struct Server {
    child: Option<Child>,
    first_line: String,
}

impl Server {
    /// Starts it, and waits for the first line that it prints, in which it says where it listens.
    ///
    /// # Panics
    ///
    /// If there is no such line.
    pub fn start<S: AsRef<OsStr>>(name: &str, directory: &Path, args: impl IntoIterator<Item = S>) -> Self {
        Self::spawn(command(name, directory, args))
    }

    /// Starts it by a command of one's own. See [`start`](Self::start).
    ///
    /// # Panics
    ///
    /// If there is no first line.
    pub fn spawn(mut command: Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("the example starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut server = Self { child: Some(child), first_line: String::new() };
        stdout.read_line(&mut server.first_line).expect("a line");
        assert!(server.first_line.ends_with('\n'), "it ended: {:?}", server.first_line);
        // Nothing more is expected; if it comes all the same, it must not block the server.
        thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        server
    }

    /// Where it listens: the last word of its first line.
    ///
    /// # Panics
    ///
    /// If that is something else.
    pub fn address(&self) -> std::net::SocketAddr {
        let word = self.first_line.split_whitespace().next_back().expect("a word");
        word.trim_start_matches("http://")
            .trim_start_matches("ws://")
            .trim_end_matches('/')
            .parse()
            .expect("an address")
    }

    /// Its process.
    ///
    /// # Panics
    ///
    /// Never.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it is there until it is stopped").id()
    }

    /// Presses Ctrl-C.
    pub fn interrupt(&self) {
        signal("INT", self.pid());
    }

    /// Presses Ctrl-C, and waits for the end.
    ///
    /// # Panics
    ///
    /// If that does not come.
    pub fn stop(self) -> Option<i32> {
        self.interrupt();
        self.wait()
    }

    /// Waits for the end. Returns the exit code.
    ///
    /// # Panics
    ///
    /// If it does not come.
    pub fn wait(mut self) -> Option<i32> {
        finish(self.child.take().expect("it is there until it is stopped")).status.code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
