//! Go's concurrency without std: channels, `select!`, wait groups and locks that sleep, on bare metal and inside other
//! runtimes.
//!
//! It never spawns, never sleeps by itself and knows no operating system. How a caller waits is one seam, [`park`]: a
//! runtime plugs in there, an OS thread parks (feature `std`), and without either the CPU spins.
//!
//! | to …                                   | there is                                   | needs   |
//! |----------------------------------------|--------------------------------------------|---------|
//! | pass values                            | [`channel`]                                | `alloc` |
//! | pass values without a heap             | [`channel::StaticChannel`]                 |         |
//! | pass one value, once                   | [`channel::oneshot`]                       | `alloc` |
//! | pass each value to all                 | [`channel::broadcast`]                     | `alloc` |
//! | wait for the first of several channels | [`select!`]                                |         |
//! | wait until a number of things are done | [`WaitGroup`]                              |         |
//! | share data                             | [`Mutex`], [`RwLock`]                      |         |
//! | do something once, make a value once   | [`Once`], [`OnceCell`], [`Lazy`]           |         |
//! | let a number of tasks in at a time      | [`Semaphore`]                              |         |
//! | wait for what others do under a lock   | [`Condvar`]                                |         |
//! | wait for each other                    | [`Barrier`]                                |         |
//! | tell that something happened           | [`Notify`]                                 |         |
//! | share the latest value                 | [`Watch`], [`channel::watch`]              |         |
//! | share data for a few instructions      | [`SpinMutex`]                              |         |
//! | do something when a scope ends         | [`defer!`]                                 |         |
//! | plug in a scheduler                    | [`park::install`]                          |         |
//!
//! Everything but the heap channels is `const`-constructible and never allocates; any number of tasks can wait on it.
//!
//! # Features
//!
//! * `alloc`: channels on the heap.
//! * `futures`: [`channel::Receiver`] as a `Stream`, [`channel::Sender`] as a `Sink`, `FusedFuture`.
//! * `std` (default): OS threads park instead of spinning, and there is a clock for the calls with a time limit.
//!
//! # Examples
//!
//! ```
//! use greenlight_core::{WaitGroup, channel};
//!
//! static GROUP: WaitGroup = WaitGroup::new();
//! let (tx, rx) = channel::bounded(0);
//! for i in 0..3 {
//!     GROUP.add(1);
//!     let tx = tx.clone();
//!     std::thread::spawn(move || {
//!         let _done = GROUP.done_on_drop();
//!         tx.send(i).unwrap();
//!     });
//! }
//! drop(tx);
//! assert_eq!(rx.iter().sum::<i32>(), 3);
//! GROUP.wait();
//! ```
#![cfg_attr(not(any(test, feature = "std", loom)), no_std)]

#[cfg(any(feature = "alloc", loom))]
extern crate alloc;

mod sync;

mod spin;

pub mod park;

mod queue;
mod sleeper;
mod turn;

mod wait_group;

mod mutex;
mod rw_lock;

mod watch;

mod once;
mod once_cell;

mod lazy;

mod semaphore;

mod condvar;

mod barrier;

pub mod channel;

mod defer;

#[cfg(all(test, feature = "std"))]
mod test_support;

pub use barrier::{Barrier, BarrierWait, BarrierWaitResult};
pub use condvar::{Condvar, CondvarWait};
pub use defer::Defer;
pub use lazy::{Lazy, LazyForce};
pub use mutex::{Mutex, MutexGuard};
pub use once::{Once, OnceCall, OnceWait};
pub use once_cell::{GetOrInit, GetOrTryInit, OnceCell, OnceCellWait, TrySetError};
pub use rw_lock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{
    AcquireError, AcquireTimeoutError, Notified, Notify, Semaphore, SemaphoreAcquire, SemaphorePermit, TryAcquireError,
};
pub use spin::{SpinMutex, SpinMutexGuard};
pub use wait_group::{DoneOnDrop, WaitGroup};
pub use watch::{Watch, WatchChanged, Watcher};

/// Go's name for [`RwLock`].
pub type RwMutex<T> = RwLock<T>;
