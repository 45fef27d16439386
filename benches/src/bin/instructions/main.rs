//! How many instructions the hot paths take, and a guard that says when one takes more.
//!
//! ```text
//! instructions             counts all paths; fails if one has risen by more than 3 % over the baseline
//! instructions --update    counts all paths, and writes the baseline
//! instructions run PATH N  goes down a path N times: what is counted
//!
//!   valgrind: run PATH  2,048 ─▶ a ┐
//!   valgrind: run PATH 51,200 ─▶ b ┴─▶ (b - a) / 49,152 instructions for each (of a short path, 16 times as many)
//! ```
//!
//! The difference of two runs, so that neither the start of the process nor that of the runtime counts, and so that it needs no
//! marks in the code, which would be lost where stacks are switched. Counts do not depend on what else the machine does; they do
//! depend on the compiler, whose version stands in the baseline.
//!
//! Everything runs on one worker: with two, how often they look for each other's work is a matter of luck. What is left of luck
//! (how long the main thread looks for the result before it sleeps) only ever adds instructions, so a count is the least of two
//! or, if that seems to have risen, of four.

mod paths;

use paths::{PATHS, Path};
use std::{
    collections::BTreeMap,
    env, fs,
    path::PathBuf,
    process::{Command, exit},
};

const FEW: u64 = 2_048;
const MANY: u64 = 25 * FEW;
/// By how much a count may rise.
const TOLERANCE: f64 = 0.03;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["run", name, times] => match (find(name), times.parse()) {
            (Some(path), Ok(times)) => (path.run)(times),
            _ => usage(),
        },
        ["--update"] => update(),
        [] => check(),
        _ => usage(),
    }
}

fn usage() -> ! {
    let names: Vec<_> = PATHS.iter().map(|path| path.name).collect();
    eprintln!("instructions [--update] | run PATH N\npaths: {}", names.join(", "));
    exit(2)
}

fn find(name: &str) -> Option<&'static Path> {
    PATHS.iter().find(|path| path.name == name)
}

fn check() {
    let baseline = Baseline::read();
    let comparable = baseline.compiler == compiler();
    let mut risen = Vec::new();
    println!("instructions for each; baseline by {}", baseline.compiler);
    println!("{:<24} {:>9} {:>9}", "path", "baseline", "now");
    for path in PATHS {
        let mut now = count(path);
        let Some(before) = baseline.counts.get(path.name).copied() else {
            println!("{:<24} {:>9} {now:>9.1}", path.name, "none");
            risen.push(format!("{} has no baseline: run with --update", path.name));
            continue;
        };
        if now > before * (1.0 + TOLERANCE) {
            now = now.min(count(path));
        }
        let change = now / before - 1.0;
        println!("{:<24} {before:>9.1} {now:>9.1} {:>+7.1} %", path.name, change * 100.0);
        if change > TOLERANCE {
            risen.push(format!(
                "{} takes {now:.1} instructions, {:.1} % more than {before:.1}",
                path.name,
                change * 100.0
            ));
        }
    }
    if !comparable {
        // A guard that is silently off guards nothing: where changes land it must be renewed. By hand, with a compiler of one's
        // own, it cannot judge.
        let message = format!(
            "The baseline is of {}, but this is {}: the counts cannot be compared. With a state of the code that is known to be \
             good, write a new one (`.ci/instructions --update`) and commit it.",
            baseline.compiler,
            compiler()
        );
        eprintln!("{message}");
        exit(i32::from(env::var_os("CI").is_some()));
    }
    if !risen.is_empty() {
        eprintln!(
            "{}\nIf that is the price of something: .ci/instructions --update, and say of what.",
            risen.join("\n")
        );
        exit(1);
    }
}

fn update() {
    let counts = PATHS.iter().map(|path| {
        let count = count(path);
        println!("{:<24} {count:>9.1}", path.name);
        (path.name.to_owned(), count)
    });
    Baseline { compiler: compiler(), counts: counts.collect() }.write();
}

/// How many instructions it takes to go down a path once.
fn count(path: &Path) -> f64 {
    let least = |times| (0..2).map(|_| total(path.name, times)).min().expect("two runs");
    let [few, many] = [FEW, MANY].map(|times| least(times * path.factor));
    many.saturating_sub(few) as f64 / ((MANY - FEW) * path.factor) as f64
}

/// All instructions of a process that goes down a path so many times.
fn total(name: &str, times: u64) -> u64 {
    let program = env::current_exe().unwrap_or_else(|error| fail(&format!("this program's path: {error}")));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["run", name, &times.to_string()])
        .output()
        .unwrap_or_else(|error| fail(&format!("valgrind: {error}. Debian's package has that name")));
    let log = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        fail(&format!("{name} under valgrind: {}\n{log}", output.status));
    }
    let collected = log.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    collected.unwrap_or_else(|| fail(&format!("valgrind told no count:\n{log}")))
}

fn compiler() -> String {
    match Command::new("rustc").arg("-V").output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => fail("rustc -V says nothing"),
    }
}

fn fail(message: &str) -> ! {
    eprintln!("{message}");
    exit(1)
}

/// `compiler<TAB>…`, then `path<TAB>instructions` in each line.
struct Baseline {
    compiler: String,
    counts: BTreeMap<String, f64>,
}

impl Baseline {
    fn path() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("instructions.tsv")
    }

    fn read() -> Self {
        let path = Self::path();
        let text = fs::read_to_string(&path)
            .unwrap_or_else(|error| fail(&format!("{}: {error}; --update writes it", path.display())));
        let mut fields = text.lines().filter_map(|line| line.split_once('\t'));
        let compiler = match fields.next() {
            Some(("compiler", compiler)) => compiler.to_owned(),
            _ => fail(&format!("{} does not begin with the compiler", path.display())),
        };
        let count = |(name, count): (&str, &str)| match count.parse() {
            Ok(count) => (name.to_owned(), count),
            Err(_) => fail(&format!("{}: no count: {count}", path.display())),
        };
        Self { compiler, counts: fields.map(count).collect() }
    }

    fn write(&self) {
        let lines = self.counts.iter().map(|(name, count)| format!("{name}\t{count:.1}\n"));
        let text = format!("compiler\t{}\n{}", self.compiler, lines.collect::<String>());
        let path = Self::path();
        fs::write(&path, text).unwrap_or_else(|error| fail(&format!("{}: {error}", path.display())));
        println!("written: {}", path.display());
    }
}
