//! How often each word occurs in a number of files: stages that a context stops, and that then still finish what they have begun.
//!
//! ```text
//!   FILE...─▶┌──────┐ texts ┌───────────┐ words ┌───────┐  counts
//!            │ read │──┬───▶│ tokenize  │──┬───▶│ count │──┐   ┌───────┐
//!            └──────┘  │    └───────────┘  │    └───────┘  ├──▶│ merge │─▶ sorted table
//!                      └───▶│ tokenize  │──┼───▶│ count │──┘   └───────┘
//!                           └───────────┘
//!   Ctrl-C, or the last word of --limit, ends the context: `read` stops, and what it has sent on is still counted
//! ```
//!
//! ```text
//! cargo run --release --example pipeline -p greenlight -- [OPTIONS] FILE...
//! ```
//!
//! Each box is a green thread, each arrow a bounded channel. Only the source looks at the context. When it returns, its channel closes,
//! and the end runs down the pipeline: every stage sees its input end, and closes its output. So whatever was read is counted, and the
//! figures that are printed after a Ctrl-C agree with each other.
//!
//! Reading may block (a pipe, a terminal, a slow disk): it is done off the workers, and the green thread waits for it or for the end of
//! the context, whichever comes first. A word is a run of letters and digits, in lower case. Each counter has the words of its own
//! share of the alphabet's hashes, so their tables have nothing in common and merging is appending.
//!
//! | exit code | means                                                        |
//! |-----------|--------------------------------------------------------------|
//! | 0         | all was counted, or as much as --limit allows                |
//! | 1         | something was unreadable (a line on stderr)                  |
//! | 2         | the arguments make no sense                                  |
//! | 130       | Ctrl-C: what was counted is printed; a second kills at once  |
//! | 141       | nobody reads stdout any more                                 |

mod common {
    pub mod program;
    pub mod progress;
}

use common::program::{complain, start};
use common::progress;
use greenlight::channel::{Receiver, Sender, bounded};
use greenlight::context::{Cancel, Context};
use greenlight::group::Group;
use greenlight::signal::Signal;
use greenlight::{Runtime, blocking, fs::open, go, select};
use indicatif::ProgressBar;
use lexopt::{Arg, ValueExt};
use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufWriter, ErrorKind, Read as _, Write};
use std::mem;
use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};
use std::thread::available_parallelism;

const USAGE: &str = "\
usage: pipeline [OPTIONS] FILE...

Prints how often each word occurs in all of the files, the most frequent first. FILE - is the standard input.

  --top N       print the N most frequent words only
  --limit N     stop when N words have been counted
  --workers N   work on N OS threads (default: one per available CPU)
  --help        print this
";

/// On the heap: a green thread's stack is 256 KiB.
const CHUNK: usize = 64 * 1024;
/// A text without any white space is cut here, in the middle of a word if need be.
const LONGEST: usize = 1024 * 1024;
/// Texts, or lists of words, between two stages.
const QUEUE: usize = 16;

const FAILED: u8 = 1;
/// As if SIGINT had ended us.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    start(USAGE, Options::parse, run, FAILED)
}

struct Options {
    files: Vec<PathBuf>,
    top: usize,
    limit: u64,
    workers: Option<usize>,
}

impl Options {
    fn parse(mut args: lexopt::Parser) -> Result<Option<Self>, lexopt::Error> {
        let mut options = Self { files: Vec::new(), top: usize::MAX, limit: u64::MAX, workers: None };
        while let Some(arg) = args.next()? {
            match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Long("top") => options.top = args.value()?.parse()?,
                Arg::Long("limit") => options.limit = args.value()?.parse()?,
                Arg::Long("workers") => {
                    let number: usize = args.value()?.parse()?;
                    if !(1..=1024).contains(&number) {
                        return Err("--workers wants a number from 1 to 1024".into());
                    }
                    options.workers = Some(number);
                }
                Arg::Value(file) => options.files.push(file.into()),
                other => return Err(other.unexpected()),
            }
        }
        if options.files.is_empty() {
            return Err("a FILE is missing".into());
        }
        Ok(Some(options))
    }
}

/// The whole job but for the arguments. Returns the exit code.
fn run(options: Options) -> io::Result<u8> {
    match options.workers {
        Some(workers) => Runtime::builder().workers(workers).build()?.run(|| report(options)),
        None => greenlight::run(|| report(options)),
    }
}

fn report(options: Options) -> io::Result<u8> {
    let (interrupt, _) = Context::background().with_signals(&[Signal::INTERRUPT])?;
    let (files, top) = (options.files.len(), options.top);
    let width = options.workers.unwrap_or_else(|| available_parallelism().map_or(1, usize::from));
    let outcome = count_words(&interrupt, options.files, options.limit, width);

    let Outcome { table, read, failures, cut_short } = outcome;
    let mut stdout = BufWriter::new(io::stdout().lock());
    for (word, count) in table.iter().take(top) {
        writeln!(stdout, "{count:>8} {word}")?;
    }
    stdout.flush()?;
    let words: u64 = table.iter().map(|(_, count)| count).sum();
    let why = cut_short.map_or(String::new(), |why| format!("{why}: "));
    let _ = writeln!(io::stderr(), "{why}{words} words, {} different, {read} of {files} files read", table.len());
    Ok(match (interrupt.is_done(), failures) {
        (true, _) => INTERRUPTED,
        (false, 0) => 0,
        (false, _) => FAILED,
    })
}

struct Outcome {
    /// The most frequent word first; equally frequent ones by the alphabet.
    table: Vec<(String, u64)>,
    /// So many files to their end.
    read: usize,
    failures: usize,
    cut_short: Option<String>,
}

/// Sets up the pipeline and is itself the merger at its end. `width` green threads do each of the two stages in the middle.
fn count_words(interrupt: &Context, files: Vec<PathBuf>, limit: u64, width: usize) -> Outcome {
    let bar = progress::bar("files");
    let (ctx, cancel) = interrupt.with_cancel();
    // The panic of one of them ends the group's context, and comes out of its `wait`.
    let stages = Group::collect_all(&ctx);
    let (texts_in, texts) = bounded(QUEUE);
    let (tables_in, tables) = bounded(width);

    let (reader_ctx, reader_bar) = (stages.context().clone(), bar.clone());
    let reader = go(move || read_all(&reader_ctx, files, &texts_in, &reader_bar));

    let shares: Vec<_> = (0..width).map(|_| bounded(QUEUE)).collect();
    let budget = Arc::new(Budget { left: AtomicU64::new(limit), spent: cancel });
    let hasher = RandomState::new();
    for _ in 0..width {
        let (texts, budget, hasher) = (texts.clone(), budget.clone(), hasher.clone());
        let shares: Vec<_> = shares.iter().map(|(share, _)| share.clone()).collect();
        stages.go(move || tokenize(&texts, &shares, &hasher, &budget));
    }
    for (_, words) in shares {
        let tables = tables_in.clone();
        // It fails only if we are gone, and then nobody wants to know.
        stages.go(move || drop(tables.send(count(&words))));
    }
    // Ours would keep the channels open.
    drop((texts, tables_in));

    let mut table: Vec<_> = tables.iter().flatten().collect();
    bar.finish_and_clear();
    stages.wait();
    let Read { read, failures } = reader.join().unwrap_or_else(|error| error.resume());
    table.sort_unstable_by(|(a, many), (b, few)| few.cmp(many).then_with(|| a.cmp(b)));
    Outcome { table, read, failures, cut_short: ctx.cause().map(|cause| cause.to_string()) }
}

/// How far the reader has come.
struct Read {
    read: usize,
    failures: usize,
}

/// Sends the texts of one file after the other, until the context ends.
fn read_all(ctx: &Context, files: Vec<PathBuf>, texts: &Sender<Vec<u8>>, bar: &ProgressBar) -> Read {
    let mut progress = Read { read: 0, failures: 0 };
    bar.set_length(files.len() as u64);
    for path in files {
        match read_file(ctx, &path, texts) {
            Ok(ControlFlow::Continue(())) => progress.read += 1,
            Ok(ControlFlow::Break(())) => break,
            Err(error) => {
                progress.failures += 1;
                bar.suspend(|| complain(format_args!("{}: {error}", path.display())));
            }
        }
        bar.inc(1);
    }
    progress
}

/// Sends the texts of one file, each of which ends with a whole word. Breaks off if the context ends before the file does.
fn read_file(ctx: &Context, path: &Path, texts: &Sender<Vec<u8>>) -> io::Result<ControlFlow<()>> {
    let mut file = if path == Path::new("-") { Source::Stdin } else { Source::File(open(path)?) };
    let mut text = Vec::new();
    loop {
        let reading = blocking(move || {
            let read = file.read_more(&mut text);
            (read, file, text)
        });
        let read;
        (read, file, text) = select! {
            // A panic over there is a panic here.
            wait(reading) -> done => done.unwrap_or_else(|panic| resume_unwind(panic)),
            wait(ctx.done()) -> _ => return Ok(ControlFlow::Break(())),
        };
        let at_its_end = !matches!(read, Ok(1..));
        let end = match text.iter().rposition(u8::is_ascii_whitespace) {
            _ if at_its_end => text.len(),
            Some(last) => last + 1,
            None if text.len() < LONGEST => continue,
            None => text.len(),
        };
        let rest = text.split_off(end);
        select! {
            send(texts, mem::replace(&mut text, rest)) -> sent => if sent.is_err() { return Ok(ControlFlow::Break(())) },
            wait(ctx.done()) -> _ => return Ok(ControlFlow::Break(())),
        }
        if at_its_end {
            return read.map(|_| ControlFlow::Continue(()));
        }
    }
}

enum Source {
    Stdin,
    File(File),
}

impl Source {
    /// Appends what is there: it waits for the first byte, and not for more.
    fn read_more(&mut self, text: &mut Vec<u8>) -> io::Result<usize> {
        let filled = text.len();
        text.resize(filled + CHUNK, 0);
        let read = loop {
            let read = match self {
                Self::Stdin => io::stdin().read(&mut text[filled..]),
                Self::File(file) => file.read(&mut text[filled..]),
            };
            if !read.as_ref().is_err_and(|error| error.kind() == ErrorKind::Interrupted) {
                break read;
            }
        };
        text.truncate(filled + read.as_ref().map_or(0, |read| *read));
        read
    }
}

/// How many words may still be counted.
struct Budget {
    left: AtomicU64,
    spent: Cancel,
}

impl Budget {
    /// How many of so many words are to be counted. Who takes the last ones stops the reader.
    fn take(&self, words: usize) -> usize {
        let words = words as u64;
        let left = self.left.fetch_update(Relaxed, Relaxed, |left| Some(left.saturating_sub(words)));
        let left = left.expect("always changed");
        if left <= words {
            self.spent.cancel_with("limit reached");
        }
        left.min(words) as usize
    }
}

/// Makes lists of words of texts, one for each counter.
fn tokenize(texts: &Receiver<Vec<u8>>, shares: &[Sender<Vec<String>>], hasher: &RandomState, budget: &Budget) {
    for text in texts {
        let text = String::from_utf8_lossy(&text);
        let words = text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
        let mut words: Vec<_> = words.map(str::to_lowercase).collect();
        words.truncate(budget.take(words.len()));

        let mut lists = vec![Vec::new(); shares.len()];
        for word in words {
            lists[hasher.hash_one(&word) as usize % shares.len()].push(word);
        }
        if shares.iter().zip(lists).any(|(share, list)| share.send(list).is_err()) {
            return;
        }
    }
}

fn count(lists: &Receiver<Vec<String>>) -> HashMap<String, u64> {
    let mut counts = HashMap::new();
    for word in lists.iter().flatten() {
        *counts.entry(word).or_default() += 1;
    }
    counts
}
