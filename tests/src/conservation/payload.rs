//! Values that tell a ledger what becomes of them, and the judgement over the ledger.
//!
//! ```text
//!                 ┌─ sent ────▶ received ──▶ dropped
//!   created ──────┼─ refused ─▶ returned ──▶ dropped
//!                 ├─ cancelled: received, or dropped by its own future, or left in the queue
//!                 └─ kept: never offered
//! ```
//!
//! * P1  A value is a key and owns nothing: a channel that drops one twice, or hands out two of it, does no harm to the
//!   process. The ledger counts, and the schedule goes on.
//! * P2  A thread says what it does (`doing`) only around drops of futures and closings, which never wait: under
//!   green threads somebody else may run on this OS thread in between.
//! * P3  A drop is noted with what the ledger knows *at that moment*: in whose hands it was, who could still receive.

use super::Clause;
use std::{
    cell::Cell,
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, RwLock,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::*},
    },
};

/// How many channels a schedule has: two, so that a select can lose.
pub const CHANNELS: usize = 2;

/// Which value, of which ledger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key(u64);

/// What the harness sends.
pub trait Value: Send + 'static {
    /// The value of `key`. For a toy that is broken on purpose, also a second one.
    fn new(key: Key) -> Self;
    /// Whose value this is.
    ///
    /// # Panics
    ///
    /// If the value is damaged.
    fn key(&self) -> Key;
}

/// A value that fits in a pointer: some channels have a way of their own for these.
pub struct Small(Key);

/// A value that does not.
pub struct Large {
    small: Small,
    copies: [Key; 9],
}

impl Value for Small {
    fn new(key: Key) -> Self {
        Self(key)
    }

    fn key(&self) -> Key {
        self.0
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // A value that comes after its ledger was closed was judged as leaked.
        if let Some(ledger) = LEDGERS.read().unwrap().get(&((self.0.0 >> 32) as u32)) {
            ledger.dropped(self.0);
        }
    }
}

impl Value for Large {
    fn new(key: Key) -> Self {
        Self { small: Small(key), copies: [key; 9] }
    }

    fn key(&self) -> Key {
        assert_eq!(self.copies, [self.small.0; 9], "half of one value and half of another");
        self.small.0
    }
}

/// What became of an attempt to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sending {
    /// It reported success.
    Sent,
    /// It reported an error.
    Refused,
    /// Its future or its select ended before it reported anything.
    Cancelled,
}

/// What a thread does that explains the drop of a value inside it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    Other,
    /// Drops the future that sends this value, or runs the select that may give it up.
    CancelSend(Key),
    CancelReceive,
    Close,
}

/// Where a value was dropped that nobody had in hand.
#[derive(Clone, Copy)]
enum Place {
    /// On the thread that sends it: given up, or sent as the last receiver went, for which the sender cleans up.
    OwnSend {
        last: bool,
    },
    CancelledReceive,
    Close,
    AfterTheLastReceiver,
    Inside,
}

struct Entry {
    channel: usize,
    sending: Option<Sending>,
    received: u32,
    returned: u32,
    drops: u32,
    place: Option<Place>,
}

/// All that happened to the values of one schedule.
pub(super) struct Ledger {
    number: u32,
    entries: Mutex<Vec<Entry>>,
    /// How many handles can still receive. Counted down before the handle goes.
    receivers: [AtomicUsize; CHANNELS],
    /// Whether the harness has received all there was: then "still queued" is no excuse.
    drained: [AtomicBool; CHANNELS],
}

static LEDGERS: LazyLock<RwLock<HashMap<u32, Arc<Ledger>>>> = LazyLock::new(RwLock::default);

thread_local! {
    static DOING: Cell<Doing> = const { Cell::new(Doing::Other) };
}

/// Runs `work`, which must not wait, and lets the ledger know what it is (P2).
pub(super) fn doing<R>(what: Doing, work: impl FnOnce() -> R) -> R {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            DOING.set(Doing::Other);
        }
    }
    DOING.set(what);
    let _reset = Reset;
    work()
}

impl Ledger {
    pub(super) fn open() -> Arc<Self> {
        static NUMBERS: AtomicU32 = AtomicU32::new(0);
        let number = NUMBERS.fetch_add(1, Relaxed);
        let ledger = Arc::new(Self {
            number,
            entries: Mutex::default(),
            receivers: Default::default(),
            drained: Default::default(),
        });
        LEDGERS.write().unwrap().insert(number, ledger.clone());
        ledger
    }

    pub(super) fn create<T: Value>(&self, channel: usize) -> T {
        let mut entries = self.entries();
        let key = Key(u64::from(self.number) << 32 | entries.len() as u64);
        entries.push(Entry { channel, sending: None, received: 0, returned: 0, drops: 0, place: None });
        drop(entries);
        T::new(key)
    }

    pub(super) fn reported(&self, key: Key, sending: Sending) {
        self.with(key, |entry| entry.sending = Some(sending));
    }

    pub(super) fn received(&self, value: &impl Value) {
        self.with(value.key(), |entry| entry.received += 1);
    }

    pub(super) fn returned(&self, value: &impl Value) {
        self.with(value.key(), |entry| entry.returned += 1);
    }

    pub(super) fn receiver_comes(&self, channel: usize) {
        self.receivers[channel].fetch_add(1, SeqCst);
    }

    pub(super) fn receiver_goes(&self, channel: usize) {
        self.receivers[channel].fetch_sub(1, SeqCst);
    }

    pub(super) fn drained(&self, channel: usize) {
        self.drained[channel].store(true, SeqCst);
    }

    fn dropped(&self, key: Key) {
        self.with(key, |entry| {
            entry.drops += 1;
            if entry.received + entry.returned > 0 || entry.place.is_some() {
                return;
            }
            let last = self.receivers[entry.channel].load(SeqCst) == 0;
            entry.place = Some(match DOING.get() {
                Doing::CancelSend(own) if own == key => Place::OwnSend { last },
                _ if last => Place::AfterTheLastReceiver,
                Doing::CancelReceive => Place::CancelledReceive,
                Doing::Close => Place::Close,
                _ => Place::Inside,
            });
        });
    }

    /// The clauses of the law that were broken. To be asked when every handle and every future is gone.
    pub(super) fn judge(&self, rules: Rules) -> BTreeSet<Clause> {
        LEDGERS.write().unwrap().remove(&self.number);
        let mut broken = BTreeSet::new();
        for entry in self.entries().iter() {
            let refused = u32::from(entry.sending == Some(Sending::Refused));
            if entry.drops == 0 {
                broken.insert(Clause::Leaked);
            }
            if entry.drops > 1 {
                broken.insert(Clause::DroppedTwice);
            }
            if entry.received + refused.max(entry.returned) > 1 {
                broken.insert(Clause::Duplicated);
            }
            if refused > entry.returned && !rules.drops_refused {
                broken.insert(Clause::NotReturned);
            }
            if entry.received + entry.returned == 0 {
                broken.extend(self.lost(entry, rules));
            }
        }
        broken
    }

    /// How a value that nobody got was lost, if it was.
    fn lost(&self, entry: &Entry, rules: Rules) -> Option<Clause> {
        let cancelled = match entry.sending? {
            Sending::Sent => false,
            Sending::Cancelled => true,
            Sending::Refused => return None,
        };
        let was_queued = !self.drained[entry.channel].load(SeqCst);
        match entry.place? {
            Place::OwnSend { .. } if cancelled => None,
            Place::OwnSend { last: true } | Place::AfterTheLastReceiver if was_queued => None,
            Place::Close if rules.close_discards => None,
            Place::CancelledReceive => Some(Clause::LostByCancel),
            _ => Some(Clause::Lost),
        }
    }

    fn with(&self, key: Key, change: impl FnOnce(&mut Entry)) {
        assert_eq!(key.0 >> 32, u64::from(self.number), "a value of another schedule");
        change(&mut self.entries()[key.0 as u32 as usize]);
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// What a channel documents, so that the ledger does not hold it against the channel.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    pub(super) close_discards: bool,
    pub(super) drops_refused: bool,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("number", &self.number).finish_non_exhaustive()
    }
}

/// A select that sends as the last receiver goes may itself drop what it has sent. Not while somebody could still receive it.
#[test]
fn a_sender_may_drop_what_nobody_is_left_to_receive() {
    let judged = |receivers: usize, drained: bool| {
        let ledger = Ledger::open();
        (0..receivers).for_each(|_| ledger.receiver_comes(0));
        let value: Small = ledger.create(0);
        let key = value.key();
        doing(Doing::CancelSend(key), || drop(value));
        ledger.reported(key, Sending::Sent);
        if drained {
            ledger.drained(0);
        }
        ledger.judge(Rules { close_discards: false, drops_refused: false })
    };
    assert_eq!(judged(0, false), BTreeSet::new());
    assert_eq!(judged(0, true), BTreeSet::from([Clause::Lost]));
    assert_eq!(judged(1, false), BTreeSet::from([Clause::Lost]));
}
