//! Every channel library behind one trait, each used as its documentation shows.
//!
//! Everything is generic and inlined: a cell measures the library, not a virtual call.

use greenlight::channel as ours;
use std::sync::mpsc;

/// A library's channels of `T`. Values that cannot be sent or received mean a broken workload, so `send` panics.
pub(crate) trait Peer: 'static {
    type Tx<T: Send + 'static>: Clone + Send + 'static;
    type Rx<T: Send + 'static>: Send + 'static;

    /// Whether receivers can be cloned.
    const SHARED: bool = true;
    /// Whether there is a select.
    const SELECTS: bool = false;

    /// With `None`, unbounded. `None` if the library has no channel of this capacity.
    fn channel<T: Send + 'static>(capacity: Option<usize>) -> Option<(Self::Tx<T>, Self::Rx<T>)>;

    /// Another receiver of the same channel, where `SHARED`.
    fn share<T: Send + 'static>(rx: &Self::Rx<T>) -> Self::Rx<T>;

    fn send<T: Send + 'static>(tx: &Self::Tx<T>, value: T);

    /// None when the channel is closed and drained.
    fn recv<T: Send + 'static>(rx: &Self::Rx<T>) -> Option<T>;

    fn try_recv<T: Send + 'static>(rx: &Self::Rx<T>) -> Option<T>;

    /// From whichever of 2 or 8 receivers has a value first, where `SELECTS`.
    fn select<T: Send + 'static>(_: &[Self::Rx<T>]) -> T {
        unreachable!("only where SELECTS")
    }
}

/// The calls that everybody spells alike.
macro_rules! halves {
    ($library:ident, $send:ident, $recv:ident) => {
        type Tx<T: Send + 'static> = $library::Sender<T>;
        type Rx<T: Send + 'static> = $library::Receiver<T>;

        #[inline]
        fn share<T: Send + 'static>(rx: &Self::Rx<T>) -> Self::Rx<T> {
            rx.clone()
        }

        #[inline]
        fn send<T: Send + 'static>(tx: &Self::Tx<T>, value: T) {
            assert!(tx.$send(value).is_ok());
        }

        #[inline]
        fn recv<T: Send + 'static>(rx: &Self::Rx<T>) -> Option<T> {
            rx.$recv().ok()
        }

        fn channel<T: Send + 'static>(capacity: Option<usize>) -> Option<(Self::Tx<T>, Self::Rx<T>)> {
            Some(capacity.map_or_else($library::unbounded, $library::bounded))
        }
    };
}

/// The `select!` of greenlight and of crossbeam-channel: the same words.
macro_rules! select_by_macro {
    ($select:path) => {
        const SELECTS: bool = true;

        #[inline]
        fn select<T: Send + 'static>(rxs: &[Self::Rx<T>]) -> T {
            use $select as select;
            let value = match rxs {
                [a, b] => select! { recv(a) -> value => value, recv(b) -> value => value },
                [a, b, c, d, e, f, g, h] => select! {
                    recv(a) -> value => value,
                    recv(b) -> value => value,
                    recv(c) -> value => value,
                    recv(d) -> value => value,
                    recv(e) -> value => value,
                    recv(f) -> value => value,
                    recv(g) -> value => value,
                    recv(h) -> value => value,
                },
                _ => unreachable!("2 or 8 receivers"),
            };
            value.expect("the senders live as long as the selects")
        }
    };
}

pub(crate) struct Greenlight;

impl Peer for Greenlight {
    halves!(ours, send, recv);
    select_by_macro!(greenlight::select);

    #[inline]
    fn try_recv<T: Send + 'static>(rx: &Self::Rx<T>) -> Option<T> {
        rx.try_recv().ok()
    }
}

/// The bounded channels in which nobody hides anything.
pub(crate) struct Strict;

impl Peer for Strict {
    type Tx<T: Send + 'static> = ours::Sender<T>;
    type Rx<T: Send + 'static> = ours::Receiver<T>;

    select_by_macro!(greenlight::select);

    fn channel<T: Send + 'static>(capacity: Option<usize>) -> Option<(Self::Tx<T>, Self::Rx<T>)> {
        capacity.filter(|capacity| *capacity > 0).map(ours::bounded_strict)
    }

    #[inline]
    fn share<T: Send + 'static>(rx: &Self::Rx<T>) -> Self::Rx<T> {
        rx.clone()
    }

    #[inline]
    fn send<T: Send + 'static>(tx: &Self::Tx<T>, value: T) {
        Greenlight::send(tx, value);
    }

    #[inline]
    fn recv<T: Send + 'static>(rx: &Self::Rx<T>) -> Option<T> {
        Greenlight::recv(rx)
    }

    #[inline]
    fn try_recv<T: Send + 'static>(rx: &Self::Rx<T>) -> Option<T> {
        Greenlight::try_recv(rx)
    }
}

pub(crate) struct Crossbeam;

impl Peer for Crossbeam {
    halves!(crossbeam_channel, send, recv);
    select_by_macro!(crossbeam_channel::select);

    #[inline]
    fn try_recv<T: Send + 'static>(rx: &Self::Rx<T>) -> Option<T> {
        rx.try_recv().ok()
    }
}

pub(crate) struct Flume;

impl Peer for Flume {
    halves!(flume, send, recv);

    const SELECTS: bool = true;

    #[inline]
    fn try_recv<T: Send + 'static>(rx: &Self::Rx<T>) -> Option<T> {
        rx.try_recv().ok()
    }

    #[inline]
    fn select<T: Send + 'static>(rxs: &[Self::Rx<T>]) -> T {
        let selector = rxs.iter().fold(flume::Selector::new(), |selector, rx| selector.recv(rx, |value| value));
        selector.wait().expect("the senders live as long as the selects")
    }
}

pub(crate) struct Kanal;

impl Peer for Kanal {
    halves!(kanal, send, recv);

    #[inline]
    fn try_recv<T: Send + 'static>(rx: &Self::Rx<T>) -> Option<T> {
        rx.try_recv().ok().flatten()
    }
}

pub(crate) struct AsyncChannel;

impl Peer for AsyncChannel {
    type Tx<T: Send + 'static> = async_channel::Sender<T>;
    type Rx<T: Send + 'static> = async_channel::Receiver<T>;

    /// It has no capacity 0.
    fn channel<T: Send + 'static>(capacity: Option<usize>) -> Option<(Self::Tx<T>, Self::Rx<T>)> {
        match capacity {
            Some(0) => None,
            Some(capacity) => Some(async_channel::bounded(capacity)),
            None => Some(async_channel::unbounded()),
        }
    }

    #[inline]
    fn share<T: Send + 'static>(rx: &Self::Rx<T>) -> Self::Rx<T> {
        rx.clone()
    }

    #[inline]
    fn send<T: Send + 'static>(tx: &Self::Tx<T>, value: T) {
        assert!(tx.send_blocking(value).is_ok());
    }

    #[inline]
    fn recv<T: Send + 'static>(rx: &Self::Rx<T>) -> Option<T> {
        rx.recv_blocking().ok()
    }

    #[inline]
    fn try_recv<T: Send + 'static>(rx: &Self::Rx<T>) -> Option<T> {
        rx.try_recv().ok()
    }
}

pub(crate) struct Std;

/// Its bounded channels have a sender type of their own.
pub(crate) enum StdSender<T> {
    Bounded(mpsc::SyncSender<T>),
    Unbounded(mpsc::Sender<T>),
}

impl<T> Clone for StdSender<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Bounded(tx) => Self::Bounded(tx.clone()),
            Self::Unbounded(tx) => Self::Unbounded(tx.clone()),
        }
    }
}

impl Peer for Std {
    type Tx<T: Send + 'static> = StdSender<T>;
    type Rx<T: Send + 'static> = mpsc::Receiver<T>;

    const SHARED: bool = false;

    fn channel<T: Send + 'static>(capacity: Option<usize>) -> Option<(Self::Tx<T>, Self::Rx<T>)> {
        Some(match capacity {
            Some(capacity) => {
                let (tx, rx) = mpsc::sync_channel(capacity);
                (StdSender::Bounded(tx), rx)
            }
            None => {
                let (tx, rx) = mpsc::channel();
                (StdSender::Unbounded(tx), rx)
            }
        })
    }

    fn share<T: Send + 'static>(_: &Self::Rx<T>) -> Self::Rx<T> {
        unreachable!("only where SHARED")
    }

    #[inline]
    fn send<T: Send + 'static>(tx: &Self::Tx<T>, value: T) {
        let sent = match tx {
            StdSender::Bounded(tx) => tx.send(value),
            StdSender::Unbounded(tx) => tx.send(value),
        };
        assert!(sent.is_ok());
    }

    #[inline]
    fn recv<T: Send + 'static>(rx: &Self::Rx<T>) -> Option<T> {
        rx.recv().ok()
    }

    #[inline]
    fn try_recv<T: Send + 'static>(rx: &Self::Rx<T>) -> Option<T> {
        rx.try_recv().ok()
    }
}
