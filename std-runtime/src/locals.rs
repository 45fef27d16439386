//! Values of which each green thread has its own.
//!
//! * L1  A green thread stays on its OS thread, so the values need not be `Send`.
//! * L2  A value is shared between its list and whoever looks at it: it may leave the list meanwhile. The list is never borrowed
//!   while code of the program runs.

use crate::{
    header::{Task, discard},
    worker,
};
use std::{
    any::{Any, TypeId},
    cell::RefCell,
    fmt,
    ptr::NonNull,
    rc::Rc,
};

/// How often destructors of locals may make new ones before those are leaked.
const ROUNDS: usize = 8;

/// Of one green thread, or one OS thread.
#[derive(Default)]
pub(crate) struct Locals {
    /// The value that counts is the last with its key.
    values: RefCell<Vec<(Key, Rc<dyn Any>)>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Key(usize, TypeId);

thread_local! {
    static OF_THREAD: Locals = Locals::default();
}

/// Those of the caller.
fn with_locals<R>(f: impl FnOnce(&Locals) -> R) -> R {
    let Some(task) = worker::current_task().filter(|task| !task.get().is_carrier.get()) else {
        return OF_THREAD.with(f);
    };
    let task = task.get();
    let locals = task.locals().unwrap_or_else(|| {
        let new = NonNull::from(Box::leak(Box::<Locals>::default()));
        task.set_locals(Some(new));
        new
    });
    // SAFETY: from a box that lives until the task has ended, which calls this.
    f(unsafe { locals.as_ref() })
}

/// Runs the destructors, the newest value first. A panic of one has been reported, and goes no further.
///
/// # Safety
///
/// `all` are the locals of `task`, which calls this once its closure has ended.
pub(crate) unsafe fn end(task: &Task, all: NonNull<Locals>) {
    // SAFETY: made in `with_locals`; freed below.
    let locals = unsafe { Box::from_raw(all.as_ptr()) };
    for _ in 0..ROUNDS {
        // In the list no longer, so that a destructor finds no dead value, but makes a new one.
        let values = locals.values.take();
        if values.is_empty() {
            break;
        }
        values.into_iter().rev().for_each(|(_, value)| discard(|| drop(value)));
    }
    locals.values.take().into_iter().for_each(std::mem::forget);
    task.set_locals(None);
}

impl Locals {
    fn find(&self, key: Key) -> Option<Rc<dyn Any>> {
        let values = self.values.borrow();
        values.iter().rev().find(|(there, _)| *there == key).map(|(_, value)| value.clone())
    }

    fn push(&self, key: Key, value: Rc<dyn Any>) {
        self.values.borrow_mut().push((key, value));
    }

    fn remove(&self, key: Key) -> Option<Rc<dyn Any>> {
        let mut values = self.values.borrow_mut();
        let last = values.iter().rposition(|(there, _)| *there == key)?;
        Some(values.remove(last).1)
    }
}

/// A variable of which each green thread has its own. Made by [`task_local!`](crate::task_local!).
pub struct TaskLocal<T: 'static> {
    init: fn() -> T,
}

impl<T: 'static> TaskLocal<T> {
    #[doc(hidden)]
    pub const fn new(init: fn() -> T) -> Self {
        Self { init }
    }

    fn key(&'static self) -> Key {
        Key(std::ptr::from_ref(self).addr(), TypeId::of::<T>())
    }

    /// Runs `f` with this green thread's value, which is made now if it is not there; with the OS thread's, where there is no
    /// green thread.
    ///
    /// # Panics
    ///
    /// In a destructor of an OS thread's thread-local, when its values are gone.
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        let key = self.key();
        let value = with_locals(|locals| locals.find(key)).unwrap_or_else(|| {
            let new: Rc<dyn Any> = Rc::new((self.init)());
            // Making it may have made it.
            with_locals(|locals| {
                locals.find(key).unwrap_or_else(|| {
                    locals.push(key, new.clone());
                    new.clone()
                })
            })
        });
        f(value.downcast_ref().expect("the key says the type"))
    }

    /// Runs `f` with `value` in the place of this green thread's value, which is back afterwards, however `f` ends.
    ///
    /// # Panics
    ///
    /// As for [`with`](Self::with).
    pub fn scope<R>(&'static self, value: T, f: impl FnOnce() -> R) -> R {
        struct Restore(Key);
        impl Drop for Restore {
            fn drop(&mut self) {
                let gone = with_locals(|locals| locals.remove(self.0));
                drop(gone); // code of the program's
            }
        }
        let key = self.key();
        with_locals(|locals| locals.push(key, Rc::new(value)));
        let _restore = Restore(key);
        f()
    }
}

impl<T: Copy + 'static> TaskLocal<T> {
    /// This green thread's value.
    pub fn get(&'static self) -> T {
        self.with(|value| *value)
    }
}

impl<T> fmt::Debug for TaskLocal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaskLocal")
    }
}

/// Declares variables of which each green thread has its own; where there is no green thread, each OS thread.
///
/// A value is made when first used, and dropped when its green thread has ended, on the same worker and before
/// [`join`](crate::JoinHandle::join) returns, also after a panic or a cancellation. It need not be `Send`. A panic of its
/// destructor ends nothing but that destructor.
///
/// A future that runs as a task ([`go_async`](crate::go_async)) has none: it moves from worker to worker, and would have to be
/// `Send`. Inside of it, the values are those of the worker's thread.
///
/// # Cost
///
/// A search through this green thread's values, which are few. To make one: two allocations.
///
/// # Examples
///
/// ```
/// use greenlight::{go, task_local};
/// use std::cell::Cell;
///
/// task_local! {
///     static REQUEST: Cell<u32> = Cell::new(0);
///     static USER: &'static str = "nobody";
/// }
///
/// REQUEST.with(|request| request.set(1));
/// let other = go(|| {
///     let before = REQUEST.with(Cell::get);
///     USER.scope("ann", || (before, USER.get()))
/// });
/// assert_eq!(other.join().unwrap(), (0, "ann"));
/// assert_eq!((REQUEST.with(Cell::get), USER.get()), (1, "nobody"));
/// ```
#[macro_export]
macro_rules! task_local {
    ($($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty = $init:expr;)*) => {
        $($(#[$attribute])* $visibility static $name: $crate::TaskLocal<$type> = $crate::TaskLocal::new(|| $init);)*
    };
}
