//! Processes: waiting for them without keeping a worker from its green threads.
//!
//! They run as [`blocking`](crate::blocking()) calls, one thread for each process that is waited for.

use crate::blocking::off_worker;
use std::{
    io,
    process::{Child, Command, ExitStatus, Output},
};

/// Runs a command to its end and collects what it writes. [`Command::output`].
///
/// # Errors
///
/// If it cannot be started.
///
/// # Cancellation
///
/// Once begun it runs on, whether or not somebody waits.
///
/// # Examples
///
/// ```
/// use std::process::Command;
///
/// let mut echo = Command::new("echo");
/// echo.arg("hello");
/// assert_eq!(greenlight::process::output(echo)?.stdout, b"hello\n");
/// # Ok::<(), std::io::Error>(())
/// ```
#[track_caller]
pub fn output(mut command: Command) -> io::Result<Output> {
    off_worker(move || command.output())
}

/// Runs a command to its end, with our standard input and output. [`Command::status`].
///
/// # Errors
///
/// If it cannot be started.
#[track_caller]
pub fn status(mut command: Command) -> io::Result<ExitStatus> {
    off_worker(move || command.status())
}

/// Waits for a process that runs. [`Child::wait`]. Its standard input is closed first.
///
/// # Errors
///
/// The system's.
#[track_caller]
pub fn wait(mut child: Child) -> io::Result<ExitStatus> {
    off_worker(move || child.wait())
}
