//! Standard input: waiting for the user without keeping a worker from its green threads.
//!
//! # Cancellation
//!
//! A read that has begun goes on, whether or not somebody waits for it; what it reads is lost then. So read in one place, and
//! send what comes through a channel.

use crate::blocking::off_worker;
use std::io;

/// The next line, without its end; none at the end of the input.
///
/// # Errors
///
/// The system's, and if the line is no UTF-8.
///
/// # Examples
///
/// ```no_run
/// while let Some(line) = greenlight::stdin::read_line()? {
///     println!("you said {line}");
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[track_caller]
pub fn read_line() -> io::Result<Option<String>> {
    off_worker(|| io::stdin().lines().next().transpose())
}

/// All that is left of the input. [`std::io::read_to_string`].
///
/// # Errors
///
/// The system's, and if it is no UTF-8.
#[track_caller]
pub fn read_to_string() -> io::Result<String> {
    off_worker(|| io::read_to_string(io::stdin()))
}
