//! Why an operation on a broadcast channel did not happen.

use core::{error::Error, fmt};

/// There is no receiver now; the value comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

/// Why a receive brought no value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecvError {
    /// The receiver was too slow: this many values were dropped before it got to them. The next receive brings the oldest
    /// that is left.
    Lagged(u64),
    /// Every sender is gone, and nothing is left.
    Closed,
}

/// Why a receive that does not wait brought no value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TryRecvError {
    /// Nothing there now.
    Empty,
    /// The receiver was too slow: see [`RecvError::Lagged`].
    Lagged(u64),
    /// Every sender is gone, and nothing is left.
    Closed,
}

/// Why a receive with a time limit brought no value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecvTimeoutError {
    /// The time is up.
    Timeout,
    /// The receiver was too slow: see [`RecvError::Lagged`].
    Lagged(u64),
    /// Every sender is gone, and nothing is left.
    Closed,
}

impl<T> SendError<T> {
    /// The value that was not sent.
    pub fn into_inner(self) -> T {
        self.0
    }
}

// By hand, so that errors can be unwrapped whatever the value is.
impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sending on a broadcast channel that nobody receives from now")
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lagged(missed) => {
                write!(f, "receiving too slowly from a broadcast channel: {missed} values were missed")
            }
            Self::Closed => f.write_str("receiving from an empty broadcast channel whose last sender is gone"),
        }
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => f.write_str("receiving from an empty broadcast channel"),
            Self::Lagged(missed) => RecvError::Lagged(missed).fmt(f),
            Self::Closed => RecvError::Closed.fmt(f),
        }
    }
}

impl fmt::Display for RecvTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Timeout => f.write_str("timed out waiting to receive from a broadcast channel"),
            Self::Lagged(missed) => RecvError::Lagged(missed).fmt(f),
            Self::Closed => RecvError::Closed.fmt(f),
        }
    }
}

impl<T> Error for SendError<T> {}
impl Error for RecvError {}
impl Error for TryRecvError {}
impl Error for RecvTimeoutError {}

impl From<RecvError> for TryRecvError {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Lagged(missed) => Self::Lagged(missed),
            RecvError::Closed => Self::Closed,
        }
    }
}

impl From<RecvError> for RecvTimeoutError {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Lagged(missed) => Self::Lagged(missed),
            RecvError::Closed => Self::Closed,
        }
    }
}
