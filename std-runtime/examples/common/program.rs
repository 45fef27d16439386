//! What an example program does around its job: it reads its arguments, answers `--help`, complains, and ends with an exit code.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// The arguments make no sense.
pub const USAGE_ERROR: u8 = 2;
/// Nobody reads stdout any more (`grep … | head`): as if SIGPIPE had ended us.
pub const STDOUT_CLOSED: u8 = 141;

/// Each example is a program of its own, which is called what its file is called.
const NAME: &str = env!("CARGO_CRATE_NAME");

/// Reads the arguments, does the job, and says how that ended. `parse` returns `None` if `--help` was asked for, `run` the exit
/// code; after an error of `run`, that is `failed`.
pub fn start<O>(
    usage: &str,
    parse: impl FnOnce(lexopt::Parser) -> Result<Option<O>, lexopt::Error>,
    run: impl FnOnce(O) -> io::Result<u8>,
    failed: u8,
) -> ExitCode {
    let outcome = match parse(lexopt::Parser::from_env()) {
        Ok(Some(options)) => run(options),
        Ok(None) => io::stdout().write_all(usage.as_bytes()).map(|()| 0),
        Err(mistake) => {
            complain(format_args!("{mistake}\n{}", usage.trim_end()));
            return ExitCode::from(USAGE_ERROR);
        }
    };
    ExitCode::from(outcome.unwrap_or_else(|error| {
        if error.kind() == ErrorKind::BrokenPipe {
            return STDOUT_CLOSED;
        }
        complain(error);
        failed
    }))
}

/// An error line. Not `eprintln!`, which panics when stderr is closed.
pub fn complain(what: impl Display) {
    let _ = writeln!(io::stderr(), "{NAME}: {what}");
}
