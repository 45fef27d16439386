//! Parts of the runtime that no public call reaches alone, for this project's benchmarks. Not a part of the API: what is here
//! changes, and goes, with any version.
//!
//! ```text
//!   Switch   two stacks, and the way from one to the other and back            arch/
//!   Stack    a slot of the pool, taken and given back                          stack/
//!   Queue    a list of tasks, which have not started and never will            header/list.rs
//!   Wheel    alarms, on a time that the caller makes up                        time/alarms.rs
//! ```
//!
//! Safe code cannot break anything with them: a stack is its holder's alone, a task of a [`Queue`] belongs to its list, and a
//! [`Switch`] comes back to where it was left.

use crate::{
    header::{TaskList, TaskRef},
    stack::{self, Class, Slot},
    time::alarms::{Alarms, Key},
};

/// A slot of the pool, a stack of the default size with its card; given back when it is dropped.
pub struct Stack(Slot);

impl Stack {
    /// The one that was given back last, or one that nobody has used.
    ///
    /// # Panics
    ///
    /// If there is no memory for another one.
    pub fn take() -> Self {
        Self(stack::acquire(Class::DEFAULT).unwrap_or_else(|error| panic!("no stack: {error}")))
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: ours since `take`. Nothing ever runs on it, but for the mirror of a `Switch`, which has been left by then, for good.
        unsafe { stack::release(self.0) }
    }
}

/// A second stack, on which there is nothing but the way back.
///
/// * P1  While nobody is in [`there_and_back`](Self::there_and_back), `there` is parked, in the mirror, and `here` means nothing.
///
/// The sanitizers would have to be told of each switch; the benchmarks do not run under them.
#[cfg(not(any(greenlight_asan, greenlight_tsan)))]
pub struct Switch {
    /// In a place of its own: the mirror has its address.
    ways: Box<Ways>,
    /// Given back after the last switch.
    _stack: Stack,
}

#[cfg(not(any(greenlight_asan, greenlight_tsan)))]
struct Ways {
    here: std::cell::Cell<*mut u8>,
    there: std::cell::Cell<*mut u8>,
}

#[cfg(not(any(greenlight_asan, greenlight_tsan)))]
impl Switch {
    /// Takes a stack of the pool.
    #[allow(clippy::new_without_default)] // it is no value among others
    pub fn new() -> Self {
        let stack = Stack::take();
        let null = || std::cell::Cell::new(std::ptr::null_mut());
        let ways = Box::new(Ways { here: null(), there: null() });
        let top = TaskRef::stack_of(stack.0).top();
        let address = std::ptr::from_ref(&*ways).cast_mut().cast();
        // SAFETY: the end of a stack that is ours.
        ways.there.set(unsafe { crate::arch::prepare(top, mirror, address) });
        Self { ways, _stack: stack }
    }

    /// Two switches.
    pub fn there_and_back(&mut self) {
        // SAFETY: parked by P1. The mirror comes back, at once and on this thread, so nobody sees the stack that was left.
        unsafe { crate::arch::switch(self.ways.here.as_ptr(), self.ways.there.get()) }
    }
}

/// Goes back whenever it is entered.
///
/// # Safety
///
/// `ways` is a [`Ways`] that outlives the last switch to this stack.
#[cfg(not(any(greenlight_asan, greenlight_tsan)))]
unsafe extern "C" fn mirror(ways: *mut ()) -> *mut u8 {
    loop {
        // SAFETY: the caller's promise; `here` was parked by the switch that has brought us here (A1).
        unsafe {
            let ways = &*ways.cast::<Ways>();
            crate::arch::switch(ways.there.as_ptr(), ways.here.get());
        }
    }
}

/// A worker's list of tasks. They are headers of free slots: nobody starts them.
pub struct Queue {
    list: TaskList,
    _stacks: Vec<Stack>,
}

impl Queue {
    /// One of so many tasks.
    ///
    /// # Panics
    ///
    /// If there is no memory for their stacks.
    pub fn of(len: usize) -> Self {
        let stacks: Vec<_> = (0..len).map(|_| Stack::take()).collect();
        let list = TaskList::new();
        stacks.iter().for_each(|stack| list.push(TaskRef::of(stack.0)));
        Self { list, _stacks: stacks }
    }

    /// How many there are.
    #[allow(clippy::len_without_is_empty)] // nobody asks
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// The first one goes to the end: as a task that yields.
    pub fn turn(&mut self) {
        if let Some(task) = self.list.pop() {
            self.list.push(task);
        }
    }

    /// The first one is taken out and put back: as a task that starts the next one.
    pub fn turn_newest(&mut self) {
        if let Some(task) = self.list.pop() {
            self.list.push_first(task);
        }
    }

    /// Half of them are taken from the end, as by a thief, and put back.
    pub fn steal_half(&mut self) {
        let taken = TaskList::new();
        (0..self.list.len() / 2).filter_map(|_| self.list.pop_last()).for_each(|task| taken.push(task));
        self.list.append(taken);
    }
}

/// Alarms of which nothing comes.
pub struct Wheel(Alarms<()>);

/// Names an alarm of a [`Wheel`].
#[derive(Clone, Copy)]
pub struct Alarm(Key);

impl Wheel {
    /// Without alarms.
    #[allow(clippy::new_without_default)] // it is no value among others
    pub fn new() -> Self {
        Self(Alarms::new())
    }

    /// Sets one for `tick`, in nanoseconds.
    pub fn set(&mut self, tick: u64) -> Alarm {
        Alarm(self.0.set(tick, ()))
    }

    /// Whether it was still set.
    pub fn cancel(&mut self, alarm: Alarm) -> bool {
        self.0.take_out(alarm.0).is_some()
    }

    /// Takes the next one out that is due at `now`. False if there is none.
    pub fn fire(&mut self, now: u64) -> bool {
        self.0.pop_due(now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(any(greenlight_asan, greenlight_tsan)))]
    fn a_switch_comes_back() {
        let mut switches = [Switch::new(), Switch::new()];
        for turn in 0..1_000 {
            switches[turn % 2].there_and_back();
        }
        let [one, other] = &switches;
        assert_ne!(one.ways.there.get(), other.ways.there.get());
        assert_ne!(one.ways.here.get(), one.ways.there.get());
    }

    #[test]
    fn a_queue_loses_nobody() {
        for len in [0, 1, 2, 3, 100] {
            let mut queue = Queue::of(len);
            (0..len + 1).for_each(|_| queue.turn());
            (0..len + 1).for_each(|_| queue.turn_newest());
            (0..4).for_each(|_| queue.steal_half());
            assert_eq!(queue.len(), len);
            let mut tasks: Vec<_> = std::iter::from_fn(|| queue.list.pop()).map(|task| task.as_raw().addr()).collect();
            tasks.sort_unstable();
            tasks.dedup();
            assert_eq!(tasks.len(), len, "each of them once");
        }
    }

    #[test]
    fn a_wheel_fires_what_is_due_and_was_not_cancelled() {
        let mut wheel = Wheel::new();
        let alarms = [10, 1 << 20, 1 << 40].map(|tick| wheel.set(tick));
        assert!(wheel.cancel(alarms[1]) && !wheel.cancel(alarms[1]));
        assert!(!wheel.fire(9));
        assert!(wheel.fire(1 << 30) && !wheel.fire(1 << 30));
        assert!(wheel.fire(1 << 40) && !wheel.cancel(alarms[2]));
    }
}
