//! The door to what the protocols between threads are made of: atomics, cells, locks. The files whose protocols are modelled take
//! them from here, so that `--cfg loom` swaps them for the model checker's; all others take them from `std`.
//!
//! Under `--cfg loom` the whole crate still compiles, and nothing of it runs but the models: each makes the objects of one
//! protocol (a worker that has no thread, tasks that have no stack), and threads of the checker's use them as workers would.

pub(crate) use imp::*;

#[cfg(not(loom))]
mod imp {
    pub(crate) use std::{
        cell::Cell,
        sync::{Mutex, MutexGuard, atomic},
    };

    /// `std`'s cell behind the shape of the model checker's.
    #[repr(transparent)]
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        /// Exclusive access for the length of `f`.
        #[inline(always)]
        pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }

    /// A static that holds atomics or locks of the protocols.
    macro_rules! protocol_static {
        ($(#[$meta:meta])* $vis:vis static $name:ident: $ty:ty = $value:expr;) => {
            $(#[$meta])* $vis static $name: $ty = $value;
        };
    }
    pub(crate) use protocol_static;
}

#[cfg(loom)]
mod imp {
    pub(crate) use loom::{
        cell::{Cell, UnsafeCell},
        sync::{Mutex, MutexGuard, atomic},
    };

    /// Made when first used, anew for each run of a model.
    macro_rules! protocol_static {
        ($(#[$meta:meta])* $(pub($scope:tt))? static $name:ident: $ty:ty = $value:expr;) => {
            loom::lazy_static! { $(#[$meta])* $(pub($scope))? static ref $name: $ty = $value; }
        };
    }
    pub(crate) use protocol_static;
}

/// Declares a `const fn` that is an ordinary `fn` under loom, whose atomics cannot be made at compile time.
macro_rules! const_unless_loom {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty $body:block) => {
        #[cfg(not(loom))]
        $(#[$meta])* $vis const fn $name($($arg: $ty),*) -> $ret $body
        #[cfg(loom)]
        $(#[$meta])* $vis fn $name($($arg: $ty),*) -> $ret $body
    };
}
pub(crate) use const_unless_loom;
