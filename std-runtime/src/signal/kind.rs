//! Which signals there are, and which of them nobody can wait for.

use signal_hook::{consts::signal::*, low_level::signal_name};
use std::{fmt, io};

/// A signal of the system, by its number.
///
/// # Examples
///
/// ```
/// use greenlight::signal::Signal;
///
/// assert_eq!(Signal::INTERRUPT.to_string(), "SIGINT");
/// assert_eq!(Signal::from_raw(15), Signal::TERMINATE);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(i32);

impl Signal {
    /// SIGALRM: a timer of `alarm` or `setitimer` is over.
    pub const ALARM: Self = Self(SIGALRM);
    /// SIGCHLD: a child process has ended or stopped.
    pub const CHILD: Self = Self(SIGCHLD);
    /// SIGCONT: it goes on, after a stop.
    pub const CONTINUE: Self = Self(SIGCONT);
    /// SIGHUP: the terminal is gone; to a daemon: read your configuration anew.
    pub const HANGUP: Self = Self(SIGHUP);
    /// SIGINT: Ctrl-C.
    pub const INTERRUPT: Self = Self(SIGINT);
    /// SIGIO: something has happened at a descriptor with `O_ASYNC`.
    pub const IO: Self = Self(SIGIO);
    /// SIGPIPE: a write to a pipe that nobody reads. Rust programs ignore it from the start, and the write fails.
    pub const PIPE: Self = Self(SIGPIPE);
    /// SIGQUIT: Ctrl-\\.
    pub const QUIT: Self = Self(SIGQUIT);
    /// SIGTSTP: Ctrl-Z.
    pub const STOP_AT_TERMINAL: Self = Self(SIGTSTP);
    /// SIGTERM: somebody asks the process to end, as `kill` and service managers do.
    pub const TERMINATE: Self = Self(SIGTERM);
    /// SIGUSR1: whatever the program says.
    pub const USER_1: Self = Self(SIGUSR1);
    /// SIGUSR2: whatever the program says.
    pub const USER_2: Self = Self(SIGUSR2);
    /// SIGWINCH: the terminal has another size.
    pub const WINDOW_CHANGE: Self = Self(SIGWINCH);

    /// The signal of that number. Whether there is one, and whether one can listen to it, shows when somebody does.
    pub const fn from_raw(number: i32) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn as_raw(self) -> i32 {
        self.0
    }

    /// # Errors
    ///
    /// With what to do instead, if nobody can listen to it.
    pub(super) fn check(self) -> io::Result<()> {
        let advice = match self.0 {
            SIGKILL => "the system lets no program catch it; listen to SIGTERM, by which a program is asked to end",
            SIGSTOP => "the system lets no program catch it; listen to SIGTSTP, which Ctrl-Z sends",
            SIGSEGV | SIGBUS | SIGILL | SIGFPE | SIGTRAP | SIGSYS | SIGABRT => {
                "it says that the thread that runs cannot go on, so another task cannot deal with it; \
                 for a last word, install a handler, which is unsafe, by `signal_hook::low_level`"
            }
            1..=64 => return Ok(()),
            _ => "there is no such signal",
        };
        Err(io::Error::new(io::ErrorKind::InvalidInput, format!("cannot listen to {self}: {advice}")))
    }

    /// Its place in a set of signals. For one that was checked.
    pub(super) fn bit(self) -> u64 {
        1 << (self.0 - 1)
    }

    pub(super) fn of(set: u64) -> impl Iterator<Item = Self> {
        (1..=64).map(Self).filter(move |signal| set & signal.bit() != 0)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match signal_name(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
