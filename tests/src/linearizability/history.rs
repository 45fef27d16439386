//! What happened: which thread called what, between which ticks, and what came of it.

use std::{fmt, time::Duration};

/// What is sent. No two sends of a history send the same one.
pub type Value = u32;

/// By which half a channel is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Half {
    Sender,
    Receiver,
}

/// One call of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Call {
    TrySend(Value),
    SendTimeout(Value, Duration),
    /// Waits for ever, unless the channel is closed.
    Send(Value),
    TryRecv,
    RecvTimeout(Duration),
    /// Waits for ever, unless the channel is closed.
    Recv,
    Close(Half),
    IsClosed,
    Len,
    IsEmpty,
    IsFull,
}

impl Call {
    /// What it sends.
    pub fn value(self) -> Option<Value> {
        match self {
            Self::TrySend(value) | Self::SendTimeout(value, _) | Self::Send(value) => Some(value),
            _ => None,
        }
    }

    /// Whether it never waits for a peer.
    pub fn is_try(self) -> bool {
        matches!(self, Self::TrySend(_) | Self::TryRecv)
    }

    /// Whether it waits without a limit.
    pub fn is_patient(self) -> bool {
        matches!(self, Self::Send(_) | Self::Recv)
    }

    /// Whether it only looks at the number of values. Such calls are no part of the search: see `check_counts`.
    pub fn is_count(self) -> bool {
        matches!(self, Self::Len | Self::IsEmpty | Self::IsFull)
    }
}

/// What came of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Outcome {
    Sent,
    Full,
    Received(Value),
    Empty,
    TimedOut,
    Disconnected,
    /// Of `close` (whether this call closed it), `is_closed`, `is_empty`, `is_full`.
    Flag(bool),
    Count(usize),
    /// A send failed and gave back another value than it was given. Never right.
    GaveBackOther(Value),
}

/// A call that returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Operation {
    pub thread: usize,
    pub call: Call,
    pub outcome: Outcome,
    /// The tick before the call.
    pub begin: u64,
    /// The tick after it.
    pub end: u64,
}

/// A call that has not returned yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Pending {
    pub thread: usize,
    pub call: Call,
    pub begin: u64,
}

/// All that happened to one channel. No tick occurs twice.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct History {
    /// In any order.
    pub operations: Vec<Operation>,
    /// Who still waits.
    pub pending: Vec<Pending>,
}

/// One line for each call in the order of their beginnings, one column for each tick.
///
/// ```text
/// thread 0 ├────┤    try_send(1): Sent
/// thread 1   ├────┤  try_recv(): Empty
/// thread 2       ├┄┄ recv()
/// ```
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends = self.operations.iter().flat_map(|op| [op.begin, op.end]);
        let mut ticks: Vec<_> = ends.chain(self.pending.iter().map(|call| call.begin)).collect();
        ticks.sort_unstable();
        // Columns, not ticks, so that a diagram is no wider than what it shows.
        let column = |tick| ticks.partition_point(|other| *other < tick);

        let done = self.operations.iter().map(|op| (op.begin, Some(op.end), op.thread, op.call, Some(op.outcome)));
        let pending = self.pending.iter().map(|call| (call.begin, None, call.thread, call.call, None));
        let mut lines: Vec<_> = done.chain(pending).collect();
        lines.sort_unstable_by_key(|line| line.0);
        for (begin, end, thread, call, outcome) in lines {
            let from = column(begin);
            write!(f, "thread {thread} {:from$}├", "")?;
            match (end.map(column), outcome) {
                (Some(to), Some(outcome)) => {
                    let (long, rest) = (to - from - 1, ticks.len() - to - 1);
                    writeln!(f, "{:─<long$}┤{:rest$} {call}: {outcome:?}", "", "")?;
                }
                _ => {
                    let long = ticks.len() - from - 1;
                    writeln!(f, "{:┄<long$} {call}", "")?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TrySend(value) => write!(f, "try_send({value})"),
            Self::SendTimeout(value, limit) => write!(f, "send_timeout({value}, {limit:?})"),
            Self::Send(value) => write!(f, "send({value})"),
            Self::TryRecv => f.write_str("try_recv()"),
            Self::RecvTimeout(limit) => write!(f, "recv_timeout({limit:?})"),
            Self::Recv => f.write_str("recv()"),
            Self::Close(Half::Sender) => f.write_str("tx.close()"),
            Self::Close(Half::Receiver) => f.write_str("rx.close()"),
            Self::IsClosed => f.write_str("is_closed()"),
            Self::Len => f.write_str("len()"),
            Self::IsEmpty => f.write_str("is_empty()"),
            Self::IsFull => f.write_str("is_full()"),
        }
    }
}
