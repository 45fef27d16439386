//! What a task holds while it waits, and what must still be so afterwards.

use rand::RngExt;
use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    hint::black_box,
    io,
    mem::take,
    ptr::from_ref,
    rc::Rc,
    sync::{
        LazyLock, Mutex, Once, PoisonError,
        atomic::{AtomicIsize, AtomicUsize, Ordering::*},
    },
    thread::{self, ThreadId},
};
use thread_local::ThreadLocal;
use tracing::{Subscriber, span};
use tracing_subscriber::{Layer, layer::Context, prelude::*, registry::LookupSpan};

thread_local! {
    /// Known when the program is compiled, and dropped by nobody: nothing but an address.
    static COUNT: Cell<usize> = const { Cell::new(0) };
    /// Known when the program is compiled, and dropped at the end.
    static LIST: List = const { List(RefCell::new(Vec::new())) };
    /// Made when first used, and dropped at the end.
    static HERE: Here = Here::new();
}

struct List(RefCell<Vec<usize>>);

impl Drop for List {
    fn drop(&mut self) {
        let borrowed = self.0.try_borrow_mut().is_err();
        ENDS.borrowed.fetch_add(usize::from(borrowed), SeqCst);
        ENDS.listed.fetch_add(self.0.get_mut().len(), SeqCst);
    }
}

/// What one thread has.
struct Here {
    thread: ThreadId,
    /// Touched by all tasks of this thread, and one of them at a time.
    shared: Rc<Cell<usize>>,
}

impl Here {
    fn new() -> Self {
        ENDS.made.fetch_add(1, SeqCst);
        Self { thread: thread::current().id(), shared: Rc::default() }
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        // COUNT has no destructor, so it is still there.
        ENDS.counted.fetch_add(COUNT.get(), SeqCst);
        ENDS.shared.fetch_add(self.shared.get(), SeqCst);
        ENDS.shares_left.fetch_add(Rc::strong_count(&self.shared) - 1, SeqCst);
        ENDS.dropped.fetch_add(1, SeqCst);
    }
}

/// What the threads left behind, all together.
struct Ends {
    made: AtomicUsize,
    dropped: AtomicUsize,
    counted: AtomicUsize,
    listed: AtomicUsize,
    borrowed: AtomicUsize,
    shared: AtomicUsize,
    shares_left: AtomicUsize,
}

static ENDS: Ends = Ends {
    made: AtomicUsize::new(0),
    dropped: AtomicUsize::new(0),
    counted: AtomicUsize::new(0),
    listed: AtomicUsize::new(0),
    borrowed: AtomicUsize::new(0),
    shared: AtomicUsize::new(0),
    shares_left: AtomicUsize::new(0),
};

/// Of each thread; written without read-modify-write, so that two who share one lose counts.
static SLOTS: LazyLock<ThreadLocal<AtomicUsize>> = LazyLock::new(ThreadLocal::new);
static LOCK: Mutex<usize> = Mutex::new(0);
static DRAWN: Mutex<Vec<u128>> = Mutex::new(Vec::new());

/// Does `wait`, and holds everything meanwhile. Returns what it drew by lot before and after.
#[inline(always)]
pub fn across(wait: impl FnOnce()) -> [u128; 2] {
    let thread = thread::current().id();
    let slot = SLOTS.get_or_default();
    let places = || {
        [
            COUNT.with(|count| from_ref(count).addr()),
            LIST.with(|list| from_ref(list).addr()),
            HERE.with(|here| from_ref(here).addr()),
            SLOTS.get().map_or(0, |slot| from_ref(slot).addr()),
            // SAFETY: it only says where errno is.
            unsafe { libc::__errno_location() }.addr(),
        ]
    };
    let before = places();
    let draws = HERE.with(|here| {
        let mine = here.shared.clone();
        mine.set(mine.get() + 1);
        LIST.with(|list| {
            COUNT.with(|count| {
                let mut lots = rand::rng();
                let first = lots.random();
                // Another task of this thread may have it; then there are two kinds of borrows to hold.
                let exclusive = list.0.try_borrow_mut().ok();
                let shared = exclusive.is_none().then(|| list.0.try_borrow().ok()).flatten();
                let contended = LOCK.try_lock().ok();
                let own = Mutex::new(7);
                let guard = own.lock().expect("nobody else has it");
                // Without a parent: the span that this thread is in is a neighbour's, and a chain of neighbours has no end.
                let span = tracing::info_span!(parent: None, "held", place = before[0]).entered();
                assert_eq!(errno_of(Fails::Close), Some(libc::EBADF));

                wait();

                assert_eq!(errno_of(Fails::Enter), Some(libc::ENOENT));
                assert_eq!(errno_of(Fails::Close), Some(libc::EBADF));
                assert_eq!(thread::current().id(), thread);
                assert_eq!(here.thread, thread);
                drop(span);
                drop(guard);
                assert!(own.lock().is_ok_and(|value| *value == 7), "no neighbour's panic has poisoned it");
                if let Some(mut contended) = contended {
                    *contended += 1;
                }
                match (exclusive, shared) {
                    (Some(mut list), _) => list.push(1),
                    (None, Some(borrow)) => {
                        assert!(list.0.try_borrow_mut().is_err(), "it is borrowed, by us");
                        drop(borrow);
                        ENDS.listed.fetch_add(1, SeqCst);
                    }
                    (None, None) => drop(ENDS.listed.fetch_add(1, SeqCst)),
                }
                count.set(count.get() + 1);
                slot.store(slot.load(Relaxed) + 1, Relaxed);
                assert!(Rc::ptr_eq(&mine, &here.shared));
                [first, lots.random()]
            })
        })
    });
    assert_eq!(places(), before);
    draws
}

/// A call that fails, each for a reason of its own.
enum Fails {
    Close,
    Enter,
}

#[inline(always)]
fn errno_of(call: Fails) -> Option<i32> {
    // SAFETY: neither changes anything.
    let failed = unsafe {
        match call {
            Fails::Close => libc::close(black_box(-1)),
            Fails::Enter => libc::chdir(c"/there/is/no/such/place".as_ptr()),
        }
    };
    assert_eq!(failed, -1);
    io::Error::last_os_error().raw_os_error()
}

pub fn keep(draws: [u128; 2]) {
    DRAWN.lock().unwrap_or_else(PoisonError::into_inner).extend(draws);
}

/// The workers' threads have nothing to do any more. Waits for their ends, and does the sums.
pub fn add_up(rounds: usize) {
    while ENDS.dropped.load(SeqCst) < ENDS.made.load(SeqCst) {
        thread::yield_now();
    }
    assert_eq!(ENDS.made.load(SeqCst), ENDS.dropped.load(SeqCst), "each was made once and dropped once");
    assert_eq!(ENDS.counted.load(SeqCst), rounds, "no count is lost");
    assert_eq!(ENDS.shared.load(SeqCst), rounds, "none of the Rc's either");
    assert_eq!(ENDS.shares_left.load(SeqCst), 0);
    assert_eq!(ENDS.borrowed.load(SeqCst), 0);
    // The destructors of one thread come in any order: this one is waited for, too.
    while ENDS.listed.load(SeqCst) < rounds {
        thread::yield_now();
    }
    assert_eq!(ENDS.listed.load(SeqCst), rounds);
    assert_eq!(SLOTS.iter().map(|slot| slot.load(SeqCst)).sum::<usize>(), rounds);
    // Two threads with one generator draw the same lots.
    let drawn = take(&mut *DRAWN.lock().unwrap());
    assert_eq!(drawn.len(), 2 * rounds);
    assert_eq!(drawn.iter().collect::<HashSet<_>>().len(), drawn.len(), "no lot is drawn twice");
    assert!(*LOCK.lock().expect("no neighbour's panic has poisoned it") > 0);
    assert_eq!(OPEN.load(SeqCst), 0, "each span was left where it was entered, and closed");
}

static OPEN: AtomicIsize = AtomicIsize::new(0);

struct Watcher;

/// Where a span was entered.
struct Entered(ThreadId);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Watcher {
    fn on_new_span(&self, _: &span::Attributes<'_>, _: &span::Id, _: Context<'_, S>) {
        OPEN.fetch_add(1, SeqCst);
    }

    fn on_enter(&self, id: &span::Id, context: Context<'_, S>) {
        let span = context.span(id).expect("it is entered");
        span.extensions_mut().insert(Entered(thread::current().id()));
    }

    fn on_exit(&self, id: &span::Id, context: Context<'_, S>) {
        let span = context.span(id).expect("it is left");
        let entered = span.extensions_mut().remove::<Entered>().expect("it was entered");
        assert_eq!(entered.0, thread::current().id());
    }

    fn on_close(&self, _: span::Id, _: Context<'_, S>) {
        OPEN.fetch_sub(1, SeqCst);
    }
}

/// Has all spans of the process watched, from here on.
pub fn watch_spans() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Watcher))
            .expect("it is the only one");
    });
}
