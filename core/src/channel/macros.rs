//! `select!` and `select_biased!`, and what they expand to.
//!
//! ```text
//!   match rx { ref a => match tx { ref b => {              every expression once, in the order written; temporaries live on
//!       let mut arms = (a.receive_arm(), (b.send_arm(), ()));    by method, so that what derefs to a channel will do
//!       match run_select([&mut arms.0, &mut arms.1.0], …) {
//!           Some(0) => { let result = arms.0.finish(); drop(arms); …body… }
//!           Some(1) => { let result = arms.1.0.redeem(value); drop(arms); …body… }     the value: only when chosen (S4)
//! ```
//!
//! The arms end before a body begins, and with them their borrows.

use super::{
    Receiver, Sender,
    arms::{RecvArm, SendArm},
    buffer::Buffer,
    error::{RecvError, SendError},
    home::Home,
    select::{Arm, Limit, Numbered, run},
};
use core::panic::Location;

/// What `recv(x)` of a select accepts.
pub trait Source {
    /// The operation.
    type Arm<'a>: Chosen
    where
        Self: 'a;

    /// A new operation, not begun.
    fn receive_arm(&self) -> Self::Arm<'_>;
}

/// An operation that brings something.
pub trait Chosen: Arm {
    /// What it brings.
    type Output;

    /// What it brought. The select has chosen it.
    fn finish(&mut self) -> Self::Output;
}

/// What `send(x, value)` of a select accepts.
pub trait Target {
    /// What it takes.
    type Value;
    /// The operation.
    type Arm<'a>: Redeem<Self::Value>
    where
        Self: 'a;

    /// A new operation, not begun.
    fn send_arm(&self) -> Self::Arm<'_>;
}

/// An operation that takes a value.
pub trait Redeem<T>: Arm {
    /// Sends the value. The select has chosen it.
    ///
    /// # Errors
    ///
    /// If the channel is closed.
    fn redeem(&mut self, value: T) -> Result<(), SendError<T>>;
}

impl<T, H: Home<T>> Source for Receiver<T, H> {
    type Arm<'a>
        = RecvArm<'a, T, H::Buffer>
    where
        Self: 'a;

    fn receive_arm(&self) -> Self::Arm<'_> {
        RecvArm::new(self.shared())
    }
}

impl<T, H: Home<T>> Target for Sender<T, H> {
    type Value = T;
    type Arm<'a>
        = SendArm<'a, T, H::Buffer>
    where
        Self: 'a;

    fn send_arm(&self) -> Self::Arm<'_> {
        SendArm::new(self.shared())
    }
}

/// Runs one of `arms` and says which, or none if `limit` ended first.
#[track_caller]
pub fn run_select<const N: usize>(arms: [&mut dyn Arm; N], limit: Limit, biased: bool) -> Option<usize> {
    let mut index = 0;
    let mut arms = arms.map(|arm| {
        let numbered = Numbered::new(index, arm);
        index += 1;
        numbered
    });
    let chosen = run(&mut arms, limit, biased, Location::caller());
    arms.iter_mut().for_each(|arm| arm.retire_unless(chosen));
    chosen
}

/// Waits for the first of several operations, and runs its arm.
///
/// ```text
/// select! {
///     recv(receiver) -> result => …,       result: Result<T, RecvError>
///     send(sender, value) -> result => …,  result: Result<(), SendError<T>>
///     wait(future) -> output => …,         whatever can be awaited: output: F::Output
///     default => …,                        if nothing can happen now
///     default(duration) => …,              if nothing has happened for so long
/// }
/// ```
///
/// If several can happen, one is chosen at random. An operation on a closed channel can happen: its result says so.
/// Receivers and senders are evaluated once, on entry, in the order written. The value of a `send` is evaluated only when
/// that arm has been chosen: what it would have moved is still there for the other arms. With neither arms nor default it
/// waits for ever.
///
/// # Anything that can be awaited
///
/// What `wait(…)` takes is any [`IntoFuture`]: a task's join handle, a wait group, a lock's `lock_async()`, a future of another
/// library. It is polled in place, in this call; no executor is needed. When another arm is chosen it is dropped, before a
/// `send`'s value is made or a body runs: so it should lose nothing by that, as all of greenlight's futures do. To keep
/// one for a later select, pin it outside and write `wait(future.as_mut())`; then do not forget it: a future that waits for
/// a lock holds up the others as long as nobody polls it.
///
/// It must not block inside its poll (a blocking `recv` or `lock` in an `async` block: await the `_async` one instead): that
/// wait may take a wake-up that was meant for this one.
///
/// With such an arm, each wake-up takes the other arms out of their lines, and puts them at the end again.
///
/// # Cost
///
/// If an arm can happen at once: that operation, and a look at the arms before it. If it has to wait: two short locks for each
/// arm. No allocation.
///
/// # Examples
///
/// ```
/// use greenlight_core::{channel::unbounded, select};
/// use std::time::Duration;
///
/// let (tx, numbers) = unbounded();
/// let (_words_tx, words) = unbounded::<&str>();
/// tx.send(7).unwrap();
/// let got = select! {
///     recv(numbers) -> number => number.unwrap(),
///     recv(words) -> _ => unreachable!(),
///     default(Duration::from_secs(1)) => unreachable!(),
/// };
/// assert_eq!(got, 7);
/// ```
///
/// Beside a future:
///
/// ```
/// use greenlight_core::{Watch, channel::bounded, select};
///
/// let (level, (_tx, orders)) = (Watch::new(0), bounded::<u32>(1));
/// let mut watcher = level.subscribe();
/// std::thread::scope(|scope| {
///     scope.spawn(|| level.send(3));
///     select! {
///         recv(orders) -> _ => unreachable!(),
///         wait(watcher.changed_async()) -> () => assert_eq!(level.get(), 3),
///     }
/// });
/// ```
#[macro_export]
macro_rules! select {
    ($($arms:tt)*) => {
        $crate::__select!(@read (false) () [] $($arms)*)
    };
}

/// As [`select!`], but if several arms can happen, it is the first of them.
///
/// An arm that can always happen starves those after it.
///
/// # Examples
///
/// ```
/// use greenlight_core::{channel::unbounded, select_biased};
///
/// let (stop, stopped) = unbounded::<()>();
/// let (tx, work) = unbounded();
/// tx.send(1).unwrap();
/// stop.send(()).unwrap();
/// let worked = select_biased! {
///     recv(stopped) -> _ => false,
///     recv(work) -> _ => true,
/// };
/// assert!(!worked);
/// ```
#[macro_export]
macro_rules! select_biased {
    ($($arms:tt)*) => {
        $crate::__select!(@read (true) () [] $($arms)*)
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __select {
    // The default arm: `default => …`, `default() => …`, `default(limit) => …`.
    (@read $biased:tt () $arms:tt default => $($rest:tt)*) => {
        $crate::__select!(@default $biased ($crate::channel::Limit::Zero) $arms $($rest)*)
    };
    (@read $biased:tt () $arms:tt default() => $($rest:tt)*) => {
        $crate::__select!(@default $biased ($crate::channel::Limit::Zero) $arms $($rest)*)
    };
    (@read $biased:tt () $arms:tt default($limit:expr $(,)?) => $($rest:tt)*) => {
        $crate::__select!(@default $biased ($crate::channel::Limit::For($limit)) $arms $($rest)*)
    };
    (@read $biased:tt ($($seen:tt)+) $arms:tt default $($rest:tt)*) => {
        ::core::compile_error!("select!: there is more than one `default` arm")
    };
    (@default $biased:tt ($limit:expr) $arms:tt $body:block, $($rest:tt)*) => {
        $crate::__select!(@read $biased ($limit, $body) $arms $($rest)*)
    };
    (@default $biased:tt ($limit:expr) $arms:tt $body:block $($rest:tt)*) => {
        $crate::__select!(@read $biased ($limit, $body) $arms $($rest)*)
    };
    (@default $biased:tt ($limit:expr) $arms:tt $body:expr $(, $($rest:tt)*)?) => {
        $crate::__select!(@read $biased ($limit, $body) $arms $($($rest)*)?)
    };

    // The operations.
    (@read $biased:tt $default:tt $arms:tt recv($rx:expr $(,)?) -> $pattern:pat => $($rest:tt)*) => {
        $crate::__select!(@body $biased $default $arms (recv ($rx) () ($pattern)) $($rest)*)
    };
    (@read $biased:tt $default:tt $arms:tt send($tx:expr, $value:expr $(,)?) -> $pattern:pat => $($rest:tt)*) => {
        $crate::__select!(@body $biased $default $arms (send ($tx) ($value) ($pattern)) $($rest)*)
    };
    (@read $biased:tt $default:tt $arms:tt wait($future:expr $(,)?) -> $pattern:pat => $($rest:tt)*) => {
        $crate::__select!(@body $biased $default $arms (wait ($future) () ($pattern)) $($rest)*)
    };
    // A block with or without a comma after it; any other expression with one, unless it is the last.
    (@body $biased:tt $default:tt [$($arms:tt)*] ($($arm:tt)*) $body:block, $($rest:tt)*) => {
        $crate::__select!(@read $biased $default [$($arms)* ($($arm)* ($body))] $($rest)*)
    };
    (@body $biased:tt $default:tt [$($arms:tt)*] ($($arm:tt)*) $body:block $($rest:tt)*) => {
        $crate::__select!(@read $biased $default [$($arms)* ($($arm)* ($body))] $($rest)*)
    };
    (@body $biased:tt $default:tt [$($arms:tt)*] ($($arm:tt)*) $body:expr $(, $($rest:tt)*)?) => {
        $crate::__select!(@read $biased $default [$($arms)* ($($arm)* ($body))] $($($rest)*)?)
    };

    // Everything was read: evaluate the channels.
    (@read ($biased:expr) () $arms:tt) => {
        $crate::__select!(@bind ($biased) ($crate::channel::Limit::None, ::core::unreachable!("a select without an end has none"))
            (0usize) () [] $arms)
    };
    (@read ($biased:expr) $default:tt $arms:tt) => {
        $crate::__select!(@bind ($biased) $default (0usize) () [] $arms)
    };
    (@read $($rest:tt)*) => {
        ::core::compile_error!("select!: expected `recv(rx) -> pattern => …`, `send(tx, value) -> pattern => …`, `wait(future) -> pattern => …`, `default => …` or `default(duration) => …`")
    };
    (@bind $biased:tt $default:tt ($index:expr) ($($path:tt)*) [$($bound:tt)*]
        [(wait ($future:expr) $value:tt $pattern:tt $body:tt) $($rest:tt)*]) => {
        match ::core::pin::pin!(::core::option::Option::Some(::core::future::IntoFuture::into_future($future))) {
            channel => $crate::__select!(@bind $biased $default ($index + 1) ($($path)* . 1)
                [$($bound)* (wait channel ($index) ($($path)* . 0) $value $pattern $body)] [$($rest)*]),
        }
    };
    (@bind $biased:tt $default:tt ($index:expr) ($($path:tt)*) [$($bound:tt)*]
        [($kind:ident ($channel:expr) $value:tt $pattern:tt $body:tt) $($rest:tt)*]) => {
        match $channel {
            ref channel => $crate::__select!(@bind $biased $default ($index + 1) ($($path)* . 1)
                [$($bound)* ($kind channel ($index) ($($path)* . 0) $value $pattern $body)] [$($rest)*]),
        }
    };

    (@bind ($biased:expr) ($limit:expr, $default:expr) $end:tt $after:tt
        [$(($kind:ident $channel:ident ($index:expr) ($($path:tt)*) $value:tt ($pattern:pat) ($body:expr)))*] []) => {{
        #[allow(unused_mut)]
        let mut arms = $crate::__select!(@tuple $(($kind $channel))*);
        match $crate::channel::run_select([$(&mut arms $($path)*),*], $limit, $biased) {
            $(::core::option::Option::Some(index) if index == $index => {
                let result = $crate::__select!(@finish $kind (arms $($path)*) $value);
                ::core::mem::drop(arms);
                #[allow(clippy::let_unit_value)]
                let $pattern = result;
                $body
            })*
            _ => {
                ::core::mem::drop(arms);
                $default
            }
        }
    }};
    (@tuple) => { () };
    (@tuple (recv $channel:ident) $($rest:tt)*) => {
        ({ use $crate::channel::Source as _; $channel.receive_arm() }, $crate::__select!(@tuple $($rest)*))
    };
    (@tuple (send $channel:ident) $($rest:tt)*) => {
        ({ use $crate::channel::Target as _; $channel.send_arm() }, $crate::__select!(@tuple $($rest)*))
    };
    (@tuple (wait $future:ident) $($rest:tt)*) => {
        ($crate::channel::wait_arm($future), $crate::__select!(@tuple $($rest)*))
    };
    (@finish wait ($($arm:tt)*) ()) => {
        $crate::channel::Chosen::finish(&mut $($arm)*)
    };
    (@finish recv ($($arm:tt)*) ()) => {
        $crate::channel::Chosen::finish(&mut $($arm)*)
    };
    (@finish send ($($arm:tt)*) ($value:expr)) => {{
        let value = $value;
        $crate::channel::Redeem::redeem(&mut $($arm)*, value)
    }};
}

impl<T, B: Buffer<T> + ?Sized> Chosen for RecvArm<'_, T, B> {
    type Output = Result<T, RecvError>;

    fn finish(&mut self) -> Self::Output {
        self.take().unwrap_or_else(|| unreachable!("a receive that was not chosen"))
    }
}

impl<T, B: Buffer<T> + ?Sized> Redeem<T> for SendArm<'_, T, B> {
    fn redeem(&mut self, value: T) -> Result<(), SendError<T>> {
        self.send(value)
    }
}
