//! One call for all who want the same at the same time.
//!
//! ```text
//!   call(key, f):  nobody is at it ──▶ listed; f() ──▶ unlisted, delivered ──▶ the leader returns
//!                  somebody is     ──▶ wait ─────────────────┴──────────────▶ the followers return clones
//! ```
//!
//! * F1  A flight is unlisted, by its leader and before it is delivered, if it is still the one that is listed under its key:
//!   who comes later begins anew, and who follows it gets what its leader got.
//! * F2  The lock of the list is one that does not wait in our sense: so the delivery cannot be torn away half-way. Keys are hashed,
//!   compared and cloned under it; nothing else of the program's runs there.

use greenlight_core::{Waitable, Waiting, park::Why};
use std::{
    any::Any,
    collections::{HashMap, hash_map::Entry},
    fmt,
    future::Future,
    hash::Hash,
    panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering::*},
    },
    task::{Context, Poll},
};

/// Makes a call once for all who ask for it while it is under way: for what is dear to compute and wanted by many at once, like
/// what a cache lacks. Go's `singleflight.Group`. Clones are handles of one and the same.
///
/// # Examples
///
/// ```
/// use greenlight::{group::SingleFlight, WaitGroup};
/// use std::sync::atomic::{AtomicUsize, Ordering::*};
///
/// static READS: AtomicUsize = AtomicUsize::new(0);
///
/// let flights = SingleFlight::new();
/// let wg = WaitGroup::new();
/// for _ in 0..10 {
///     let flights = flights.clone();
///     wg.go(move || {
///         let (size, _shared) = flights.call("config", || {
///             READS.fetch_add(1, Relaxed);
///             greenlight::sleep(std::time::Duration::from_millis(5));
///             4096
///         });
///         assert_eq!(size, 4096);
///     });
/// }
/// wg.wait();
/// assert!(READS.load(Relaxed) <= 10); // once, if all ten asked within five milliseconds
/// ```
pub struct SingleFlight<K, V> {
    flights: Arc<Flights<K, V>>,
}

type Flights<K, V> = Mutex<HashMap<K, Arc<Call<V>>>>;

fn lock<K, V>(flights: &Flights<K, V>) -> MutexGuard<'_, HashMap<K, Arc<Call<V>>>> {
    // A key's code may panic; the map is as it was before, or after.
    flights.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call under way, or over.
struct Call<V> {
    /// What it came to; or what its panic said.
    outcome: OnceLock<Result<V, String>>,
    /// The line of those who wait for `outcome`.
    waiters: Waitable<()>,
    /// Relaxed throughout: counted under the lock of the list, and read behind that lock, or behind `outcome`.
    followers: AtomicUsize,
}

impl<K: Hash + Eq + Clone, V: Clone> SingleFlight<K, V> {
    /// Nothing is under way.
    pub fn new() -> Self {
        Self { flights: Arc::default() }
    }

    /// What `f` returns, or what another one's call under the same key returns that is under way. True beside it if the value
    /// went to more than one.
    ///
    /// `f` must not ask for its own key: that would wait for itself. A key is a plain value: its `Hash`, `Eq` and `Clone` must
    /// not wait.
    ///
    /// # Panics
    ///
    /// With the panic of `f`. For those who waited for another one's, with a panic that tells its message.
    ///
    /// # Cancellation
    ///
    /// A follower that goes leaves the others as they are. A leader that is torn away is to its followers one that panicked.
    #[track_caller]
    pub fn call(&self, key: K, f: impl FnOnce() -> V) -> (V, bool) {
        let call = match self.board(&key) {
            Ok(call) => call,
            Err(flight) => return flight.wait(),
        };
        match self.fly(&key, &call, f) {
            Ok(value) => (value, call.is_shared()),
            Err(payload) => resume_unwind(payload),
        }
    }

    /// [`call`](Self::call) with `f` on a green thread of its own, and a handle at once. Go's `DoChan`.
    ///
    /// # Panics
    ///
    /// If there is no memory for another stack. A panic of `f` is reported by the hook, and the flight's wait panics.
    #[track_caller]
    pub fn start(&self, key: K, f: impl FnOnce() -> V + Send + 'static) -> Flight<V>
    where
        K: Send + 'static,
        V: Send + Sync + 'static,
    {
        match self.board(&key) {
            Err(flight) => flight,
            Ok(call) => {
                let (flights, leader) = (self.clone(), call.clone());
                // If it cannot start, nobody waits for it in vain.
                let landing = Landing { flights: &self.flights, key: &key, call: &call, armed: true };
                let name = key.clone();
                drop(crate::go(move || {
                    if let Err(payload) = flights.fly(&name, &leader, f) {
                        drop(leader);
                        resume_unwind(payload);
                    }
                }));
                landing.disarm();
                Flight { call }
            }
        }
    }

    /// Who asks for `key` from here on begins a call anew, though one is under way. Those who wait for that one get its value.
    pub fn forget(&self, key: &K) {
        // Dropped without the lock.
        let _forgotten = lock(&self.flights).remove_entry(key);
    }

    /// The call to make, listed; or the one to follow.
    fn board(&self, key: &K) -> Result<Arc<Call<V>>, Flight<V>> {
        match lock(&self.flights).entry(key.clone()) {
            Entry::Occupied(there) => {
                let call = there.get().clone();
                call.followers.fetch_add(1, Relaxed);
                Err(Flight { call })
            }
            Entry::Vacant(free) => {
                let call =
                    Call { outcome: OnceLock::new(), waiters: Waitable::new(()), followers: AtomicUsize::new(0) };
                Ok(free.insert(Arc::new(call)).clone())
            }
        }
    }

    /// Makes the call, and delivers what it comes to.
    fn fly(&self, key: &K, call: &Arc<Call<V>>, f: impl FnOnce() -> V) -> std::thread::Result<V> {
        let outcome = catch_unwind(AssertUnwindSafe(f));
        let shown = match &outcome {
            Ok(value) => catch_unwind(AssertUnwindSafe(|| value.clone())).map_err(|payload| {
                let said = message(&*payload);
                std::mem::forget(payload);
                said
            }),
            Err(payload) => Err(message(&**payload)),
        };
        Landing { flights: &self.flights, key, call, armed: true }.land(shown);
        outcome
    }
}

/// Delivers the outcome of a call (F1).
struct Landing<'a, K: Hash + Eq, V> {
    flights: &'a Flights<K, V>,
    key: &'a K,
    call: &'a Arc<Call<V>>,
    armed: bool,
}

impl<K: Hash + Eq, V> Landing<'_, K, V> {
    fn land(mut self, outcome: Result<V, String>) {
        self.armed = false;
        self.deliver(outcome);
    }

    fn disarm(mut self) {
        self.armed = false;
    }

    fn deliver(&self, outcome: Result<V, String>) {
        let mut flights = lock(self.flights);
        let mine = flights.get(self.key).is_some_and(|listed| Arc::ptr_eq(listed, self.call));
        let unlisted = if mine { flights.remove_entry(self.key) } else { None };
        drop(flights);
        drop(unlisted);
        let _ = self.call.outcome.set(outcome);
        self.call.waiters.change(|()| ());
    }
}

impl<K: Hash + Eq, V> Drop for Landing<'_, K, V> {
    fn drop(&mut self) {
        if self.armed {
            self.deliver(Err("it could not be started".into()));
        }
    }
}

impl<V> Call<V> {
    fn is_shared(&self) -> bool {
        self.followers.load(Relaxed) > 0
    }
}

/// What a panic says.
fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| text.to_string());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}

impl<K, V> Clone for SingleFlight<K, V> {
    fn clone(&self) -> Self {
        Self { flights: self.flights.clone() }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> fmt::Debug for SingleFlight<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlight").finish_non_exhaustive()
    }
}

/// A call under way: to be waited for by [`wait`](Self::wait), or as a future. Dropped, it leaves the call as it is.
#[must_use = "the call is made all the same, but its value is lost"]
pub struct Flight<V> {
    call: Arc<Call<V>>,
}

impl<V: Clone> Flight<V> {
    /// Waits for the value. True beside it if it went to more than one.
    ///
    /// # Panics
    ///
    /// If the call panicked, with its message.
    #[track_caller]
    pub fn wait(&self) -> (V, bool) {
        let why = Why {
            what: "wait for another one's call",
            object: Arc::as_ptr(&self.call).addr(),
            site: Location::caller(),
        };
        loop {
            if let Some(value) = self.try_wait() {
                return value;
            }
            self.call.waiters.wait(&why, None, |()| self.call.outcome.get().map(drop));
        }
    }

    /// The value, if it is there. Never waits.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn try_wait(&self) -> Option<(V, bool)> {
        match self.call.outcome.get()? {
            Ok(value) => Some((value.clone(), self.call.is_shared())),
            Err(said) => panic!("the call that this one waited for panicked: {said}"),
        }
    }

    /// [`wait`](Self::wait) as a future.
    pub fn wait_async(&self) -> FlightWait<'_, V> {
        FlightWait { waiting: self.call.waiters.waiting(), flight: self }
    }
}

impl<V> fmt::Debug for Flight<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flight").field("has_landed", &self.call.outcome.get().is_some()).finish()
    }
}

/// Future of [`Flight::wait_async`].
#[must_use = "a future does nothing until it is polled"]
pub struct FlightWait<'a, V> {
    waiting: Waiting<'a, ()>,
    flight: &'a Flight<V>,
}

impl<V: Clone> Future for FlightWait<'_, V> {
    type Output = (V, bool);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<(V, bool)> {
        let flight = self.flight;
        // SAFETY: the field is pinned whenever we are: it is not moved out, there is no `Drop` and no `Unpin` of our own.
        let waiting = unsafe { self.map_unchecked_mut(|this| &mut this.waiting) };
        match waiting.poll(cx.waker(), |()| flight.call.outcome.get().map(drop)) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => Poll::Ready(flight.try_wait().unwrap_or_else(|| unreachable!("it has landed"))),
        }
    }
}

impl<V> fmt::Debug for FlightWait<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlightWait").finish_non_exhaustive()
    }
}
