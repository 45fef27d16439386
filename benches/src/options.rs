//! The command line of a bench.

use std::{env, process::exit, time::Duration};

/// What was asked for.
pub struct Options {
    /// How often each cell is measured.
    pub rounds: usize,
    /// What one run of a cell is to take.
    pub run: Duration,
    /// Only the rows whose name contains it.
    pub filter: String,
    /// Those of the bench's own flags that were given.
    flags: Vec<String>,
}

impl Options {
    /// Reads `[--quick] [--cpu] [--rounds N] [filter]` and the flags of this bench; ends the process if there is anything else.
    pub fn read(bench: &str, own: &[&str]) -> Self {
        let mut options = Self { rounds: 5, run: Duration::from_millis(100), filter: String::new(), flags: Vec::new() };
        let usage = || -> ! {
            let own: String = own.iter().map(|flag| format!("[{flag}] ")).collect();
            eprintln!("{bench} [--quick] [--cpu] {own}[--rounds N] [filter]");
            exit(2)
        };
        let (mut arguments, mut rounds) = (env::args().skip(1), None);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => (options.rounds, options.run) = (3, Duration::from_millis(15)),
                "--rounds" => {
                    match arguments.next().and_then(|number| number.parse().ok()).filter(|rounds| *rounds > 0) {
                        Some(number) => rounds = Some(number),
                        None => usage(),
                    }
                }
                "--cpu" => crate::clock::count_cpu_time(),
                "--bench" => {} // what `cargo bench` adds
                flag if own.contains(&flag) => options.flags.push(argument),
                flag if flag.starts_with('-') => usage(),
                filter => options.filter = filter.into(),
            }
        }
        options.rounds = rounds.unwrap_or(options.rounds);
        options
    }

    /// Whether this flag of the bench's own was given.
    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|given| given == flag)
    }
}
