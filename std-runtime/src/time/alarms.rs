//! What is to happen when: a wheel above a heap, which read no clock. So a test can run them on any time it likes.
//!
//! ```text
//!          later ◀──────────────────────────────────────────────────── sooner
//!
//!   wheel  [ level 7 ] … [ level 1: 64 lists of 4 ms each ] [ level 0: 64 lists of 65 µs each ]  │  heap, in order
//!                 │                                 │                     ▲                 │    ▲
//!                 └── a list that comes next is ────┴─ dealt out anew, ───┴─────────────────┴────┘
//!                     once the heap is empty
//!
//!   seats  where an alarm stays while it is set: its place in the heap, or its neighbours in a list of the wheel
//! ```
//!
//! * S1  The heap has all alarms before the end of the grain of time in which `start` lies, the wheel all others. `start` is moved
//!   while the heap is empty, to the beginning of the list that comes next: so none is passed by.
//! * S2  An alarm of the wheel is in the list of the first digit, to the base of 64 and from above, in which its tick differs from
//!   `start`: level is the digit's place, slot its value. So a level's alarms all come before those of the next, and in a level
//!   the slots are in order. `full` has a bit for each list that is not empty.
//! * S3  A seat that is taken names its alarm's place in the heap, whose entry names the seat; or its list, and its neighbours
//!   there. Whoever moves them writes that. One that is not taken names the next free one. A key's number tells its alarm from
//!   those that had the seat before, and will have it after.
//!
//! So to set an alarm and to take it out costs the same however many there are, but for the few that are due next; nothing is
//! allocated, unless there are more alarms than ever before. Most timers are limits that are taken out long before. (100,000
//! alarms that are set and go off cost 75 ns each, beside 120 in a `BTreeSet`, and 140 in the heap alone; set and taken out, 60, 200
//! and 30.)

use greenlight_core::park::Tick;
use std::mem;

/// Names one alarm of an [`Alarms`]. Those that are due at the same tick go off in the order in which they were set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) tick: Tick,
    /// The alarm's own number, and below it that of its seat.
    pub(crate) number: u64,
}

impl Key {
    fn new(entry: Entry) -> Self {
        Self { tick: entry.tick, number: u64::from(entry.number) << 32 | u64::from(entry.seat) }
    }

    fn seat(self) -> u32 {
        self.number as u32
    }

    fn alarm(self) -> u32 {
        (self.number >> 32) as u32
    }
}

#[derive(Clone, Copy)]
struct Entry {
    tick: Tick,
    number: u32,
    seat: u32,
}

impl Entry {
    /// Numbers begin anew after the last. Of two, the first is the one from which on the other is less than half of all away.
    fn is_before(self, other: Self) -> bool {
        self.tick < other.tick || (self.tick == other.tick && self.number.wrapping_sub(other.number) > u32::MAX / 2)
    }
}

/// S3.
struct Seat<A> {
    tick: Tick,
    number: u32,
    place: Place,
    /// None if it is not taken.
    action: Option<A>,
}

#[derive(Clone, Copy)]
enum Place {
    Free { next: u32 },
    Heap(u32),
    Wheel { level: u8, slot: u8, next: u32, previous: u32 },
}

/// No seat.
const NONE: u32 = u32::MAX;
/// The children of an entry of the heap: they fill one cache line.
const CHILDREN: usize = 4;
/// A grain of time is so many bits of a tick: 65 µs.
const GRAIN: u32 = 16;
/// The bits of a digit.
const DIGIT: u32 = 6;
const SLOTS: usize = 1 << DIGIT;
const LEVELS: usize = ((Tick::BITS - GRAIN) / DIGIT) as usize;
/// More seats than this are given back when the last alarm is gone.
const KEPT: usize = 1024;

pub(crate) struct Alarms<A> {
    /// Each before its children.
    heap: Vec<Entry>,
    start: Tick,
    /// The first of each list.
    lists: [[u32; SLOTS]; LEVELS],
    full: [u64; LEVELS],
    seats: Vec<Seat<A>>,
    free: u32,
    count: usize,
    numbers: u32,
}

impl<A> Alarms<A> {
    pub(crate) const fn new() -> Self {
        Self {
            heap: Vec::new(),
            start: 0,
            lists: [[NONE; SLOTS]; LEVELS],
            full: [0; LEVELS],
            seats: Vec::new(),
            free: NONE,
            count: 0,
            numbers: 0,
        }
    }

    pub(crate) fn set(&mut self, tick: Tick, action: A) -> Key {
        let number = self.numbers;
        self.numbers = number.wrapping_add(1);
        let taken = Seat { tick, number, place: Place::Heap(0), action: Some(action) };
        let seat = match self.seats.get(self.free as usize).map(|seat| seat.place) {
            Some(Place::Free { next }) => {
                let seat = mem::replace(&mut self.free, next);
                self.seats[seat as usize] = taken;
                seat
            }
            _ => {
                let seat =
                    u32::try_from(self.seats.len()).ok().filter(|seat| *seat != NONE).expect("room for an alarm");
                self.seats.push(taken);
                seat
            }
        };
        self.count += 1;
        let entry = Entry { tick, number, seat };
        self.deal(entry);
        Key::new(entry)
    }

    /// None if it has gone off, or was taken out before.
    pub(crate) fn take_out(&mut self, key: Key) -> Option<A> {
        let seat = self.seats.get(key.seat() as usize)?;
        // The tick too: numbers begin anew after 2^32 alarms.
        if (seat.tick, seat.number) != (key.tick, key.alarm()) {
            return None;
        }
        match seat.place {
            Place::Free { .. } => return None,
            Place::Heap(place) => self.leave_heap(place as usize),
            Place::Wheel { level, slot, next, previous } => self.leave_wheel(level, slot, next, previous),
        }
        Some(self.leave_seat(key.seat()))
    }

    /// The next one whose time has come.
    pub(crate) fn pop_due(&mut self, now: Tick) -> Option<A> {
        self.first().filter(|first| *first <= now)?;
        let seat = self.heap[0].seat;
        self.leave_heap(0);
        Some(self.leave_seat(seat))
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// When the next one is due.
    pub(crate) fn first(&mut self) -> Option<Tick> {
        while self.heap.is_empty() && !self.is_empty() {
            self.go_on();
        }
        self.heap.first().map(|entry| entry.tick)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Puts an alarm that has its seat where it belongs: S1, S2.
    fn deal(&mut self, entry: Entry) {
        let differs = (entry.tick ^ self.start) >> GRAIN;
        if entry.tick < self.start || differs == 0 {
            self.heap.push(entry);
            return self.rise(self.heap.len() - 1, entry);
        }
        let level = differs.ilog2() / DIGIT;
        let slot = (entry.tick >> (GRAIN + DIGIT * level)) as usize % SLOTS;
        let next = mem::replace(&mut self.lists[level as usize][slot], entry.seat);
        self.full[level as usize] |= 1 << slot;
        self.link(next, |_, previous| *previous = entry.seat);
        self.seats[entry.seat as usize].place =
            Place::Wheel { level: level as u8, slot: slot as u8, next, previous: NONE };
    }

    /// Deals out the list that comes next. The heap is empty, the wheel is not.
    fn go_on(&mut self) {
        let level = self.full.iter().position(|full| *full != 0).expect("an alarm");
        let slot = self.full[level].trailing_zeros();
        self.full[level] &= !(1 << slot);
        let mut next = mem::replace(&mut self.lists[level][slot as usize], NONE);
        let digits = GRAIN + DIGIT * level as u32;
        self.start = self.seats[next as usize].tick >> digits << digits;
        while let Some(Seat { tick, number, place: Place::Wheel { next: after, .. }, .. }) =
            self.seats.get(next as usize)
        {
            let entry = Entry { tick: *tick, number: *number, seat: next };
            next = *after;
            self.deal(entry);
        }
    }

    fn leave_wheel(&mut self, level: u8, slot: u8, next: u32, previous: u32) {
        self.link(next, |_, its_previous| *its_previous = previous);
        self.link(previous, |its_next, _| *its_next = next);
        if previous == NONE {
            self.lists[level as usize][slot as usize] = next;
            if next == NONE {
                self.full[level as usize] &= !(1 << slot);
            }
        }
    }

    /// Changes `next` and `previous` of a seat whose alarm is in the wheel. Nothing, for no seat.
    fn link(&mut self, seat: u32, change: impl FnOnce(&mut u32, &mut u32)) {
        if let Some(Place::Wheel { next, previous, .. }) = self.seats.get_mut(seat as usize).map(|seat| &mut seat.place)
        {
            change(next, previous);
        }
    }

    fn leave_seat(&mut self, seat: u32) -> A {
        let left = &mut self.seats[seat as usize];
        left.place = Place::Free { next: mem::replace(&mut self.free, seat) };
        let action = left.action.take().expect("a taken seat");
        self.count -= 1;
        if self.is_empty() && self.seats.len() > KEPT {
            (self.heap, self.seats, self.free) = (Vec::new(), Vec::new(), NONE);
        }
        action
    }

    fn leave_heap(&mut self, place: usize) {
        let last = self.heap.pop().expect("at least the one that leaves");
        if place == self.heap.len() {
            return;
        }
        if place > 0 && last.is_before(self.heap[(place - 1) / CHILDREN]) {
            self.rise(place, last);
        } else {
            self.sink(place, last);
        }
    }

    /// Puts `entry` into the heap at `place`, where there is room, or above it.
    fn rise(&mut self, mut place: usize, entry: Entry) {
        while place > 0 {
            let above = (place - 1) / CHILDREN;
            if !entry.is_before(self.heap[above]) {
                break;
            }
            self.put(place, self.heap[above]);
            place = above;
        }
        self.put(place, entry);
    }

    /// Puts `entry` into the heap at `place`, where there is room, or below it.
    fn sink(&mut self, mut place: usize, entry: Entry) {
        loop {
            let children = place * CHILDREN + 1..self.heap.len().min((place + 1) * CHILDREN + 1);
            let first = children.reduce(|first, child| match self.heap[child].is_before(self.heap[first]) {
                true => child,
                false => first,
            });
            let Some(first) = first.filter(|first| self.heap[*first].is_before(entry)) else { break };
            self.put(place, self.heap[first]);
            place = first;
        }
        self.put(place, entry);
    }

    fn put(&mut self, place: usize, entry: Entry) {
        self.heap[place] = entry;
        self.seats[entry.seat as usize].place = Place::Heap(place as u32);
    }
}
