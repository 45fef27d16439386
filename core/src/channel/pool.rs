//! The bounded buffer in which nobody waits for anybody: a thread stopped for ever, after whichever step, keeps one
//! place at most, and all the others go on. So an interrupt handler may use it against the loop that it interrupted.
//!
//! ```text
//!   free ──▶ 5 ──▶ 2 ──▶ 4 ──▶ none             places to be had: nodes, each paired with a slot for a value
//!
//!   head ──▶ 0 ──▶ 3 ──▶ 1 ──▶ none | closed    the line; the head itself is spent, values stand behind it
//!            7     8     9                      the positions at which its nodes stand
//!   tail ──────────────▶ 1                      the end of the line, or one before it
//! ```
//!
//! Michael and Scott's queue and Treiber's stack over `n` slots and `n + 1` nodes, which go by numbers. A push takes a
//! pair (node, slot) from `free`, fills the slot and links the node. A pop moves `head` to the next node, reads the
//! slot that this one names, pairs the slot with the old head and puts that pair back on `free`.
//!
//! * P1  A node is on the free list, or owned by one thread, or in the line. A slot goes with the node that names it
//!   (`Link::slot`); the head names none. So owning a node is owning its slot, the value's memory; and who moves `head`
//!   owns the node it was on and the slot of the node it is on now.
//! * P2  `head` and `tail` hold a node's number and its position in the line, counted for ever; `next` of a node in the
//!   line holds that same position, with what follows. A node stands at a position from its link on, one node at each.
//!   So an exchange that starts from what was read finds the very node it means: a reused one has another position.
//! * P3  The line grows at its end: a `next` goes from none to a node, or to closed, by one exchange, and stays so.
//! * P4  Who links behind a node found `tail` on it, so `tail` is one before the end at most; whoever finds it there
//!   moves it. A node keeps its `next` until an owner has found `tail` at a later node, with none behind it: so the way
//!   on from `tail` is always there, even when `head` has overtaken it, and a pop need not look at `tail`.
//! * P5  The tag of `free` goes up with each take: a top that is the same with the same tag never left.
//!
//! # What a position is good for
//!
//! Positions and tags wrap. A thread is fooled if it sleeps inside a call while exactly a multiple of 2^k pushes (or
//! takes, for the tag) pass and the node that it looked at is back in the same role. Numbers take the fewest bits that
//! hold them, and the rest of the word counts: for 128 places k is 56 (20 years at 100 million a second). Where there
//! are only 32-bit atomics, k is 28 for 8 places, 24 for 128, and no less than 16: at a million a second, 4 minutes, 17
//! seconds, 66 milliseconds.
//!
//! # Not so
//!
//! Not a ring of slots with a stamp each: who stops between claiming a slot and filling it hides all that comes after.
//! Not the value in its own node, as in the paper: the node of the value becomes the head, so the next pop frees it,
//! maybe before this one has read it out; the paper reads before the exchange, what another may be writing.

use super::{
    buffer::Buffer,
    error::{TryRecvError, TrySendError},
    padded::Padded,
    shared::drain,
};
use crate::sync::{UnsafeCell, atomic::Ordering::*, const_unless_loom, model_fence, spin};
use core::{
    marker::PhantomData,
    mem::{self, MaybeUninit},
};
pub(super) use nodes::Node;
use nodes::{AtomicBits, Bits, Link, MOST, Nodes, Number, Tagged, Word};

mod nodes;

/// A pool in its own memory, for a static.
pub(super) type InlinePool<T, const N: usize> = Pool<T, [Node<T>; N]>;

/// A pool on the heap.
#[cfg(feature = "alloc")]
pub(super) type HeapPool<T> = Pool<T, alloc::boxed::Box<[Node<T>]>>;

/// | word   | operation          | order   | pairs with      | so that                                       | model  |
/// |--------|--------------------|---------|-----------------|-----------------------------------------------|--------|
/// | `next` | `link`             | SeqCst  | all looks       | the node's slot and its value are seen; B4    | 1 9    |
/// | `next` | `close`            | SeqCst  | all looks       | what was done before it is seen; B4           | 2 9    |
/// | `next` | `pop` looks        | SeqCst  | `link`, `close` | the same; "empty" is true of one moment       | 1 10   |
/// | `next` | `end` looks        | SeqCst  | `link`, `close` | a helper hands on what it saw; B4             | 3 9    |
/// | `next` | `may_pop` looks    | SeqCst  | `link`, `close` | B4                                            | 9      |
/// | `next` | an owner resets it | Relaxed | nothing         | `link` publishes it                           |        |
/// | `head` | `pop` moves it     | Release | its looks       | a `next` found through it is as new as it is, | 4 5 6  |
/// |        |                    |         |                 | no slot is read that the node gets only later | argued |
/// | `head` | looks, also `pops` | Acquire | `pop` moves it  | the same; "empty" brings what was done before | 4 5 6  |
/// |        |                    |         |                 |                                               | 11     |
/// | `head` | `len`'s second     | Relaxed | nothing         | `end` is between: it comes no earlier         |        |
/// | `tail` | `advance`          | Release | its look        | a `next` found through it is as new as it is  | 3      |
/// | `tail` | `end` looks        | Acquire | `advance`       | the same                                      | 3      |
/// | `free` | `put`              | SeqCst  | `take`'s looks, | the slot's last reader is done, `slot` and    | 7 9    |
/// |        |                    |         | `may_push`      | `below` are seen; B4                          |        |
/// | `free` | `take` looks       | SeqCst  | `put`, `take`   | the same; "full" is true of one moment        | 7 10   |
/// | `free` | a failed try looks | SeqCst  | `put`, `take`   | the same                                      | argued |
/// | `free` | `take` moves it    | Release | looks by others | who finds no place sees what the taker did    | 8 11   |
/// |        |                    |         |                 | before: a `default` arm relies on it          |        |
/// | `free` | `pushes` looks     | Acquire | `take`          | the same                                      | 11     |
/// | `free` | `may_push` looks   | SeqCst  | `put`           | B4                                            | 9      |
/// | `slot` | all                | Relaxed | nothing         | they go with their node, whose `link` or      |        |
/// | `below`|                    |         |                 | `put` publishes them                          |        |
///
/// Made Relaxed, each fails the model `pool_…`: 1 `two_pushes_meet_a_pop`, 2 `close_meets_a_push`,
/// 3 `tail_is_helped_along`, 4 `two_pops_of_one_push`, 5 `len_stays_in_bounds`, 6 `may_pop_looks_in_order`,
/// 7 `place_has_one_owner`, 8 `full_after_room_elsewhere`; and weakened by one step those of `buffer/models.rs`:
/// 9 `…_meets_waiter`, `…_receiver`, `…_sender`, 10 `…_cross_at_empty` and `…_at_full`, `closes_cross_at_the_end`, 11 `…_brings`.
///
/// Argued, as the checker has no read of what is yet to be written:
///
/// * `head`: were the exchange Relaxed, a pop might read the slot that its node gets only once it is free.
/// * A failed try that finds no place is a look like the first: of two who each made room in one pool and then find no place in
///   the other, the later one, in the order of all SeqCst operations, would have found what the other one had put back.
///
/// Why `may_pop` is right when it finds none behind a head at position p: a link from p on that precedes the announcement has
/// one from p itself before it (each `link` comes after the one before, by `tail` and `end`), or is that; so the look, which is
/// later, would have found that. What was linked before p was popped before `head` was there.
/// `len` is of one moment, but of two who pop and then ask for each other's, both may count what the other has taken.
pub struct Pool<T, S: Nodes<T> + ?Sized> {
    head: Padded<AtomicBits>,
    tail: Padded<AtomicBits>,
    free: Padded<AtomicBits>,
    /// Node 0, the one more than there are slots: the first head.
    spare: Link,
    _values: PhantomData<T>,
    /// The model checker tries a look of one thread after another's exchange only if that one did not itself look in
    /// between, which would leave out most of what there is to check here. So in models each access is counted first.
    #[cfg(loom)]
    accesses: AtomicBits,
    /// Nodes 1 to `n`, with the slots of these numbers. The last, so that `n` need not be in the type.
    nodes: S,
}

// SAFETY: by P1 a value is with one thread at a time; a `&Pool` never yields a `&T`.
unsafe impl<T: Send, S: Nodes<T> + ?Sized> Sync for Pool<T, S> {}

impl<T, const N: usize> InlinePool<T, N> {
    const_unless_loom! {
        /// An empty pool of `N` places. All its bytes are zero, so in a static it takes no room in the program's image.
        pub(crate) fn new() -> Self {
            const { assert!(N > 0 && N <= MOST) };
            #[cfg(not(loom))]
            let nodes = [const { Node::new() }; N];
            #[cfg(loom)]
            let nodes = core::array::from_fn(|_| Node::new());
            Self::of(nodes)
        }
    }
}

#[cfg(feature = "alloc")]
impl<T> HeapPool<T> {
    /// An empty pool of `capacity` places.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0, or too large for the numbers or the memory.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        assert!(capacity > 0, "a pool holds at least one value");
        assert!(capacity <= MOST, "a strict channel holds at most {MOST} values, not {capacity}");
        let mut nodes = alloc::boxed::Box::<[Node<T>]>::new_uninit_slice(capacity);
        for node in &mut nodes {
            Node::write_to(node);
        }
        // SAFETY: each was written.
        Self::of(unsafe { nodes.assume_init() })
    }
}

impl<T, S: Nodes<T>> Pool<T, S> {
    /// The pool of these nodes, which are new.
    #[cfg(not(loom))]
    const fn of(nodes: S) -> Self {
        let [head, tail, free] = [const { Padded(AtomicBits::new(0)) }; 3];
        Self { head, tail, free, spare: Link::new(), _values: PhantomData, nodes }
    }

    #[cfg(loom)]
    fn of(nodes: S) -> Self {
        let [head, tail, free] = core::array::from_fn(|_| Padded(AtomicBits::new(0)));
        Self { head, tail, free, spare: Link::new(), _values: PhantomData, accesses: AtomicBits::new(0), nodes }
    }
}

impl<T, S: Nodes<T> + ?Sized> Pool<T, S> {
    /// The number for "none": behind the last node, below the lowest.
    #[inline(always)]
    fn none(&self) -> Number {
        self.nodes.nodes().len() as Number + 1
    }

    /// The number for "the line ends here for good".
    #[inline(always)]
    fn closed(&self) -> Number {
        self.none() + 1
    }

    /// How many bits a number takes.
    #[inline(always)]
    fn cut(&self) -> u32 {
        Number::BITS - self.closed().leading_zeros()
    }

    #[inline(always)]
    fn tag_after(&self, tag: Bits) -> Bits {
        tag.wrapping_add(1) & (Bits::MAX >> self.cut())
    }

    // A new pool: 0 is the head and the end; 1 is free, above 2, above 3 ... above n, each with the slot of its number.
    #[inline(always)]
    fn head(&self) -> Word<'_> {
        self.word(&self.head, 0)
    }

    #[inline(always)]
    fn tail(&self) -> Word<'_> {
        self.word(&self.tail, 0)
    }

    #[inline(always)]
    fn free(&self) -> Word<'_> {
        self.word(&self.free, 1)
    }

    #[inline(always)]
    fn next(&self, node: Number) -> Word<'_> {
        self.word(&self.link_of(node).next, self.none())
    }

    #[inline(always)]
    fn word<'a>(&'a self, bits: &'a AtomicBits, first: Number) -> Word<'a> {
        #[cfg(loom)]
        self.accesses.fetch_add(1, Relaxed);
        Word { bits, first, cut: self.cut() }
    }

    #[inline(always)]
    fn link_of(&self, node: Number) -> &Link {
        self.nodes.nodes().get((node as usize).wrapping_sub(1)).map_or(&self.spare, |node| &node.link)
    }

    #[inline(always)]
    fn cell(&self, slot: Number) -> &UnsafeCell<MaybeUninit<T>> {
        &self.nodes.nodes()[slot as usize - 1].cell
    }

    #[inline(always)]
    fn slot_of(&self, node: Number) -> Number {
        self.link_of(node).slot(node)
    }

    /// Takes a node, with its slot, from the free list.
    #[inline]
    fn take(&self) -> Option<Number> {
        let mut top = self.free().load(SeqCst);
        while top.number != self.none() {
            // If somebody takes the node meanwhile, this may be anything; then the exchange fails (P5).
            let below = self.link_of(top.number).below(top.number);
            let rest = Tagged { tag: self.tag_after(top.tag), number: below };
            match self.free().exchange(top, rest, Release, SeqCst) {
                Ok(()) => return Some(top.number),
                Err(found) => top = found,
            }
        }
        None
    }

    /// Puts an owned node, with its slot, on the free list.
    #[inline]
    fn put(&self, node: Number) {
        let mut top = self.free().load(Relaxed);
        loop {
            self.link_of(node).put_on(node, top.number);
            match self.free().exchange(top, Tagged { number: node, ..top }, SeqCst, Relaxed) {
                Ok(()) => return,
                Err(found) => top = found,
            }
        }
    }

    /// The last node, and its `next`: none or closed.
    #[inline]
    fn end(&self) -> (Tagged, Tagged) {
        let mut turn = 0;
        loop {
            let tail = self.tail().load(Acquire);
            let next = self.next(tail.number).load(SeqCst);
            if next.tag != tail.tag {
                self.got_ahead(tail, next);
                spin(&mut turn);
            } else if next.number >= self.none() {
                return (tail, next);
            } else {
                self.advance(tail, next.number);
            }
        }
    }

    /// Moves `tail` on to the node behind it, if nobody did yet.
    #[inline]
    fn advance(&self, tail: Tagged, next: Number) {
        let end = Tagged { tag: self.tag_after(tail.tag), number: next };
        let _ = self.tail().exchange(tail, end, Release, Relaxed);
    }

    /// Adds an owned node, whose slot is full, to the line. False if that is closed; then the node is still owned.
    #[inline]
    fn link(&self, node: Number) -> bool {
        let mut turn = 0;
        loop {
            let (tail, next) = self.end();
            if next.number == self.closed() {
                return false;
            }
            // `tail` is at a node in the line, so beyond this one: P4.
            self.next(node).store(Tagged { tag: self.tag_after(tail.tag), number: self.none() }, Relaxed);
            if self.next(tail.number).exchange(next, Tagged { number: node, ..next }, SeqCst, Relaxed).is_ok() {
                self.advance(tail, node);
                return true;
            }
            spin(&mut turn);
        }
    }

    /// `next` is not of the position at which its node was found: the node was reused since, so others got on. In
    /// models this is checked: were `next` the older of the two, another try might be no better.
    #[inline(always)]
    fn got_ahead(&self, _found: Tagged, _next: Tagged) {
        #[cfg(loom)]
        assert!(
            _next.tag.wrapping_sub(_found.tag) & (Bits::MAX >> self.cut()) < Bits::MAX >> (self.cut() + 1),
            "a look at `next` older than the word that led to it"
        );
    }

    /// Pushes `value` in an owned node. Gives both back if the line is closed.
    #[inline]
    fn fill_node(&self, node: Number, value: T) -> Result<(), T> {
        let cell = self.cell(self.slot_of(node));
        // SAFETY: P1: the node is ours, and so is its slot.
        cell.with_mut(|cell| unsafe { _ = (*cell).write(value) });
        if self.link(node) {
            return Ok(());
        }
        // SAFETY: not linked, so still ours, and written above.
        let value = cell.with_mut(|cell| unsafe { (*cell).assume_init_read() });
        self.put(node);
        Err(value)
    }

    #[cold]
    fn full(&self) -> TrySendError<()> {
        if self.is_closed() { TrySendError::Disconnected(()) } else { TrySendError::Full(()) }
    }
}

impl<T, S: Nodes<T> + ?Sized> Buffer<T> for Pool<T, S> {
    type Place = usize;

    /// `Full` if no place was free at a moment: one that is reserved, or that a stopped call holds, is not.
    #[inline]
    fn push(&self, value: T) -> Result<(), TrySendError<T>> {
        match self.take() {
            Some(node) => self.fill_node(node, value).map_err(TrySendError::Disconnected),
            None => Err(match self.full() {
                TrySendError::Full(()) => TrySendError::Full(value),
                TrySendError::Disconnected(()) => TrySendError::Disconnected(value),
            }),
        }
    }

    #[inline]
    fn pop(&self) -> Result<T, TryRecvError> {
        let mut turn = 0;
        loop {
            let head = self.head().load(Acquire);
            let next = self.next(head.number).load(SeqCst);
            if next.tag != head.tag {
                self.got_ahead(head, next);
            } else if next.number == self.none() {
                return Err(TryRecvError::Empty);
            } else if next.number == self.closed() {
                return Err(TryRecvError::Disconnected);
            } else {
                // Now: once `head` is there, the next pop may give it another slot.
                let slot = self.slot_of(next.number);
                let moved = Tagged { tag: self.tag_after(head.tag), ..next };
                if self.head().exchange(head, moved, Release, Relaxed).is_ok() {
                    // SAFETY: P1: we moved `head`, so the slot is ours; its node was linked, so it is full.
                    let value = self.cell(slot).with_mut(|cell| unsafe { (*cell).assume_init_read() });
                    self.link_of(head.number).pair_with(head.number, slot);
                    self.put(head.number);
                    return Ok(value);
                }
            }
            spin(&mut turn);
        }
    }

    #[inline]
    fn reserve(&self) -> Result<usize, TrySendError<()>> {
        let Some(node) = self.take() else { return Err(self.full()) };
        if self.is_closed() {
            self.put(node);
            return Err(TrySendError::Disconnected(()));
        }
        Ok(node as usize)
    }

    #[inline]
    unsafe fn fill(&self, place: usize, value: T) -> Result<(), T> {
        self.fill_node(place as Number, value)
    }

    #[inline]
    unsafe fn give_back(&self, place: usize) {
        self.put(place as Number);
    }

    fn close(&self) -> bool {
        let mut turn = 0;
        loop {
            let (tail, next) = self.end();
            if next.number == self.closed() {
                return false;
            }
            let closed = Tagged { number: self.closed(), ..next };
            if self.next(tail.number).exchange(next, closed, SeqCst, Relaxed).is_ok() {
                return true;
            }
            spin(&mut turn);
        }
    }

    fn is_closed(&self) -> bool {
        self.end().1.number == self.closed()
    }

    fn capacity(&self) -> usize {
        self.nodes.nodes().len()
    }

    /// The values in the line at a moment: without places that are reserved, which may stay so.
    fn len(&self) -> usize {
        loop {
            let head = self.head().load(Acquire);
            let (tail, _) = self.end();
            // A position does not come back, so there was no pop in between.
            if self.head().load(Relaxed) == head {
                return (tail.tag.wrapping_sub(head.tag) & (Bits::MAX >> self.cut())) as usize;
            }
        }
    }

    fn may_pop(&self) -> bool {
        model_fence();
        let head = self.head().load(Acquire);
        let next = self.next(head.number).load(SeqCst);
        if next.tag != head.tag {
            // Somebody popped meanwhile, so there may be more.
            self.got_ahead(head, next);
        }
        next != Tagged { number: self.none(), ..head }
    }

    fn may_push(&self) -> bool {
        model_fence();
        self.free().load(SeqCst).number != self.none() || self.is_closed()
    }

    /// The position of `head`.
    fn pops(&self) -> usize {
        self.head().load(Acquire).tag as usize
    }

    /// The tag of `free`: it goes up with each place that is taken.
    fn pushes(&self) -> usize {
        self.free().load(Acquire).tag as usize
    }

    #[cfg(all(test, loom))]
    fn touch(&self) {
        let nexts = (0..self.none()).map(|node| &self.link_of(node).next);
        nexts.chain([&*self.head, &*self.tail, &*self.free]).for_each(|word| _ = word.fetch_add(0, SeqCst));
    }
}

impl<T, S: Nodes<T> + ?Sized> Drop for Pool<T, S> {
    fn drop(&mut self) {
        if mem::needs_drop::<T>() {
            drain(self);
        }
    }
}

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, feature = "std", not(loom)))]
mod tests;
