//! What has gone wrong in other libraries' once cells, semaphores, barriers and condition variables, tried on ours: promises
//! to threads, panics in foreign code, guards and futures that are forgotten. The rest is in `advisories.rs`, and beside the
//! code.

use greenlight::{
    Barrier, BarrierWait, BarrierWaitResult, Condvar, CondvarWait, GetOrInit, GetOrTryInit, Lazy, LazyForce, Mutex,
    Notified, Notify, Once, OnceCall, OnceCell, OnceCellWait, OnceWait, Semaphore, SemaphoreAcquire, SemaphorePermit,
    TrySetError, go, run,
};
use greenlight_tests::{has, on_workers, promises};
use std::{
    future::Ready,
    mem,
    panic::{RefUnwindSafe, UnwindSafe},
    sync::Arc,
    time::Duration,
};

#[test]
fn the_probe_tells_payloads_apart() {
    use greenlight_tests::promises::{Both, Neither, SendOnly, SyncOnly};
    assert_eq!((has!(Both: Send), has!(Both: Sync)), (true, true));
    assert_eq!((has!(SendOnly: Send), has!(SendOnly: Sync)), (true, false));
    assert_eq!((has!(SyncOnly: Send), has!(SyncOnly: Sync)), (false, true));
    assert_eq!((has!(Neither: Send), has!(Neither: Sync)), (false, false));
}

#[test]
fn types_promise_threads_what_their_payload_does() {
    type Make<T> = fn() -> Ready<T>;
    promises! {
        // Shared by all who read, and dropped by anybody.
        OnceCell<T>: |send, sync| (send, send && sync);
        Lazy<T>: |send, sync| (send, send && sync);
        // The initialiser goes to one thread.
        Lazy<u8, T>: |send, _| (send, send);
        // A future is a reference, which also makes the value where it is polled.
        OnceCellWait<'static, T>: |send, sync| (send && sync, false);
        GetOrInit<'static, T, Make<T>, Ready<T>>: |send, sync| (send && sync, false);
        GetOrTryInit<'static, T, Make<Result<T, ()>>, Ready<Result<T, ()>>>: |send, sync| (send && sync, false);
        // What the initialiser captures, and its future, go along.
        GetOrInit<'static, u8, T, Ready<u8>>: |send, _| (send, false);
        GetOrInit<'static, u8, Make<u8>, T>: |send, _| (send, false);
        LazyForce<'static, T, fn() -> T>: |send, sync| (send && sync, false);
        OnceCall<'static, T, Ready<()>>: |send, _| (send, false);
        OnceCall<'static, fn(), T>: |send, _| (send, false);
        // It has a guard at first, and a mutex, which is Sync if the value is Send.
        CondvarWait<'static, T>: |send, _| (send, false);
        TrySetError<T>: |send, sync| (send, sync);
    }
    macro_rules! always {
        ($($type:ty),+) => {
            $(assert!(has!($type: Send) && has!($type: Sync), stringify!($type));)+
        };
    }
    always!(Once, Semaphore, SemaphorePermit<'static>, Condvar, Barrier, BarrierWaitResult, Notify);
    macro_rules! move_only {
        ($($type:ty),+) => {
            $(assert!(has!($type: Send) && !has!($type: Sync) && !has!($type: Unpin), stringify!($type));)+
        };
    }
    move_only!(OnceWait<'static>, SemaphoreAcquire<'static>, BarrierWait<'static>, Notified<'static>);
}

/// After a panic they are as good as before; a cell shows a value only if that is so.
#[test]
fn types_promise_to_survive_a_panic() {
    macro_rules! survive {
        ($($type:ty),+) => {
            $(assert!(has!($type: UnwindSafe) && has!($type: RefUnwindSafe), stringify!($type));)+
        };
    }
    survive!(Once, OnceCell<u8>, Lazy<u8>, Semaphore, SemaphorePermit<'static>, Condvar, Barrier, Notify);
    assert!(!has!(OnceCell<std::cell::Cell<u8>>: RefUnwindSafe));
}

/// A cell that an initialiser has left by a panic holds nothing to be dropped, and takes another value (the bug of two
/// other libraries' `Once`).
#[test]
fn a_cell_after_a_panic_is_empty() {
    on_workers(|| {
        let cell = Arc::new(OnceCell::<Box<u32>>::new());
        for _ in 0..3 {
            let cell = cell.clone();
            assert!(go(move || *cell.get_or_init(|| panic!("no value")).as_ref()).join().is_err());
        }
        assert!(cell.get().is_none());
        assert_eq!(**cell.get_or_init(|| Box::new(4)), 4);
    });
}

/// Odd values: without a size, with a niche, aligned to more than a cache line, as large as a stack allows.
#[test]
fn cells_hold_odd_values() {
    #[derive(Debug, PartialEq, Clone, Copy)]
    #[repr(align(256))]
    struct Aligned(u8);
    fn through<T: PartialEq + Copy + std::fmt::Debug + Send + Sync + 'static>(value: T) {
        let cell = OnceCell::new();
        assert_eq!(cell.get_or_init(|| value), &value);
        assert_eq!(std::ptr::from_ref(cell.get().unwrap()).addr() % align_of::<T>(), 0);
        let lazy = Lazy::new(move || value);
        assert_eq!((*lazy, cell.into_inner()), (value, Some(value)));
    }
    through(());
    through(std::num::NonZeroU32::MIN);
    through(false);
    through(Some(&"reference"));
    through(Aligned(3));
    through([7_u8; 16 << 10]);
}

/// Guards that are forgotten in a loop: the counts stay right, and nothing wraps.
#[test]
fn forgotten_guards_only_cost_their_permits() {
    run(|| {
        let semaphore = Semaphore::new(1_000);
        (0..990).for_each(|_| mem::forget(semaphore.acquire(1).unwrap()));
        assert_eq!(semaphore.available_permits(), 10);
        assert!(semaphore.acquire_timeout(11, Duration::from_millis(1)).is_err());
        semaphore.add_permits(1);
        drop(semaphore.acquire(11).unwrap());
        assert_eq!(semaphore.available_permits(), 11);
    });
}

/// A future that was woken and is not polled ("futurelock"): green threads behind it in line, and those who come later, get
/// the permit and the notification that it was woken for.
#[test]
fn a_future_that_nobody_polls_stops_no_green_thread() {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Waker},
    };
    on_workers(|| {
        let (semaphore, notify) = (Arc::new(Semaphore::new(0)), Arc::new(Notify::new()));
        let (mut acquire, mut notified) = (pin!(semaphore.acquire_async(1)), pin!(notify.notified()));
        let mut context = Context::from_waker(Waker::noop());
        assert!(acquire.as_mut().poll(&mut context).is_pending());
        assert!(notified.as_mut().poll(&mut context).is_pending());
        let behind = {
            let (semaphore, notify) = (semaphore.clone(), notify.clone());
            go(move || {
                drop(semaphore.acquire(1).unwrap());
                notify.wait();
            })
        };
        greenlight::sleep(Duration::from_millis(2));
        semaphore.add_permits(1);
        greenlight::sleep(Duration::from_millis(2));
        notify.notify_one();
        behind.join().unwrap();
        // Who comes later lets the called ones run first, and they do not.
        drop(semaphore.acquire(1).unwrap());
        notify.notify_one();
        notify.wait();
        assert!(notify.wait_timeout(Duration::from_millis(1)).is_err());
        assert_eq!(semaphore.available_permits(), 1);
        assert!(acquire.poll(&mut context).is_ready());
        assert!(notified.as_mut().poll(&mut context).is_pending());
    });
}

/// A notification in the drop of a waker, which runs in the middle of another notification.
#[test]
fn wakers_that_call_back_find_no_lock_held() {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Wake, Waker},
    };
    #[derive(Default)]
    struct All {
        notify: Notify,
        condvar: Condvar,
        semaphore: Option<Semaphore>,
        once: Once,
    }
    impl All {
        fn touch(&self) {
            self.notify.notify_waiters();
            self.condvar.notify_all();
            self.semaphore.as_ref().unwrap().add_permits(1);
            let _ = self.once.try_call_once(|| ());
        }
    }
    /// Uses them all when it is woken, and when it is dropped.
    struct CallsBack(Arc<All>);
    impl Wake for CallsBack {
        fn wake(self: Arc<Self>) {
            self.0.touch();
        }
    }
    impl Drop for CallsBack {
        fn drop(&mut self) {
            self.0.touch();
        }
    }
    let all = Arc::new(All { semaphore: Some(Semaphore::new(0)), ..All::default() });
    let mutex = Mutex::new(());
    let waker = || Waker::from(Arc::new(CallsBack(all.clone())));
    let (mut notified, mut acquire) =
        (pin!(all.notify.notified()), pin!(all.semaphore.as_ref().unwrap().acquire_async(9)));
    let (mut wait, mut once) = (pin!(all.condvar.wait_async(mutex.lock())), pin!(all.once.wait_async()));
    for _ in 0..3 {
        // Each poll drops the waker of the one before, at least.
        let _ = notified.as_mut().poll(&mut Context::from_waker(&waker())).is_ready() || {
            let _ = once.as_mut().poll(&mut Context::from_waker(&waker()));
            let _ = wait.as_mut().poll(&mut Context::from_waker(&waker()));
            acquire.as_mut().poll(&mut Context::from_waker(&waker())).is_ready()
        };
        if notified.is_terminated() || once.is_terminated() || wait.is_terminated() || acquire.is_terminated() {
            break;
        }
    }
    all.touch();
}
