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
//! | share data                             | [`Mutex`], [`RwLock`], [`Poison`]          |         |
//! | do something once, make a value once   | [`Once`], [`OnceCell`], [`Lazy`]           |         |
//! | let a number of tasks in at a time      | [`Semaphore`]                              |         |
//! | wait for what others do under a lock   | [`Condvar`]                                |         |
//! | wait for each other                    | [`Barrier`]                                |         |
//! | tell that something happened           | [`Notify`]                                 |         |
//! | share the latest value                 | [`Watch`], [`channel::watch`]              |         |
//! | share data for a few instructions      | [`SpinMutex`], [`TicketMutex`]             |         |
//! | share data with an interrupt handler   | `CriticalMutex` (`critical-section`)       |         |
//! | do something when a scope ends         | [`defer!`]                                 |         |
//! | plug in a scheduler                    | [`park::install`]                          |         |
//! | build a primitive of one's own         | [`Waitable`]                               |         |
//!
//! Everything but the heap channels is `const`-constructible and never allocates; any number of tasks can wait on it.
//!
//! # Features
//!
//! * `alloc`: channels on the heap.
//! * `critical-section`: `CriticalMutex`, which masks interrupts by the [`critical-section`] crate.
//! * `futures`: [`channel::Receiver`] as a `Stream`, [`channel::Sender`] as a `Sink`, `FusedFuture`.
//! * `lock_api`: the raw locks implement its traits, for mapped guards, `Arc` guards and generic code.
//! * `portable-atomic`: atomics of the [`portable-atomic`] crate, for CPUs without compare-and-swap (Cortex-M0, RISC-V without
//!   `A`). The program says how it makes up for that: by a critical section (its own dependency on `portable-atomic`
//!   with feature `critical-section`), or with interrupts off, where there is but one core (`unsafe-assume-single-core`).
//! * `std` (default): OS threads park instead of spinning, and there is a clock for the calls with a time limit.
//!
//! # Code size
//!
//! What a program for a Cortex-M4F grows by, in bytes of flash and RAM, when main and an interrupt handler use one of these with a
//! `u32`; channels and queues for 16 of them (`.ci/size`, November 2026: rustc 1.97.0-nightly, opt-level `s`, fat LTO, embassy-sync
//! 0.8.0, heapless 0.9.4):
//!
//! |                                            | flash |  RAM |
//! |--------------------------------------------|------:|-----:|
//! | `StaticChannel`, `try_` calls              |  4688 |  248 |
//! | embassy-sync `Channel`, `try_` calls       |   228 |   96 |
//! | heapless `mpmc::Queue`                     |   328 |  132 |
//! | heapless `spsc::Queue`, two halves         |   128 |   80 |
//! | `StaticChannel`, futures                   |  7264 |  248 |
//! | embassy-sync `Channel`, futures            |   564 |   96 |
//! | `Mutex`                                    |  2660 |   28 |
//! | embassy-sync `Mutex`                       |   320 |   16 |
//! | `CriticalMutex`                            |   148 |    8 |
//! | embassy-sync `blocking_mutex::Mutex`       |    52 |    4 |
//! | `SpinMutex`                                |   116 |    8 |
//!
//! The channel is the dear one. For that it masks no interrupts, hides no value when a handler cuts in, and serves any number of
//! waiters in turn; embassy-sync's masks interrupts around each call and keeps one waker for each side, heapless' queues wait
//! for nobody and wake nobody. The code is there once for each type of value.
//!
//! [`critical-section`]: https://docs.rs/critical-section
//! [`portable-atomic`]: https://docs.rs/portable-atomic
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
mod seat;
mod sleeper;
mod turn;

mod wait_group;

mod mutex;
mod rw_lock;

mod poison;

#[cfg(all(feature = "lock_api", not(loom)))]
pub mod raw;

mod watch;

mod waitable;

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
pub use mutex::{Mutex, MutexGuard, MutexLockFuture};
pub use once::{Once, OnceCall, OnceWait};
pub use once_cell::{GetOrInit, GetOrTryInit, OnceCell, OnceCellWait, TrySetError};
#[cfg(feature = "std")]
pub use poison::PoisonGuard;
pub use poison::{Poison, Poisoned};
pub use rw_lock::{RwLock, RwLockReadFuture, RwLockReadGuard, RwLockWriteFuture, RwLockWriteGuard};
pub use semaphore::{
    AcquireError, AcquireTimeoutError, Notified, Notify, Semaphore, SemaphoreAcquire, SemaphorePermit, TryAcquireError,
};
#[cfg(feature = "critical-section")]
pub use spin::CriticalMutex;
pub use spin::{SpinMutex, SpinMutexGuard, TicketMutex, TicketMutexGuard};
pub use wait_group::{DoneOnDrop, WaitGroup, WaitGroupFuture, WaitToken, WaitTokens};
pub use waitable::{Waitable, Waiting};
pub use watch::{Watch, WatchChanged, Watcher};

/// Go's name for [`RwLock`].
pub type RwMutex<T> = RwLock<T>;
