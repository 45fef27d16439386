//! Lines that match a regular expression, in all files under a directory, on all cores: in the order of the paths, as one after the
//! other would print them.
//!
//! ```text
//!             ┌──────────────────── answers, in order ────────────────────┐
//!             │                                                           ▼
//!         ┌──────┐  jobs   ┌────────┐                                 ┌───────┐
//!  PATH ─▶│ walk │────┬───▶│ search │──▶ the channel that came along ─▶│ print │─▶ stdout
//!         └──────┘    │    └────────┘                                 └───────┘
//!                     └───▶│ search │──▶                                 ▲
//! ```
//!
//! ```text
//! cargo run --release --example grep -p greenlight -- [OPTIONS] PATTERN [PATH...]
//! ```
//!
//! Each box is a green thread, each arrow a channel. A job is a path and the sender of a channel for its answer; the receiver goes
//! straight to the printer, in a channel of channels. So the printer reads one answer after the other in the order of the walk, while
//! the searchers work on many; and since that channel is bounded, as is each answer, nobody runs far ahead of him, however long
//! one file takes. With `--unordered`, all jobs come with a sender of one and the same channel. Nothing else changes.
//!
//! The paths are those of `find PATH -type f`, sorted in each directory: symbolic links are not followed, pipes and devices not
//! opened. A file whose beginning has a zero byte is binary; that it matches is all that is said of it.
//!
//! | exit code | means                                                    |
//! |-----------|----------------------------------------------------------|
//! | 0         | something matches                                        |
//! | 1         | nothing does                                             |
//! | 2         | the arguments make no sense, or something was unreadable |
//! | 141       | nobody reads stdout any more (`grep … | head`)           |

mod common {
    pub mod program;
    pub mod progress;
}

use common::program::{USAGE_ERROR, complain, start};
use common::progress;
use greenlight::channel::{Receiver, Sender, bounded};
use greenlight::{Runtime, go};
use indicatif::ProgressBar;
use lexopt::{Arg, ValueExt};
use regex::bytes::{Regex, RegexBuilder};
use std::fs::{self, File, FileType};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::available_parallelism;

const USAGE: &str = "\
usage: grep [OPTIONS] PATTERN [PATH...]

Prints the lines that match PATTERN, a regular expression, in every regular file under each PATH (default: .).

  -i, --ignore-case     a letter matches both its cases
  -n, --line-number     print the number of each line before it
  -l, --files           print only the paths of the files that match
  -c, --count           print only how many lines of each file match
      --unordered       print what is found first, first
      --sequential      search one file after the other, without green threads
      --workers N       search on N OS threads (default: one per available CPU)
      --help            print this
";

/// On the heap: a green thread's stack is 256 KiB.
const CHUNK: usize = 128 * 1024;
/// Answers are sent in pieces of about this size.
const PIECE: usize = 64 * 1024;
/// A searcher that waits for its next job leaves its worker to another one.
const SEARCHERS_PER_WORKER: usize = 4;
/// Files between the walker and the printer.
const WINDOW: usize = 256;

const FOUND: u8 = 0;
const NOTHING_FOUND: u8 = 1;
const TROUBLE: u8 = USAGE_ERROR;

fn main() -> ExitCode {
    start(USAGE, Options::parse, run, TROUBLE)
}

struct Options {
    search: Search,
    roots: Vec<PathBuf>,
    ordered: bool,
    sequential: bool,
    workers: Option<usize>,
}

/// What is looked for, and what is said of it.
struct Search {
    pattern: Regex,
    say: Say,
    numbers: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Say {
    Lines,
    Paths,
    Counts,
}

impl Options {
    fn parse(mut args: lexopt::Parser) -> Result<Option<Self>, lexopt::Error> {
        let mut pattern = None::<String>;
        let (mut ignore_case, mut numbers, mut say) = (false, false, Say::Lines);
        let (mut roots, mut ordered, mut sequential, mut workers) = (Vec::new(), true, false, None);
        while let Some(arg) = args.next()? {
            match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Short('i') | Arg::Long("ignore-case") => ignore_case = true,
                Arg::Short('n') | Arg::Long("line-number") => numbers = true,
                Arg::Short('l') | Arg::Long("files") => say = Say::Paths,
                Arg::Short('c') | Arg::Long("count") => say = Say::Counts,
                Arg::Long("unordered") => ordered = false,
                Arg::Long("sequential") => sequential = true,
                Arg::Long("workers") => {
                    let number: usize = args.value()?.parse()?;
                    if !(1..=1024).contains(&number) {
                        return Err("--workers wants a number from 1 to 1024".into());
                    }
                    workers = Some(number);
                }
                Arg::Value(text) if pattern.is_none() => pattern = Some(text.string()?),
                Arg::Value(path) => roots.push(path.into()),
                other => return Err(other.unexpected()),
            }
        }
        let pattern = pattern.ok_or("a PATTERN is missing")?;
        let pattern = RegexBuilder::new(&pattern).case_insensitive(ignore_case).build();
        let pattern = pattern.map_err(|error| lexopt::Error::Custom(error.into()))?;
        if roots.is_empty() {
            roots.push(".".into());
        }
        Ok(Some(Self { search: Search { pattern, say, numbers }, roots, ordered, sequential, workers }))
    }
}

/// The whole job but for the arguments. Returns the exit code.
fn run(options: Options) -> io::Result<u8> {
    let Options { search, roots, ordered, sequential, workers } = options;
    if sequential {
        let (mut printer, mut chunk) = (Printer::new(), Vec::new());
        walk(roots, |found| search.answer(found, &mut chunk, |piece| printer.take(piece)));
        return printer.end();
    }
    let searchers = SEARCHERS_PER_WORKER * workers.unwrap_or_else(|| available_parallelism().map_or(1, usize::from));
    let grep = move || grep(search, roots, searchers, ordered);
    match workers {
        Some(workers) => Runtime::builder().workers(workers).build()?.run(grep),
        None => greenlight::run(grep),
    }
}

/// What could not be read, and why.
struct Failure {
    path: PathBuf,
    error: io::Error,
}

/// What the walker came upon: a file to search, or something that it could not look into.
type Found = Result<PathBuf, Failure>;

/// Some of what is to be printed of one file.
type Piece = Result<Lines, Failure>;

struct Lines {
    text: Vec<u8>,
    /// They say that something was found; a count may be zero.
    found: bool,
}

struct Job {
    found: Found,
    answer: Sender<Piece>,
}

/// Sets up the pipeline and is itself the printer at its end.
fn grep(search: Search, roots: Vec<PathBuf>, searchers: usize, ordered: bool) -> io::Result<u8> {
    let mut printer = Printer::new();
    let (jobs_in, jobs) = bounded::<Job>(WINDOW);
    let (answers_in, answers) = bounded::<Receiver<Piece>>(WINDOW);

    let bar = printer.bar.clone();
    let walker = go(move || {
        let everybodys = (!ordered).then(|| {
            let (answer, pieces) = bounded(WINDOW);
            answers_in.send(pieces).map(|()| answer)
        });
        walk(roots, |found| {
            bar.inc_length(1);
            let answer = match &everybodys {
                Some(Ok(answer)) => answer.clone(),
                Some(Err(_)) => return false,
                None => {
                    let (answer, pieces) = bounded(1);
                    if answers_in.send(pieces).is_err() {
                        return false;
                    }
                    answer
                }
            };
            jobs_in.send(Job { found, answer }).is_ok()
        });
    });
    let search = Arc::new(search);
    let searchers: Vec<_> = (0..searchers)
        .map(|_| {
            let (search, jobs, bar) = (search.clone(), jobs.clone(), printer.bar.clone());
            go(move || {
                let mut chunk = Vec::new();
                for Job { found, answer } in &jobs {
                    if !search.answer(found, &mut chunk, |piece| answer.send(piece).is_ok()) {
                        return;
                    }
                    bar.inc(1);
                }
            })
        })
        .collect();
    // Ours would keep it open for a walker whose searchers are gone.
    drop(jobs);

    // If nobody reads on, we return, the process ends, and the others with it.
    if answers.iter().all(|pieces| pieces.iter().all(|piece| printer.take(piece))) {
        // All have returned, or a channel would still be open. A panic in one of them is a panic here.
        for task in searchers.into_iter().chain([walker]) {
            task.join().unwrap_or_else(|error| error.resume());
        }
    }
    printer.end()
}

/// Calls `visit` with every regular file under the roots, in order, for as long as that returns true. A tree may be deeper than a
/// stack: what is still to be visited waits in a list, not in calls.
fn walk(roots: Vec<PathBuf>, mut visit: impl FnMut(Found) -> bool) {
    for root in roots {
        let mut pending = match root.symlink_metadata().map(|metadata| metadata.file_type()) {
            Ok(kind) if kind.is_file() || kind.is_dir() => vec![Ok((root, kind))],
            Ok(kind) if kind.is_symlink() => {
                vec![Err((root, io::Error::other("a symbolic link: append / to follow it")))]
            }
            Ok(_) => vec![Err((root, io::Error::other("neither a directory nor a regular file")))],
            Err(error) => vec![Err((root, error))],
        };
        while let Some(next) = pending.pop() {
            let go_on = match next {
                Ok((path, kind)) if kind.is_file() => visit(Ok(path)),
                Ok((directory, _)) => match list(&directory) {
                    Ok(mut entries) => {
                        pending.append(&mut entries);
                        true
                    }
                    Err(error) => visit(Err(Failure { path: directory, error })),
                },
                Err((path, error)) => visit(Err(Failure { path, error })),
            };
            if !go_on {
                return;
            }
        }
    }
}

type Entry = Result<(PathBuf, FileType), (PathBuf, io::Error)>;

/// The files and directories in `directory`, the last one first.
fn list(directory: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        match entry.file_type() {
            Ok(kind) if kind.is_file() || kind.is_dir() => entries.push(Ok((entry.path(), kind))),
            Ok(_) => {}
            Err(error) => entries.push(Err((entry.path(), error))),
        }
    }
    let path = |entry: &Entry| match entry {
        Ok((path, _)) | Err((path, _)) => path.clone(),
    };
    entries.sort_by_cached_key(|entry| std::cmp::Reverse(path(entry)));
    Ok(entries)
}

impl Search {
    /// Tells what is to be printed of what was found, in pieces, for as long as `tell` returns true: then we do, too.
    fn answer(&self, found: Found, chunk: &mut Vec<u8>, mut tell: impl FnMut(Piece) -> bool) -> bool {
        let path = match found {
            Ok(path) => path,
            Err(failure) => return tell(Err(failure)),
        };
        match File::open(&path).and_then(|file| self.file(&path, file, chunk, |piece| tell(Ok(piece)))) {
            Ok(go_on) => go_on,
            Err(error) => tell(Err(Failure { path, error })),
        }
    }

    /// Searches one file, through a buffer that always ends with a whole line.
    fn file(
        &self,
        path: &Path,
        mut file: File,
        chunk: &mut Vec<u8>,
        mut tell: impl FnMut(Lines) -> bool,
    ) -> io::Result<bool> {
        let path = path.as_os_str().as_bytes();
        let (mut number, mut count, mut binary) = (0, 0, None);
        let mut text = Vec::new();
        chunk.clear();
        'file: loop {
            let read = Read::by_ref(&mut file).take(CHUNK as u64).read_to_end(chunk)?;
            let at_its_end = read < CHUNK;
            let binary = *binary.get_or_insert_with(|| chunk.contains(&0));
            let lines_end = match chunk.iter().rposition(|&byte| byte == b'\n') {
                _ if at_its_end => chunk.len(),
                Some(last) => last + 1,
                None => 0,
            };
            for line in chunk[..lines_end].split_inclusive(|&byte| byte == b'\n') {
                let line = line.strip_suffix(b"\n").unwrap_or(line);
                number += 1;
                if !self.pattern.is_match(line) {
                    continue;
                }
                count += 1;
                match self.say {
                    Say::Counts => continue,
                    Say::Paths => text.extend([path, b"\n"].concat()),
                    Say::Lines if binary => text.extend([b"grep: ", path, b": binary file matches\n"].concat()),
                    Say::Lines => {
                        text.extend([path, b":"].concat());
                        if self.numbers {
                            write!(text, "{number}:")?;
                        }
                        text.extend([line, b"\n"].concat());
                        if text.len() >= PIECE && !tell(Lines { text: std::mem::take(&mut text), found: true }) {
                            return Ok(false);
                        }
                        continue;
                    }
                }
                break 'file;
            }
            if at_its_end {
                break;
            }
            chunk.drain(..lines_end);
        }
        if self.say == Say::Counts {
            text = [path, format!(":{count}\n").as_bytes()].concat();
        }
        Ok(text.is_empty() || tell(Lines { text, found: count > 0 }))
    }
}

/// Who writes to stdout, and keeps in mind how it went.
struct Printer {
    bar: ProgressBar,
    found: bool,
    failed: bool,
    written: io::Result<()>,
}

impl Printer {
    fn new() -> Self {
        Self { bar: progress::bar("files"), found: false, failed: false, written: Ok(()) }
    }

    /// Prints a piece. False if there is no use in another.
    fn take(&mut self, piece: Piece) -> bool {
        self.bar.suspend(|| match piece {
            Ok(Lines { text, found }) => {
                self.found |= found;
                self.written = io::stdout().write_all(&text);
            }
            Err(Failure { path, error }) => {
                self.failed = true;
                complain(format_args!("{}: {error}", path.display()));
            }
        });
        self.written.is_ok()
    }

    /// The exit code.
    fn end(self) -> io::Result<u8> {
        self.bar.finish_and_clear();
        self.written?;
        io::stdout().flush()?;
        Ok(match (self.failed, self.found) {
            (true, _) => TROUBLE,
            (false, true) => FOUND,
            (false, false) => NOTHING_FOUND,
        })
    }
}
