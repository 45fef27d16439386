//! What is done with locks, permits, notifications and initialisers: tasks await them, give up some of the waits when these
//! are pending, and share each object with blocking calls.

use super::{EACH, SENDERS, patiently};
use crate::{Host, Tally, Team};
use futures_lite::future;
use greenlight_core::{
    Barrier, Condvar, Mutex, Notify, Once, OnceCell, RwLock, Semaphore, WaitGroup,
    channel::{RecvError, bounded, never},
    select,
};
use std::{
    collections::VecDeque,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

/// `future`; two in three are given up when they have been pending for a while, the others end only if they are woken.
async fn sometimes<F: Future>(future: F, number: u64) -> Option<F::Output> {
    if number.is_multiple_of(3) { Some(future.await) } else { patiently(future, number % 4).await }
}

/// `wait`, given up and begun anew until it has come.
async fn again_and_again<F: Future>(first: u64, mut wait: impl FnMut() -> F) -> F::Output {
    let mut number = first;
    loop {
        if let Some(output) = sometimes(wait(), number).await {
            return output;
        }
        number += 1;
        future::yield_now().await;
    }
}

/// A mutex, held across awaits: nobody is inside with another, and everybody who was inside is counted.
pub fn async_mutexes(host: &dyn Host) {
    let mutex = Arc::new(Mutex::new([0; 2]));
    let mut team = Team::on(host);
    for _ in 0..SENDERS {
        let lock = mutex.clone();
        team.task(async move {
            let mut inside = Tally::default();
            for round in 0..EACH {
                let Some(mut both) = sometimes(lock.lock_async(), round).await else { continue };
                both[0] += 1;
                future::yield_now().await;
                both[1] += 1;
                assert_eq!(both[0], both[1]);
                inside += 1;
            }
            inside
        });
        let lock = mutex.clone();
        team.call(move || {
            for _ in 0..EACH {
                let mut both = lock.lock();
                assert_eq!(both[0], both[1]);
                both.iter_mut().for_each(|count| *count += 1);
            }
            Tally { count: EACH, sum: EACH }
        });
    }
    let inside = team.finish().count;
    assert_eq!(*mutex.lock(), [inside; 2]);
}

/// A lock of readers and writers, held across awaits: no reader sees a half of what a writer does.
pub fn async_rw_locks(host: &dyn Host) {
    let rw_lock = Arc::new(RwLock::new([0; 2]));
    let mut team = Team::on(host);
    for first in 0..SENDERS {
        let lock = rw_lock.clone();
        team.task(async move {
            let mut writes = Tally::default();
            for round in first..first + EACH {
                if round.is_multiple_of(4) {
                    let Some(mut both) = sometimes(lock.write_async(), round).await else { continue };
                    both[0] += 1;
                    future::yield_now().await;
                    both[1] += 1;
                    writes += 1;
                } else if let Some(both) = sometimes(lock.read_async(), round).await {
                    let before = both[0];
                    future::yield_now().await;
                    assert_eq!(*both, [before; 2]);
                }
            }
            writes
        });
        let lock = rw_lock.clone();
        team.call(move || {
            for round in 0..EACH {
                if round.is_multiple_of(3) {
                    lock.write().iter_mut().for_each(|count| *count += 1);
                } else {
                    let both = lock.read();
                    assert_eq!(both[0], both[1]);
                }
            }
            Tally { count: EACH / 3, sum: EACH / 3 }
        });
    }
    let writes = team.finish().count;
    assert_eq!(*rw_lock.read(), [writes; 2]);
}

/// Tasks and calls wait for the same group, and report done to it; it is used again and again.
pub fn async_wait_groups(host: &dyn Host) {
    let (group, done) = (Arc::new(WaitGroup::new()), Arc::new(AtomicU64::new(0)));
    for round in 1..=10 {
        let mut team = Team::on(host);
        group.add(2 * SENDERS as usize);
        for number in 0..SENDERS {
            let (waiting, so_far) = (group.clone(), done.clone());
            team.task(async move {
                again_and_again(number, || waiting.wait_async()).await;
                assert_eq!(so_far.load(Relaxed), round * 2 * SENDERS);
            });
            let (waiting, so_far) = (group.clone(), done.clone());
            team.call(move || {
                waiting.wait();
                assert_eq!(so_far.load(Relaxed), round * 2 * SENDERS);
            });
        }
        for _ in 0..SENDERS {
            let (working, so_far) = (group.clone(), done.clone());
            team.task(async move {
                let _done = working.done_on_drop();
                future::yield_now().await;
                so_far.fetch_add(1, Relaxed);
            });
            let (working, so_far) = (group.clone(), done.clone());
            team.call(move || {
                so_far.fetch_add(1, Relaxed);
                working.done();
            });
        }
        team.finish();
    }
}

const PERMITS: usize = 3;

/// How many permits are in use.
#[derive(Default)]
struct InUse(AtomicUsize);

impl InUse {
    fn more(&self, permits: usize) {
        let before = self.0.fetch_add(permits, Relaxed);
        assert!(before + permits <= PERMITS, "{} permits in use", before + permits);
    }

    fn less(&self, permits: usize) {
        self.0.fetch_sub(permits, Relaxed);
    }
}

/// One, two or three permits at a time, held across awaits: never more than there are, and all are there at the end. Then it
/// is closed, and everybody who waits hears of it.
pub fn semaphores(host: &dyn Host) {
    let shared = Arc::new((Semaphore::new(PERMITS), InUse::default()));
    let mut team = Team::on(host);
    for first in 0..SENDERS {
        let here = shared.clone();
        team.task(async move {
            let (semaphore, in_use) = &*here;
            for number in first..first + EACH {
                let permits = 1 + number as usize % PERMITS;
                // In steps of its own, or the same numbers of permits would always be waited for to the end.
                let Some(permit) = sometimes(semaphore.acquire_async(permits), number / 3).await else { continue };
                let _permit = permit.expect("nobody has closed it");
                in_use.more(permits);
                future::yield_now().await;
                in_use.less(permits);
            }
        });
        let here = shared.clone();
        team.call(move || {
            let (semaphore, in_use) = &*here;
            for number in first..first + EACH {
                let permits = 1 + number as usize % PERMITS;
                let _permit = semaphore.acquire(permits).expect("nobody has closed it");
                in_use.more(permits);
                in_use.less(permits);
            }
        });
    }
    team.finish();
    let all = shared.0.try_acquire(PERMITS).expect("all have come back");

    let mut team = Team::on(host);
    for _ in 0..SENDERS {
        let here = shared.clone();
        team.task(async move { assert!(here.0.acquire_async(1).await.is_err()) });
        let here = shared.clone();
        team.call(move || assert!(here.0.acquire(1).is_err()));
    }
    let here = shared.clone();
    team.task(async move {
        future::yield_now().await;
        here.0.close();
    });
    team.finish();
    drop(all);
    assert_eq!(shared.0.available_permits(), PERMITS);
}

/// Goods with a notification for each, to whoever waits: none is left lying. Then a notification for everybody.
pub fn notifies(host: &dyn Host) {
    struct Shop {
        goods: Mutex<VecDeque<u64>>,
        open: AtomicU64,
        news: Notify,
    }

    impl Shop {
        /// None if there is nothing now; `Err` if there will be nothing any more: all is decided under the lock.
        fn look(&self) -> Option<Result<u64, RecvError>> {
            let mut goods = self.goods.lock();
            match goods.pop_front() {
                Some(number) => Some(Ok(number)),
                None if self.open.load(Relaxed) == 0 => {
                    drop(goods);
                    self.news.notify_one(); // for the next who waits
                    Some(Err(RecvError))
                }
                None => None,
            }
        }

        fn put(&self, number: u64) {
            self.goods.lock().push_back(number);
            self.news.notify_one();
        }

        /// One who puts goods in has put in his last.
        fn close(&self) {
            let goods = self.goods.lock();
            self.open.fetch_sub(1, Relaxed);
            drop(goods);
            self.news.notify_one();
        }
    }

    let shop = Shop { goods: Mutex::default(), open: AtomicU64::new(SENDERS), news: Notify::new() };
    let (shop, mut team) = (Arc::new(shop), Team::on(host));
    for first in 0..SENDERS {
        let here = shop.clone();
        if first % 2 == 0 {
            team.task(async move {
                for number in (first..SENDERS * EACH).step_by(SENDERS as usize) {
                    here.put(number);
                    future::yield_now().await;
                }
                here.close();
            });
        } else {
            team.call(move || {
                (first..SENDERS * EACH).step_by(SENDERS as usize).for_each(|number| here.put(number));
                here.close();
            });
        }
        let here = shop.clone();
        team.task(async move {
            let mut tally = Tally::default();
            for number in 0.. {
                match here.look() {
                    Some(Ok(number)) => tally += number,
                    Some(Err(RecvError)) => break,
                    // Given up, it passes its notification on, and looks again itself.
                    None => _ = sometimes(here.news.notified(), number).await,
                }
            }
            tally
        });
        let here = shop.clone();
        team.call(move || {
            let mut tally = Tally::default();
            loop {
                match here.look() {
                    Some(Ok(number)) => tally += number,
                    Some(Err(RecvError)) => return tally,
                    None => here.news.wait(),
                }
            }
        });
    }
    assert_eq!(team.finish(), Tally::below(SENDERS * EACH));

    // Futures hear of it from when they were made, polled or not.
    let (everybody, ready, mut team) = (Arc::new(Notify::new()), Arc::new(WaitGroup::new()), Team::on(host));
    ready.add(SENDERS as usize);
    for _ in 0..SENDERS {
        let (everybody, ready) = (everybody.clone(), ready.clone());
        team.task(async move {
            let notified = everybody.notified();
            ready.done();
            notified.await;
        });
    }
    team.call(move || {
        ready.wait();
        everybody.notify_waiters();
    });
    team.finish();
}

/// A shelf with room for a few, made of a mutex and two condition variables: whoever waits for the one is woken by the
/// other, or by one who gave up after he was woken.
pub fn condvars(host: &dyn Host) {
    const ROOM: usize = 2;

    #[derive(Default)]
    struct Shelf {
        goods: Mutex<(VecDeque<u64>, u64)>,
        more: Condvar,
        less: Condvar,
    }

    impl Shelf {
        async fn put_async(&self, number: u64) {
            let mut state = self.goods.lock_async().await;
            for attempt in number.. {
                if state.0.len() < ROOM {
                    break;
                }
                state = match sometimes(self.less.wait_async(state), attempt).await {
                    Some(state) => state,
                    None => self.goods.lock_async().await,
                };
            }
            state.0.push_back(number);
            drop(state);
            self.more.notify_one();
        }

        fn put(&self, number: u64) {
            let mut state = self.less.wait_while(self.goods.lock(), |state| state.0.len() == ROOM);
            state.0.push_back(number);
            drop(state);
            self.more.notify_one();
        }

        async fn take_async(&self, first: u64) -> Option<u64> {
            let mut state = self.goods.lock_async().await;
            for attempt in first.. {
                if !state.0.is_empty() || state.1 == 0 {
                    break;
                }
                state = match sometimes(self.more.wait_async(state), attempt).await {
                    Some(state) => state,
                    None => self.goods.lock_async().await,
                };
            }
            let number = state.0.pop_front();
            drop(state);
            self.less.notify_one();
            number
        }

        fn take(&self) -> Option<u64> {
            let mut state = self.more.wait_while(self.goods.lock(), |state| state.0.is_empty() && state.1 > 0);
            let number = state.0.pop_front();
            drop(state);
            self.less.notify_one();
            number
        }

        fn close(&self) {
            self.goods.lock().1 -= 1;
            self.more.notify_all();
        }
    }

    let shelf = Arc::new(Shelf { goods: Mutex::new((VecDeque::new(), SENDERS)), ..Shelf::default() });
    let mut team = Team::on(host);
    for first in 0..SENDERS {
        let numbers = move || (first..SENDERS * EACH).step_by(SENDERS as usize);
        let here = shelf.clone();
        if first % 2 == 0 {
            team.task(async move {
                for number in numbers() {
                    here.put_async(number).await;
                }
                here.close();
            });
        } else {
            team.call(move || {
                numbers().for_each(|number| here.put(number));
                here.close();
            });
        }
        let here = shelf.clone();
        if first % 2 == 0 {
            team.call(move || std::iter::from_fn(|| here.take()).collect::<Tally>());
        } else {
            team.task(async move {
                let mut tally = Tally::default();
                while let Some(number) = here.take_async(tally.count).await {
                    tally += number;
                }
                tally
            });
        }
    }
    assert_eq!(team.finish(), Tally::below(SENDERS * EACH));
}

/// Rounds in which everybody waits for everybody. Nobody gives up: who does so as the round ends cannot tell whether he counted.
pub fn barriers(host: &dyn Host) {
    const PARTIES: u64 = 2 * SENDERS;
    const ROUNDS: u64 = 30;
    let shared = Arc::new((Barrier::new(PARTIES as usize), AtomicU64::new(0)));
    let mut team = Team::on(host);
    for _ in 0..SENDERS {
        let here = shared.clone();
        team.task(async move {
            let (barrier, come) = &*here;
            let mut led = Tally::default();
            for round in 1..=ROUNDS {
                come.fetch_add(1, Relaxed);
                if barrier.wait_async().await.is_leader() {
                    led += round;
                }
                assert!(come.load(Relaxed) >= round * PARTIES, "all have come");
            }
            led
        });
        let here = shared.clone();
        team.call(move || {
            let (barrier, come) = &*here;
            let mut led = Tally::default();
            for round in 1..=ROUNDS {
                come.fetch_add(1, Relaxed);
                if barrier.wait().is_leader() {
                    led += round;
                }
                assert!(come.load(Relaxed) >= round * PARTIES, "all have come");
            }
            led
        });
    }
    let each_round_once = (1..=ROUNDS).collect::<Tally>();
    assert_eq!(team.finish(), each_round_once);
}

/// Cells and once flags that all want to fill at once. Who gives up in the middle leaves it to another; one comes to the end.
pub fn once_cells(host: &dyn Host) {
    #[derive(Default)]
    struct Firsts {
        cell: OnceCell<u64>,
        made: AtomicU64,
        once: Once,
        called: AtomicU64,
    }

    async fn make(firsts: Arc<Firsts>) -> u64 {
        future::yield_now().await;
        future::yield_now().await;
        firsts.made.fetch_add(1, Relaxed);
        7
    }

    async fn call(firsts: Arc<Firsts>) {
        future::yield_now().await;
        firsts.called.fetch_add(1, Relaxed);
    }

    for round in 0..EACH / 10 {
        let (firsts, mut team) = (Arc::new(Firsts::default()), Team::on(host));
        for number in 0..SENDERS {
            let here = firsts.clone();
            team.task(async move {
                let get = || {
                    let firsts = here.clone();
                    here.cell.get_or_init_async(|| make(firsts))
                };
                assert_eq!(again_and_again(round + number, get).await, &7);
                let call_once = || {
                    let firsts = here.clone();
                    here.once.call_once_async(|| call(firsts))
                };
                again_and_again(round + number, call_once).await;
                assert_eq!(here.called.load(Relaxed), 1);
            });
            let here = firsts.clone();
            team.task(async move {
                again_and_again(round + number, || here.once.wait_async()).await;
                assert_eq!(here.called.load(Relaxed), 1);
                assert_eq!(again_and_again(round + number, || here.cell.wait_async()).await, &7);
            });
            let here = firsts.clone();
            team.call(move || {
                let value = here.cell.get_or_init(|| {
                    here.made.fetch_add(1, Relaxed);
                    7
                });
                assert_eq!(value, &7);
                here.once.call_once(|| _ = here.called.fetch_add(1, Relaxed));
                assert_eq!(here.called.load(Relaxed), 1);
            });
            let here = firsts.clone();
            team.call(move || {
                assert_eq!(here.cell.wait(), &7);
                here.once.wait();
            });
        }
        team.finish();
        assert_eq!((firsts.made.load(Relaxed), firsts.called.load(Relaxed)), (1, 1));
    }
}

/// So many tasks, and so many calls: each of the hosts that there are has some of both.
const CROWD: u64 = 18;

/// Everybody on one set of objects at once: a permit, then the lock, then the readers' lock; now and then a barrier for all.
pub fn crowds(host: &dyn Host) {
    const ROUNDS: u64 = 40;

    struct Square {
        permits: Semaphore,
        in_use: InUse,
        count: Mutex<u64>,
        both: RwLock<[u64; 2]>,
        meeting: Barrier,
        gone: WaitGroup,
    }

    let square = Arc::new(Square {
        permits: Semaphore::new(PERMITS),
        in_use: InUse::default(),
        count: Mutex::new(0),
        both: RwLock::new([0; 2]),
        meeting: Barrier::new(2 * CROWD as usize),
        gone: WaitGroup::new(),
    });
    square.gone.add(2 * CROWD as usize);
    let mut team = Team::on(host);
    for first in 0..CROWD {
        let here = square.clone();
        team.task(async move {
            for round in 1..=ROUNDS {
                let permit = again_and_again(first + round, || here.permits.acquire_async(1)).await;
                let permit = permit.expect("nobody closes it");
                here.in_use.more(1);
                *again_and_again(first + round, || here.count.lock_async()).await += 1;
                here.in_use.less(1);
                drop(permit);
                if (first + round).is_multiple_of(4) {
                    let mut both = again_and_again(first + round, || here.both.write_async()).await;
                    both[0] += 1;
                    future::yield_now().await;
                    both[1] += 1;
                } else {
                    let both = again_and_again(first + round, || here.both.read_async()).await;
                    assert_eq!(both[0], both[1]);
                }
                if round.is_multiple_of(10) {
                    here.meeting.wait_async().await;
                    assert!(*here.count.lock_async().await >= 2 * CROWD * round);
                }
            }
            here.gone.done();
            again_and_again(first, || here.gone.wait_async()).await;
            assert_eq!(*here.count.lock_async().await, 2 * CROWD * ROUNDS);
        });
    }
    for first in 0..CROWD {
        let here = square.clone();
        team.call(move || {
            for round in 1..=ROUNDS {
                let permit = here.permits.acquire(1).expect("nobody closes it");
                here.in_use.more(1);
                *here.count.lock() += 1;
                here.in_use.less(1);
                drop(permit);
                if (first + round).is_multiple_of(4) {
                    here.both.write().iter_mut().for_each(|count| *count += 1);
                } else {
                    let both = here.both.read();
                    assert_eq!(both[0], both[1]);
                }
                if round.is_multiple_of(10) {
                    here.meeting.wait();
                    assert!(*here.count.lock() >= 2 * CROWD * round);
                }
            }
            here.gone.done();
            here.gone.wait();
            assert_eq!(*here.count.lock(), 2 * CROWD * ROUNDS);
        });
    }
    team.finish();
    assert_eq!(*square.both.read(), [CROWD * ROUNDS / 2; 2]);
    assert_eq!(square.permits.available_permits(), PERMITS);
}

/// A blocking `select!` between a channel, a lock and a permit which tasks hold across awaits, and at the end a wait group:
/// what an arm brings is counted, and what loses takes nothing along.
pub fn selects_of_waits(host: &dyn Host) {
    let (tx, rx) = bounded(0);
    let (lock, permits, group) = (Arc::new(Mutex::new(0)), Arc::new(Semaphore::new(2)), Arc::new(WaitGroup::new()));
    let (locked, mut team) = (Arc::new(AtomicU64::new(0)), Team::on(host));
    group.add(SENDERS as usize);
    for _ in 0..2 {
        let (rx, lock, permits, group, locked) =
            (rx.clone(), lock.clone(), permits.clone(), group.clone(), locked.clone());
        team.call(move || {
            let mut tally = Tally::default();
            loop {
                let received = select! {
                    recv(rx) -> number => Some(number),
                    wait(lock.lock_async()) -> mut count => {
                        *count += 1;
                        locked.fetch_add(1, Relaxed);
                        None
                    }
                    wait(permits.acquire_async(2)) -> both => {
                        assert_eq!(both.expect("nobody closes it").permits(), 2);
                        None
                    }
                };
                // A lock that is free, again and again, would never let the others of a worker have their turn.
                match received.unwrap_or_else(|| rx.recv()) {
                    Ok(number) => tally += number,
                    Err(RecvError) => break,
                }
            }
            select! {
                recv(never::<()>()) -> _ => unreachable!(),
                wait(group.wait_async()) -> () => assert_eq!(group.count(), 0),
            }
            tally
        });
    }
    drop(rx);
    for first in 0..SENDERS {
        let (tx, lock, permits, group, locked) =
            (tx.clone(), lock.clone(), permits.clone(), group.clone(), locked.clone());
        team.task(async move {
            for number in (first..SENDERS * EACH).step_by(SENDERS as usize) {
                if first % 2 == 0 {
                    let mut count = lock.lock_async().await;
                    *count += 1;
                    locked.fetch_add(1, Relaxed);
                    tx.send_async(number).await.expect("receivers are there to the end");
                } else {
                    let _permit = permits.acquire_async(1).await.expect("nobody closes it");
                    tx.send_async(number).await.expect("receivers are there to the end");
                }
            }
            drop(tx);
            group.done();
        });
    }
    drop(tx);
    assert_eq!(team.finish(), Tally::below(SENDERS * EACH));
    assert_eq!(*lock.lock(), locked.load(Relaxed));
    assert_eq!(permits.available_permits(), 2);
}
