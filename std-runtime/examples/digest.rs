//! SHA-256 of every file under a directory, in lines that `sha256sum -c` accepts.
//!
//! ```text
//!            ┌────────┐  paths   ┌────────┐
//!   DIR ────▶│  walk  │─────┬───▶│  hash  │──┐
//!            └────────┘     │    └────────┘  │ results  ┌─────────┐
//!                 │         └───▶│  hash  │──┼─────────▶│ collect │────▶ sorted lines
//!                 │              └────────┘  │          └─────────┘
//!                 └───── unreadable ─────────┘
//!   Ctrl-C ends the context: every stage sees it before its next file or chunk
//! ```
//!
//! ```text
//! cargo run --release --example digest -p greenlight -- [--workers N] [DIR]
//! ```
//!
//! Each box is a green thread, each arrow a channel. Nobody counts files or sends an end mark: a channel closes when the
//! last sender goes. So the walker returns, `paths` closes; the hashers run dry and return, `results` closes; the
//! collector's loop ends. A hasher reads its files through one buffer, so memory grows with the number of files only.
//!
//! The paths are those of `find DIR -type f`: symbolic links are not followed, pipes, sockets and devices not opened.
//!
//! | exit code | means                                                                     |
//! |-----------|---------------------------------------------------------------------------|
//! | 0         | every file is in the list                                                 |
//! | 1         | some file or directory was unreadable (a line on stderr each)             |
//! | 2         | the arguments make no sense                                               |
//! | 130       | Ctrl-C: the lines hashed so far are printed; a second one kills at once   |
//! | 141       | nobody reads stdout any more (`digest | head`), as if SIGPIPE had ended us |

use greenlight::channel::{Receiver, Sender, bounded};
use greenlight::context::Context;
use greenlight::signal::Signal;
use greenlight::{Runtime, go, select};
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256, digest::Output};
use std::ffi::OsString;
use std::fs::{self, File, FileType};
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::available_parallelism;

const USAGE: &str = "\
usage: digest [--workers N] [DIR]

Prints the SHA-256 of every regular file under DIR (default: .), for `sha256sum -c`.

  --workers N   hash on N OS threads (default: one per available CPU)
  --help        print this
";

/// On the heap: a green thread's stack is 256 KiB.
const CHUNK: usize = 128 * 1024;
/// A hasher that waits for its next path leaves its worker to another one.
const HASHERS_PER_WORKER: usize = 4;
/// Paths, or results, under way. When it is full the walker sleeps, so it is never far ahead of the hashers.
const QUEUE: usize = 256;

const FAILED: u8 = 1;
const USAGE_ERROR: u8 = 2;
const INTERRUPTED: u8 = 130;
const STDOUT_CLOSED: u8 = 141;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args_os().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            let written = io::stdout().write_all(USAGE.as_bytes());
            return ExitCode::from(written.map_or_else(|error| print_failed(&error), |()| 0));
        }
        Err(mistake) => {
            complain(format_args!("{mistake}\n{}", USAGE.trim_end()));
            return ExitCode::from(USAGE_ERROR);
        }
    };
    ExitCode::from(run(options).unwrap_or_else(|error| {
        complain(format_args!("cannot start: {error}"));
        FAILED
    }))
}

struct Options {
    root: PathBuf,
    workers: Option<usize>,
}

impl Options {
    /// `None`: `--help` was asked for.
    fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Option<Self>, String> {
        let (mut root, mut workers) = (None, None);
        let mut options_end = false;
        while let Some(arg) = args.next() {
            match arg.to_str() {
                Some("--") if !options_end => options_end = true,
                Some("--help" | "-h") if !options_end => return Ok(None),
                Some("--workers") if !options_end => workers = Some(parse_workers(args.next())?),
                Some(text) if !options_end && text.starts_with("--workers=") => {
                    workers = Some(parse_workers(text.split_once('=').map(|(_, number)| number.into()))?);
                }
                _ if !options_end && arg.len() > 1 && arg.as_bytes()[0] == b'-' => {
                    return Err(format!("unknown option {}", arg.display()));
                }
                _ if root.is_some() => return Err(format!("one DIR only, not also {}", arg.display())),
                _ => root = Some(PathBuf::from(arg)),
            }
        }
        Ok(Some(Self { root: root.unwrap_or_else(|| ".".into()), workers }))
    }
}

fn parse_workers(number: Option<OsString>) -> Result<usize, String> {
    let number = number.and_then(|number| number.to_str()?.parse().ok());
    number.filter(|number| (1..=1024).contains(number)).ok_or_else(|| "--workers wants a number from 1 to 1024".into())
}

/// The whole job but for the arguments. Returns the exit code.
fn run(options: Options) -> io::Result<u8> {
    match options.workers {
        Some(workers) => Runtime::builder().workers(workers).build()?.run(|| report(options)),
        None => greenlight::run(|| report(options)),
    }
}

/// Listens to Ctrl-C until all is printed.
fn report(options: Options) -> io::Result<u8> {
    let (ctx, _) = Context::background().with_signals(&[Signal::INTERRUPT])?;
    let workers = options.workers.unwrap_or_else(|| available_parallelism().map_or(1, usize::from));
    let outcome = digest(options.root, workers * HASHERS_PER_WORKER, &ctx);

    if let Err(error) = print(&outcome.lines) {
        return Ok(print_failed(&error));
    }
    if outcome.interrupted {
        let _ = writeln!(io::stderr(), "interrupted: {} of {} files hashed", outcome.lines.len(), outcome.found);
        return Ok(INTERRUPTED);
    }
    Ok(if outcome.failures == 0 { 0 } else { FAILED })
}

/// One line of the list.
struct Line {
    path: PathBuf,
    hash: Output<Sha256>,
}

/// What has no line in the list, and why.
struct Failure {
    path: PathBuf,
    error: io::Error,
}

type Report = Result<Line, Failure>;

struct Outcome {
    /// Sorted by the bytes of the path.
    lines: Vec<Line>,
    found: usize,
    failures: usize,
    interrupted: bool,
}

/// Sets up the pipeline and is itself the collector at its end.
fn digest(root: PathBuf, hashers: usize, ctx: &Context) -> Outcome {
    let bar = progress_bar();
    let (paths_in, paths) = bounded(QUEUE);
    let (results_in, results) = bounded(QUEUE);

    let walker = {
        let (results, ctx, bar) = (results_in.clone(), ctx.clone(), bar.clone());
        go(move || walk(root, &paths_in, &results, &ctx, &bar))
    };
    let hashers: Vec<_> = (0..hashers)
        .map(|_| {
            let (paths, results, ctx) = (paths.clone(), results_in.clone(), ctx.clone());
            go(move || hash_all(&paths, &results, &ctx))
        })
        .collect();
    // Ours would keep the channels open: `results` for the loop below, `paths` for a walker whose hashers are gone.
    drop((results_in, paths));

    let mut lines = Vec::new();
    let mut failures = 0;
    for report in &results {
        bar.inc(1);
        match report {
            Ok(line) => lines.push(line),
            Err(Failure { path, error }) => {
                failures += 1;
                bar.suspend(|| complain_of(&path, &error));
            }
        }
    }
    bar.finish_and_clear();

    // All have returned, or `results` would still be open. A panic in one of them is a panic here.
    for hasher in hashers {
        hasher.join().unwrap_or_else(|error| error.resume());
    }
    let found = walker.join().unwrap_or_else(|error| error.resume());
    lines.sort_unstable_by(|a: &Line, b| bytes(&a.path).cmp(bytes(&b.path)));
    Outcome { lines, found, failures, interrupted: ctx.is_done() }
}

/// Sends the path of every regular file under `root`, and returns how many there were. A tree may be deeper than a
/// stack: the directories still to be read wait in a list, not in calls.
fn walk(root: PathBuf, paths: &Sender<PathBuf>, results: &Sender<Report>, ctx: &Context, bar: &ProgressBar) -> usize {
    let mut found = 0;
    let mut pending = Vec::new();
    let fail = |path, error| {
        bar.inc_length(1);
        // Fails only if the collector is gone, and then nobody wants to know.
        let _ = results.send(Err(Failure { path, error }));
    };

    match root.symlink_metadata().map(|metadata| metadata.file_type()) {
        Ok(kind) if kind.is_file() || kind.is_dir() => pending.push((root, kind)),
        Ok(kind) if kind.is_symlink() => fail(root, io::Error::other("a symbolic link: append / to follow it")),
        Ok(_) => fail(root, io::Error::other("neither a directory nor a regular file")),
        Err(error) => fail(root, error),
    }
    while let Some((path, kind)) = pending.pop() {
        if kind.is_dir() {
            if ctx.is_done() {
                break;
            }
            list(&path, &mut pending, fail);
        } else {
            found += 1;
            bar.inc_length(1);
            select! {
                send(paths, path) -> sent => if sent.is_err() { break },
                wait(ctx.done()) -> _ => break,
            }
        }
    }
    found
}

/// Adds the files and directories in `directory` to `pending`.
fn list(directory: &Path, pending: &mut Vec<(PathBuf, FileType)>, fail: impl Fn(PathBuf, io::Error)) {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => return fail(directory.into(), error),
    };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return fail(directory.into(), error),
        };
        match entry.file_type() {
            Ok(kind) if kind.is_file() || kind.is_dir() => pending.push((entry.path(), kind)),
            Ok(_) => {}
            Err(error) => fail(entry.path(), error),
        }
    }
}

/// Hashes file after file, until there are no more paths or the context has ended.
fn hash_all(paths: &Receiver<PathBuf>, results: &Sender<Report>, ctx: &Context) {
    let mut chunk = vec![0; CHUNK];
    for path in paths {
        let report = match hash(&path, &mut chunk, ctx) {
            Ok(Some(hash)) => Ok(Line { path, hash }),
            Ok(None) => return,
            Err(error) => Err(Failure { path, error }),
        };
        if results.send(report).is_err() {
            return;
        }
    }
}

/// The hash of one file, or `None` if the context has ended before that.
fn hash(path: &Path, chunk: &mut [u8], ctx: &Context) -> io::Result<Option<Output<Sha256>>> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    while !ctx.is_done() {
        match file.read(chunk) {
            Ok(0) => return Ok(Some(hasher.finalize())),
            Ok(length) => hasher.update(&chunk[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn progress_bar() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos} of {len} files").expect("a valid template");
    ProgressBar::new(0).with_style(style)
}

fn print(lines: &[Line]) -> io::Result<()> {
    let mut stdout = BufWriter::new(io::stdout().lock());
    for Line { path, hash } in lines {
        let name = escaped(path);
        let mark = if name == bytes(path) { "" } else { "\\" };
        write!(stdout, "{mark}{hash:x}  ")?;
        stdout.write_all(&name)?;
        stdout.write_all(b"\n")?;
    }
    stdout.flush()
}

/// The exit code, after an error line unless it was only that nobody reads on.
fn print_failed(error: &io::Error) -> u8 {
    if error.kind() == ErrorKind::BrokenPipe {
        return STDOUT_CLOSED;
    }
    complain(format_args!("stdout: {error}"));
    FAILED
}

/// One line, whatever the name: a newline becomes `\n`, a carriage return `\r`, a backslash `\\`. As GNU sha256sum.
fn escaped(path: &Path) -> Vec<u8> {
    let mut name = Vec::with_capacity(path.as_os_str().len());
    for &byte in bytes(path) {
        match byte {
            b'\\' => name.extend(br"\\"),
            b'\n' => name.extend(br"\n"),
            b'\r' => name.extend(br"\r"),
            _ => name.push(byte),
        }
    }
    name
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

/// An error line. Not `eprintln!`, which panics when stderr is closed.
fn complain(what: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "digest: {what}");
}

fn complain_of(path: &Path, error: &io::Error) {
    let line = [b"digest: ", &escaped(path)[..], b": ", error.to_string().as_bytes(), b"\n"].concat();
    let _ = io::stderr().write_all(&line);
}
