//! What has gone wrong in other libraries of this kind, tried on ours: promises to threads, odd values, panics in
//! foreign code, handles that are forgotten.

use greenlight::{
    DoneOnDrop, JoinHandle, Mutex, MutexGuard, Runtime, RwLock, RwLockReadGuard, RwLockWriteGuard, SpinMutex,
    SpinMutexGuard, WaitGroup,
    channel::{
        self, Receiver, Sender, StaticChannel, StaticReceiver, StaticSender, bounded, bounded_strict, unbounded,
    },
    go, park, select,
};
use std::{
    cell::RefCell,
    fmt::Debug,
    marker::PhantomData,
    mem,
    num::NonZeroU32,
    panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::*},
    },
    task::Poll,
    thread,
    time::Duration,
};

const CAPACITIES: [Option<usize>; 5] = [Some(0), Some(1), Some(3), Some(7), None];

fn halves<T>(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
    capacity.map_or_else(unbounded, bounded)
}

// Promises to threads -------------------------------------------------------------------------------------------------

/// Whether a type has an auto trait: the inherent constant is there only if it has, and then it comes first.
macro_rules! has {
    ($type:ty: $auto:ident) => {{
        #[allow(dead_code)] // one of the two is not used
        trait Fallback {
            const HAS: bool = false;
        }
        impl<T: ?Sized> Fallback for T {}
        struct Probe<T: ?Sized>(PhantomData<T>);
        #[allow(dead_code)]
        impl<T: ?Sized + $auto> Probe<T> {
            const HAS: bool = true;
        }
        <Probe<$type>>::HAS
    }};
}

struct Both;
struct SendOnly(PhantomData<std::cell::Cell<u8>>);
struct SyncOnly(PhantomData<std::sync::MutexGuard<'static, ()>>);
struct Neither(PhantomData<*const ()>);

/// Whether a type is Send and Sync for each kind of payload `T`, as functions of what the payload is.
macro_rules! expect {
    ($($type:ty: $expected:expr;)+) => {
        $(expect!(@ $type, $expected, Both SendOnly SyncOnly Neither);)+
    };
    (@ $type:ty, $expected:expr, $($payload:ident)+) => {
        $({
            type T = $payload;
            let payload = (has!(T: Send), has!(T: Sync));
            let expected: fn(bool, bool) -> (bool, bool) = $expected;
            let is = (has!($type: Send), has!($type: Sync));
            assert_eq!(is, expected(payload.0, payload.1), "{} with {}", stringify!($type), stringify!($payload));
        })+
    };
}

#[test]
fn the_probe_tells_payloads_apart() {
    assert_eq!((has!(Both: Send), has!(Both: Sync)), (true, true));
    assert_eq!((has!(SendOnly: Send), has!(SendOnly: Sync)), (true, false));
    assert_eq!((has!(SyncOnly: Send), has!(SyncOnly: Sync)), (false, true));
    assert_eq!((has!(Neither: Send), has!(Neither: Sync)), (false, false));
    assert!(has!(Both: UnwindSafe) && !has!(&mut Both: UnwindSafe));
    // The fields are there for what they promise.
    let _ = (SendOnly(PhantomData).0, SyncOnly(PhantomData).0, Neither(PhantomData).0);
}

#[test]
fn types_promise_threads_what_their_payload_does() {
    expect! {
        // Values move from one thread to another, and are never shared.
        Sender<T>: |send, _| (send, send);
        Receiver<T>: |send, _| (send, send);
        channel::Iter<'static, T>: |send, _| (send, send);
        channel::TryIter<'static, T>: |send, _| (send, send);
        channel::IntoIter<T>: |send, _| (send, send);
        channel::Drain<'static, T>: |send, _| (send, send);
        channel::WeakSender<T>: |send, _| (send, send);
        channel::WeakReceiver<T>: |send, _| (send, send);
        channel::RecvFuture<'static, T>: |send, _| (send, send);
        channel::SendFuture<'static, T>: |send, _| (send, send);
        channel::RecvFuture<'static, T, channel::InStatic<'static, T>>: |send, _| (send, send);
        channel::SendFuture<'static, T, channel::InStatic<'static, T>>: |send, _| (send, send);
        channel::RecvStream<'static, T>: |send, _| (send, send);
        channel::SendSink<'static, T>: |send, _| (send, send);
        StaticChannel<T, 3>: |send, _| (send, send);
        StaticSender<'static, T>: |send, _| (send, send);
        StaticReceiver<'static, T>: |send, _| (send, send);
        Mutex<T>: |send, _| (send, send);
        SpinMutex<T>: |send, _| (send, send);
        // Readers share it.
        RwLock<T>: |send, sync| (send, send && sync);
        // A guard is a reference.
        MutexGuard<'static, T>: |send, sync| (send, sync);
        SpinMutexGuard<'static, T>: |send, sync| (send, sync);
        RwLockReadGuard<'static, T>: |_, sync| (sync, sync);
        RwLockWriteGuard<'static, T>: |send, sync| (send && sync, sync);
        // The result moves to whoever joins.
        JoinHandle<T>: |send, _| (send, send);
        // Plain data.
        channel::SendError<T>: |send, sync| (send, sync);
        channel::TrySendError<T>: |send, sync| (send, sync);
        channel::SendTimeoutError<T>: |send, sync| (send, sync);
    }
    macro_rules! always {
        ($($type:ty),+) => {
            $(assert!(has!($type: Send) && has!($type: Sync), stringify!($type));)+
        };
    }
    always!(WaitGroup, DoneOnDrop, Runtime, greenlight::Builder);
    always!(channel::RecvError, channel::TryRecvError, channel::RecvTimeoutError, park::TimedOut);
}

/// After a panic, what does not look into its payload is as good as before.
#[test]
fn types_promise_to_survive_a_panic() {
    macro_rules! survive {
        ($($type:ty),+) => {
            $(assert!(has!($type: UnwindSafe) && has!($type: RefUnwindSafe), stringify!($type));)+
        };
    }
    type Fragile = &'static mut RefCell<u8>;
    survive!(StaticSender<'static, Fragile>, StaticReceiver<'static, Fragile>);
    survive!(Sender<Fragile>, Receiver<Fragile>, channel::Iter<'static, Fragile>, channel::IntoIter<Fragile>);
    survive!(JoinHandle<Fragile>, WaitGroup, DoneOnDrop);
    // Without poisoning, a lock shows a value that a panic left half-changed.
    assert!(!has!(Mutex<u8>: RefUnwindSafe) && !has!(RwLock<u8>: RefUnwindSafe) && !has!(SpinMutex<u8>: RefUnwindSafe));
}

// Odd values and capacities -------------------------------------------------------------------------------------------

/// Without optimization, a call has a place on the stack for each move of a large value.
fn roomy(f: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
    thread::Builder::new().stack_size(32 << 20).spawn(f).expect("a thread")
}

/// In and out by each way there is, in order, more of them than there is room.
fn round_trip<T: Clone + PartialEq + Debug + Send + 'static>(kinds: &[T]) {
    let values: Vec<T> = kinds.iter().cycle().take(20).cloned().collect();
    let strict = CAPACITIES.map(|capacity| (capacity, true)).into_iter().filter(|(capacity, _)| *capacity > Some(0));
    for (capacity, strict) in CAPACITIES.map(|capacity| (capacity, false)).into_iter().chain(strict) {
        let halves = || capacity.filter(|_| strict).map_or_else(|| halves(capacity), bounded_strict);
        let (tx, rx) = halves();
        let sender = roomy({
            let values = values.clone();
            move || {
                for (at, value) in values.into_iter().enumerate() {
                    let failed = match at % 3 {
                        0 => tx.try_send(value).err().map(channel::TrySendError::into_inner),
                        1 => tx.send_timeout(value, Duration::ZERO).err().map(channel::SendTimeoutError::into_inner),
                        _ => Some(value),
                    };
                    let Some(value) = failed else { continue };
                    if at % 2 == 0 {
                        tx.send(value).unwrap();
                    } else {
                        select! { send(tx, value) -> sent => sent.unwrap() }
                    }
                }
            }
        });
        let mut received = Vec::new();
        while let Ok(value) = rx.try_recv().or_else(|_| rx.recv()) {
            received.push(value);
            select! {
                recv(rx) -> value => received.extend(value.ok()),
                default => {}
            }
        }
        sender.join().unwrap();
        assert_eq!(received, values, "capacity {capacity:?}, strict: {strict}");

        // What is left goes with the receiver, by way of both ends.
        let (tx, rx) = halves();
        let sent = kinds.iter().take_while(|value| tx.try_send((*value).clone()).is_ok()).count();
        assert_eq!(sent, capacity.unwrap_or(usize::MAX).min(kinds.len()));
        drop(rx);
        assert_eq!(tx.send(kinds[0].clone()).unwrap_err().into_inner(), kinds[0]);
    }
}

#[derive(Clone, PartialEq, Debug)]
#[repr(align(128))]
struct Aligned(u8);

#[derive(Clone, PartialEq, Debug)]
#[repr(align(64))]
struct AlignedNothing;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Direction {
    Left,
    Right,
}

#[test]
fn odd_values_pass() {
    static THREE: [u64; 3] = [1, 2, 3];
    round_trip(&[()]);
    round_trip(&[AlignedNothing]);
    round_trip(&[Aligned(1), Aligned(2)]);
    round_trip(&[true, false]);
    round_trip(&[Direction::Left, Direction::Right]);
    round_trip(&[NonZeroU32::MIN, NonZeroU32::MAX]);
    round_trip(&[&THREE[0], &THREE[1], &THREE[2]]);
    round_trip(&[Some(Box::new(1)), None, Some(Box::new(2))]);
    round_trip(&["a".to_owned(), String::new()]);
    round_trip::<fn(usize) -> Option<usize>>(&[Some]);
    round_trip(&[Err(Arc::new(1)), Ok(Arc::new("one"))]);
}

#[test]
fn large_values_pass() {
    roomy(|| round_trip(&[[7_u8; 64 * 1024], [8; 64 * 1024]])).join().unwrap();
}

#[test]
fn values_of_no_size_are_dropped_once_each() {
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    struct Nothing;
    impl Drop for Nothing {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Relaxed);
        }
    }
    for (tx, rx) in [bounded(5), bounded_strict(5), unbounded()] {
        (0..5).for_each(|_| tx.send(Nothing).unwrap());
        drop(rx.recv());
        assert_eq!(DROPS.swap(0, Relaxed), 1);
        drop(rx);
        assert_eq!(DROPS.swap(0, Relaxed), 4);
        assert!(tx.send(Nothing).is_err());
        assert_eq!(DROPS.swap(0, Relaxed), 1);
    }
}

/// Values that no address space holds: a panic. (What only this machine's memory does not hold ends the process, as
/// everywhere in Rust.)
#[test]
fn a_capacity_beyond_all_memory_panics() {
    fn panics<T>(capacity: usize) -> bool {
        catch_unwind(|| drop(bounded::<T>(capacity))).is_err()
    }
    assert!(panics::<u8>(usize::MAX) && panics::<u8>(usize::MAX - 1) && panics::<u8>(isize::MAX as usize + 1));
    assert!(panics::<u64>(usize::MAX / 8) && panics::<u64>(usize::MAX / 16 + 1) && panics::<u64>(usize::MAX));
    assert!(panics::<[u8; 1 << 20]>(1 << 44));
    assert!(!panics::<[u8; 1 << 20]>(1));
}

/// A place costs a word also if its value has no size.
#[test]
fn a_huge_capacity_for_values_of_no_size_panics_too() {
    assert!(catch_unwind(|| bounded::<()>(usize::MAX - 1)).is_err());
    let (tx, rx) = bounded(100_000);
    (0..100).for_each(|_| tx.try_send(()).unwrap());
    assert_eq!((rx.len(), rx.capacity(), tx.is_full()), (100, Some(100_000), false));
    assert_eq!(rx.try_iter().count(), 100);
}

// Panics in foreign code ----------------------------------------------------------------------------------------------

/// Counts itself when it is dropped, and then panics if told so.
struct Bomb<'a> {
    drops: &'a AtomicUsize,
    armed: bool,
}

impl Drop for Bomb<'_> {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Relaxed);
        assert!(!self.armed, "the value's drop panics");
    }
}

#[test]
fn a_panic_in_the_drop_of_what_is_left_leaks_the_rest() {
    for at in 0..3 {
        for capacity in [Some(3), Some(7), None] {
            let drops = AtomicUsize::new(0);
            let (tx, rx) = halves(capacity);
            let bomb = |armed| Bomb { drops: &drops, armed };
            (0..3).for_each(|i| assert!(tx.send(bomb(i == at)).is_ok()));
            assert!(catch_unwind(AssertUnwindSafe(|| drop(rx))).is_err());
            assert_eq!(drops.load(Relaxed), at + 1);
            // The other half lives, and knows.
            assert!(tx.is_closed() && tx.is_empty() && tx.try_send(bomb(false)).is_err());
            assert_eq!(drops.load(Relaxed), at + 2);
        }
    }
}

#[test]
fn a_panic_in_the_drop_of_a_received_value_leaves_the_others() {
    let drops = AtomicUsize::new(0);
    let bomb = |armed| Bomb { drops: &drops, armed };
    let (tx, rx) = bounded(3);
    (0..3).for_each(|i| assert!(tx.send(bomb(i == 1)).is_ok()));
    tx.close();
    assert!(catch_unwind(|| rx.iter().for_each(drop)).is_err());
    assert_eq!((drops.load(Relaxed), rx.len()), (2, 1));
    assert!(rx.recv().is_ok() && rx.recv().is_err());

    // One that comes back to its sender.
    assert!(catch_unwind(|| tx.send(bomb(true)).is_ok()).is_err());
    assert_eq!(drops.load(Relaxed), 4);
}

/// The drop of a value uses the very channel that it was in.
#[test]
fn the_drop_of_what_is_left_may_use_the_channel() {
    struct Echo(Sender<Echo>, Arc<AtomicUsize>);
    impl Drop for Echo {
        fn drop(&mut self) {
            assert!(self.0.is_closed() && !self.0.close());
            self.1.fetch_add(1, Relaxed);
        }
    }
    for capacity in [Some(3), None] {
        let drops = Arc::default();
        let (tx, rx) = halves(capacity);
        (0..3).for_each(|_| assert!(tx.send(Echo(tx.clone(), Arc::clone(&drops))).is_ok()));
        drop(rx);
        assert_eq!(drops.load(Relaxed), 3);
    }
}

#[test]
fn a_panic_while_a_thread_is_about_to_wait_leaves_it_able_to_wait() {
    fn wait_twice() {
        let why = park::Why { what: "a test", object: 0, site: std::panic::Location::caller() };
        for first in [true, false] {
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                let mut polls = 0;
                let mut poll = |waker: &std::task::Waker| {
                    polls += 1;
                    waker.wake_by_ref();
                    assert!(polls == 1 || first, "the second look");
                    assert!(!first, "the first look");
                    Poll::Pending
                };
                park::wait(&why, None, &mut poll)
            }));
            assert!(panicked.is_err());
        }
        let (tx, rx) = bounded(0);
        go(move || tx.send(1));
        assert_eq!(rx.recv(), Ok(1));
    }
    wait_twice();
    go(wait_twice).join().unwrap();
}

/// A value whose drop waits, while a panic goes through it. For an OS thread: the worker's own tasks stand meanwhile.
#[test]
fn a_drop_may_wait_for_a_thread_while_a_panic_unwinds() {
    struct Waits(Receiver<u8>);
    impl Drop for Waits {
        fn drop(&mut self) {
            assert_eq!(self.0.recv(), Ok(7));
            assert_eq!(self.0.recv_timeout(Duration::from_secs(60)), Ok(8));
        }
    }
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let (tx, rx) = bounded(0);
    let panics = runtime.go(move || {
        let _waits = Waits(rx);
        panic!("unwinds through a wait");
    });
    tx.send(7).unwrap();
    thread::sleep(Duration::from_millis(5));
    tx.send(8).unwrap();
    assert!(panics.join().is_err());
    assert!(runtime.run(|| !thread::panicking()));
}

// Handles that are forgotten ------------------------------------------------------------------------------------------

#[test]
fn a_forgotten_guard_keeps_its_lock() {
    let mutex = Mutex::new(1);
    mem::forget(mutex.lock());
    assert!(mutex.try_lock().is_none());
    assert_eq!(mutex.into_inner(), 1);

    let spin = SpinMutex::new(1);
    mem::forget(spin.lock());
    assert!(spin.try_lock().is_none());
    assert_eq!(spin.into_inner(), 1);

    let lock = RwLock::new(1);
    (0..10_000).for_each(|_| mem::forget(lock.read()));
    assert!(lock.try_write().is_none());
    assert_eq!(lock.try_read().as_deref(), Some(&1));
    assert_eq!(lock.into_inner(), 1);

    let lock = RwLock::new(1);
    mem::forget(lock.write());
    assert!(lock.try_read().is_none() && lock.try_write().is_none());
}

#[test]
fn a_forgotten_half_keeps_its_channel_open() {
    let (tx, rx) = bounded(1);
    mem::forget(tx.clone());
    mem::forget(rx.clone());
    mem::forget(rx.clone().into_iter());
    tx.send(1).unwrap();
    drop(tx);
    assert_eq!(rx.recv(), Ok(1));
    assert!(rx.try_recv().unwrap_err().is_empty());
    assert!(rx.close());
    assert!(rx.recv().is_err());
}

#[test]
fn forgotten_handles_change_nothing_for_others() {
    let (tx, rx) = bounded(0);
    mem::forget(go(move || tx.send(Box::new(1)).unwrap()));
    assert_eq!(rx.recv().as_deref(), Ok(&1));

    let wg = WaitGroup::new();
    wg.add(2);
    mem::forget(wg.done_on_drop());
    drop(wg.done_on_drop());
    assert_eq!(wg.count(), 1);
    wg.done();
    wg.wait();

    let runtime = Runtime::builder().workers(1).build().unwrap();
    let answer = runtime.go(|| 42);
    mem::forget(runtime);
    assert_eq!(answer.join().unwrap(), 42);
}

// Ends ----------------------------------------------------------------------------------------------------------------

#[test]
fn a_wait_group_at_its_end_stays_whole() {
    let wg = WaitGroup::new();
    wg.add(usize::MAX / 2);
    assert!(catch_unwind(|| wg.add(1)).is_err() && catch_unwind(|| wg.add(usize::MAX)).is_err());
    assert!(catch_unwind(|| wg.go(|| ())).is_err(), "nothing starts");
    assert_eq!(wg.count(), usize::MAX / 2);
    wg.done();
    wg.go(|| ()).join().unwrap();
    wg.add(0);
    assert!(wg.count() >= usize::MAX / 2 - 1);
}

/// A thread's last act, when much of it has gone already.
#[test]
fn channels_work_while_a_thread_ends() {
    struct Last(Sender<u8>, Receiver<u8>);
    impl Drop for Last {
        fn drop(&mut self) {
            assert!(self.1.recv_timeout(Duration::from_millis(1)).is_err());
            self.0.send(1).unwrap();
            self.0.send(2).unwrap();
        }
    }
    thread_local!(static LAST: RefCell<Option<Last>> = const { RefCell::new(None) });
    for late in [false, true] {
        let (tx, rx) = bounded(0);
        let (_none, nothing) = bounded(0);
        let thread = thread::spawn(move || {
            let first = || assert!(nothing.recv_timeout(Duration::from_millis(1)).is_err());
            // What was first used last goes first.
            if late {
                LAST.with(|_| ());
            } else {
                first();
            }
            LAST.set(Some(Last(tx, nothing.clone())));
            if late {
                first();
            }
        });
        assert_eq!(rx.recv(), Ok(1));
        thread::sleep(Duration::from_millis(1));
        assert_eq!(rx.recv(), Ok(2));
        thread.join().unwrap();
    }
}
