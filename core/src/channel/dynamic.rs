//! `Select`: a select over a list that is made at run time.
//!
//! The list keeps the operations (`Operand`); each selection makes their arms, and the chosen one's arm goes out with the
//! `SelectedOperation`, which finishes it.
//!
//! * D1  The arm of a `SelectedOperation` is the `RecvArm`, or the `SendArm`, of the channel whose address is in its key. Two
//!   channels that are alive have different addresses, so whoever shows a handle with this key shows the type as well.

use super::{
    Receiver, Sender,
    arms::{RecvArm, SendArm, WatchArm},
    error::{ReadyTimeoutError, RecvError, SelectTimeoutError, SendError, TryReadyError, TrySelectError},
    home::Home,
    select::{Arm, Limit, Numbered, run},
};
use alloc::{boxed::Box, vec::Vec};
use core::{fmt, marker::PhantomData, mem, panic::Location, time::Duration};

/// Which channel, and which side of it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    channel: usize,
    sends: bool,
}

/// A handle in the list.
trait Operand {
    fn key(&self) -> Key;
    fn arm(&self) -> Box<dyn Arm + '_>;
    fn watch(&self) -> Box<dyn Arm + '_>;
}

impl<T, H: Home<T>> Operand for Receiver<T, H> {
    fn key(&self) -> Key {
        Key { channel: core::ptr::from_ref(self.shared()).addr(), sends: false }
    }

    fn arm(&self) -> Box<dyn Arm + '_> {
        Box::new(RecvArm::new(self.shared()))
    }

    fn watch(&self) -> Box<dyn Arm + '_> {
        Box::new(WatchArm::receive(self.shared()))
    }
}

impl<T, H: Home<T>> Operand for Sender<T, H> {
    fn key(&self) -> Key {
        Key { channel: core::ptr::from_ref(self.shared()).addr(), sends: true }
    }

    fn arm(&self) -> Box<dyn Arm + '_> {
        Box::new(SendArm::new(self.shared()))
    }

    fn watch(&self) -> Box<dyn Arm + '_> {
        Box::new(WatchArm::send(self.shared()))
    }
}

/// Waits for the first of several operations on a list that is made at run time.
///
/// Operations are added by [`send`](Self::send) and [`recv`](Self::recv), which return their index. Then there are two ways:
///
/// * [`select`](Self::select) chooses an operation that can happen; it has to be finished by
///   [`SelectedOperation::send`] or [`SelectedOperation::recv`] on the same channel.
/// * [`ready`](Self::ready) says which one would not wait, and leaves it at that: by the time it is tried, another may have been
///   quicker.
///
/// The list can be used again and again. Where the operations are known when the program is written,
/// [`select!`](crate::select) is simpler and allocates nothing.
///
/// # Examples
///
/// ```
/// use greenlight_core::channel::{Select, unbounded};
///
/// let channels: Vec<_> = (0..3).map(|_| unbounded()).collect();
/// channels[1].0.send("hello").unwrap();
///
/// let mut select = Select::new();
/// for (_, rx) in &channels {
///     select.recv(rx);
/// }
/// let chosen = select.select();
/// let index = chosen.index();
/// assert_eq!((index, chosen.recv(&channels[index].1)), (1, Ok("hello")));
/// ```
pub struct Select<'a> {
    /// In the order of their indices. Of those that were removed, some are left, no more than half of all.
    entries: Vec<Entry<'a>>,
    removed: usize,
    next: usize,
    biased: bool,
}

#[derive(Clone)]
struct Entry<'a> {
    index: usize,
    operand: &'a dyn Operand,
    removed: bool,
}

// SAFETY: the list only borrows handles, which do not care about threads; what their values need is asked for when an
// operation is used: a value is sent and received in the thread that calls.
unsafe impl Send for Select<'_> {}
// SAFETY: as above, and every method that does anything wants `&mut`.
unsafe impl Sync for Select<'_> {}

impl<'a> Select<'a> {
    /// An empty list. Of several operations that can happen, one is chosen at random.
    pub fn new() -> Self {
        Self { entries: Vec::new(), removed: 0, next: 0, biased: false }
    }

    /// An empty list. Of several operations that can happen, the one that was added first is chosen.
    pub fn new_biased() -> Self {
        Self { biased: true, ..Self::new() }
    }

    /// Adds a send, and returns its index.
    pub fn send<T, H: Home<T>>(&mut self, sender: &'a Sender<T, H>) -> usize {
        self.add(sender)
    }

    /// Adds a receive, and returns its index.
    pub fn recv<T, H: Home<T>>(&mut self, receiver: &'a Receiver<T, H>) -> usize {
        self.add(receiver)
    }

    fn add(&mut self, operand: &'a dyn Operand) -> usize {
        let index = self.next;
        self.next += 1;
        self.entries.push(Entry { index, operand, removed: false });
        index
    }

    /// Takes an operation out. The others keep their indices.
    ///
    /// # Panics
    ///
    /// If there is no operation with this index, or it was removed before.
    ///
    /// # Cost
    ///
    /// A binary search; and of many removals each its share of a walk through the list.
    pub fn remove(&mut self, index: usize) {
        assert!(index < self.next, "index out of bounds; {index} >= {}", self.next);
        let found = self.entries.binary_search_by_key(&index, |entry| entry.index).ok();
        let Some(entry) = found.map(|at| &mut self.entries[at]).filter(|entry| !entry.removed) else {
            panic!("no operation with this index: {index} was removed before")
        };
        entry.removed = true;
        self.removed += 1;
        if self.removed > self.entries.len() / 2 {
            self.clear_up();
        }
    }

    /// Drops the places of those that were removed.
    fn clear_up(&mut self) {
        self.entries.retain(|entry| !entry.removed);
        self.removed = 0;
    }

    /// Chooses an operation that can happen now.
    ///
    /// # Errors
    ///
    /// If none can.
    #[track_caller]
    pub fn try_select(&mut self) -> Result<SelectedOperation<'a>, TrySelectError> {
        self.choose(Limit::Zero).ok_or(TrySelectError)
    }

    /// Waits until an operation can happen, and chooses it.
    ///
    /// # Panics
    ///
    /// If the list is empty.
    #[track_caller]
    pub fn select(&mut self) -> SelectedOperation<'a> {
        self.demand_operations();
        self.choose(Limit::None).unwrap_or_else(|| unreachable!("a select without an end has none"))
    }

    /// Waits for `limit` at most until an operation can happen, and chooses it.
    ///
    /// # Errors
    ///
    /// If the time is up.
    #[track_caller]
    pub fn select_timeout(&mut self, limit: Duration) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        self.choose(Limit::For(limit)).ok_or(SelectTimeoutError)
    }

    /// Waits until `deadline` at most until an operation can happen, and chooses it.
    ///
    /// # Errors
    ///
    /// If the time is up.
    #[cfg(feature = "std")]
    #[track_caller]
    pub fn select_deadline(
        &mut self,
        deadline: std::time::Instant,
    ) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        self.select_timeout(deadline.saturating_duration_since(std::time::Instant::now()))
    }

    /// The index of an operation that would not wait now.
    ///
    /// # Errors
    ///
    /// If all would.
    #[track_caller]
    pub fn try_ready(&mut self) -> Result<usize, TryReadyError> {
        self.watch(Limit::Zero).ok_or(TryReadyError)
    }

    /// Waits until an operation would not wait, and returns its index.
    ///
    /// # Panics
    ///
    /// If the list is empty.
    #[track_caller]
    pub fn ready(&mut self) -> usize {
        self.demand_operations();
        self.watch(Limit::None).unwrap_or_else(|| unreachable!("a select without an end has none"))
    }

    /// Waits for `limit` at most until an operation would not wait, and returns its index.
    ///
    /// # Errors
    ///
    /// If the time is up.
    #[track_caller]
    pub fn ready_timeout(&mut self, limit: Duration) -> Result<usize, ReadyTimeoutError> {
        self.watch(Limit::For(limit)).ok_or(ReadyTimeoutError)
    }

    /// Waits until `deadline` at most until an operation would not wait, and returns its index.
    ///
    /// # Errors
    ///
    /// If the time is up.
    #[cfg(feature = "std")]
    #[track_caller]
    pub fn ready_deadline(&mut self, deadline: std::time::Instant) -> Result<usize, ReadyTimeoutError> {
        self.ready_timeout(deadline.saturating_duration_since(std::time::Instant::now()))
    }

    #[track_caller]
    fn demand_operations(&self) {
        assert!(self.entries.len() > self.removed, "no operations have been added to `Select`");
    }

    #[track_caller]
    fn choose(&mut self, limit: Limit) -> Option<SelectedOperation<'a>> {
        let mut arms = self.arms(|operand| operand.arm());
        let at = self.run(&mut arms, limit, Location::caller())?;
        let Entry { index, operand, removed: false } = &self.entries[at] else { unreachable!("cleared up") };
        let arm = Some(arms.swap_remove(at));
        Some(SelectedOperation { index: *index, key: operand.key(), arm, _handles: PhantomData })
    }

    #[track_caller]
    fn watch(&mut self, limit: Limit) -> Option<usize> {
        let mut arms = self.arms(|operand| operand.watch());
        let at = self.run(&mut arms, limit, Location::caller())?;
        Some(self.entries[at].index)
    }

    /// An arm for each entry, none of which is a removed one.
    fn arms(&mut self, make: impl Fn(&'a dyn Operand) -> Box<dyn Arm + 'a>) -> Vec<Box<dyn Arm + 'a>> {
        if self.removed > 0 {
            self.clear_up();
        }
        self.entries.iter().map(|entry| make(entry.operand)).collect()
    }

    fn run(&self, arms: &mut [Box<dyn Arm + 'a>], limit: Limit, site: &'static Location<'static>) -> Option<usize> {
        let numbered = arms.iter_mut().enumerate().map(|(index, arm)| Numbered::new(index, &mut **arm));
        run(&mut numbered.collect::<Vec<_>>(), limit, self.biased, site)
    }
}

impl Default for Select<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Select<'_> {
    fn clone(&self) -> Self {
        Self { entries: self.entries.clone(), ..*self }
    }
}

impl fmt::Debug for Select<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Select { .. }")
    }
}

/// An operation that a [`Select`] has chosen, to be finished by [`send`](Self::send) or [`recv`](Self::recv).
///
/// # Panics
///
/// Dropping it unfinished panics. The channel is as if it had not been chosen, but a value that had been received is dropped.
#[must_use = "a chosen operation has to be finished"]
pub struct SelectedOperation<'a> {
    index: usize,
    key: Key,
    arm: Option<Box<dyn Arm + 'a>>,
    _handles: PhantomData<&'a ()>,
}

impl SelectedOperation<'_> {
    /// The index that [`Select::send`] or [`Select::recv`] returned.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Sends `value`: never waits.
    ///
    /// # Errors
    ///
    /// Gives the value back if the channel is closed.
    ///
    /// # Panics
    ///
    /// If the chosen operation is not a send on the channel of `sender`.
    pub fn send<'s, T, H: Home<T>>(mut self, sender: &'s Sender<T, H>, value: T) -> Result<(), SendError<T>> {
        assert!(self.key == sender.key(), "passed a sender that wasn't selected");
        let Some(arm) = self.arm.take() else { unreachable!("finished once") };
        // SAFETY: D1: this is what `Sender<T, H>::arm` made.
        let mut arm = unsafe { Box::from_raw(Box::into_raw(arm).cast::<SendArm<'s, T, H::Buffer>>()) };
        arm.send(value)
    }

    /// Returns what was received: never waits.
    ///
    /// # Errors
    ///
    /// If the channel is closed and nothing is left in it.
    ///
    /// # Panics
    ///
    /// If the chosen operation is not a receive on the channel of `receiver`.
    pub fn recv<'r, T, H: Home<T>>(mut self, receiver: &'r Receiver<T, H>) -> Result<T, RecvError> {
        assert!(self.key == receiver.key(), "passed a receiver that wasn't selected");
        let Some(arm) = self.arm.take() else { unreachable!("finished once") };
        // SAFETY: D1: this is what `Receiver<T, H>::arm` made.
        let mut arm = unsafe { Box::from_raw(Box::into_raw(arm).cast::<RecvArm<'r, T, H::Buffer>>()) };
        arm.take().unwrap_or_else(|| unreachable!("chosen, so it has a result"))
    }
}

impl Drop for SelectedOperation<'_> {
    fn drop(&mut self) {
        if self.arm.is_none() {
            return;
        }
        let arm = mem::take(&mut self.arm);
        drop(arm);
        #[cfg(feature = "std")]
        if std::thread::panicking() {
            return;
        }
        panic!("dropped `SelectedOperation` without completing the operation");
    }
}

impl fmt::Debug for SelectedOperation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("SelectedOperation { .. }")
    }
}
