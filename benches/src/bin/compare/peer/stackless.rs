//! The workloads for tasks that are futures.

use super::{Figures, Run, Size, program::check};
use crate::{
    process,
    work::{self, Job, Results},
};
use std::{
    future::Future,
    hint::black_box,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*},
    },
    time::{Duration, Instant},
};

/// A library's channels.
pub(crate) trait Channels: 'static {
    type Sender<T: Send + 'static>: Send + Sync + 'static;
    type Receiver<T: Send + 'static>: Send + Sync + 'static;

    fn channel<T: Send + 'static>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>);
    /// One more sender of the same channel.
    fn sender<T: Send + 'static>(tx: &Self::Sender<T>) -> Self::Sender<T>;
    /// One more receiver of the same channel.
    fn receiver<T: Send + 'static>(rx: &Self::Receiver<T>) -> Self::Receiver<T>;
    /// False if nobody will receive it.
    fn send<T: Send + 'static>(tx: &Self::Sender<T>, value: T) -> impl Future<Output = bool> + Send;
    /// None once there is no sender.
    fn recv<T: Send + 'static>(rx: &mut Self::Receiver<T>) -> impl Future<Output = Option<T>> + Send;
    fn try_recv<T: Send + 'static>(rx: &mut Self::Receiver<T>) -> Option<T>;
    /// From whichever of two receivers has a value.
    fn select2(receivers: &mut [Self::Receiver<u64>; 2]) -> impl Future<Output = u64> + Send;
    fn select8(receivers: &mut [Self::Receiver<u64>; 8]) -> impl Future<Output = u64> + Send;
}

/// A library's locks.
pub(crate) trait Locks: 'static {
    type Mutex: Send + Sync + 'static;
    type RwLock: Send + Sync + 'static;

    fn mutex() -> Self::Mutex;
    /// Lock, add one, unlock.
    fn increment(mutex: &Self::Mutex) -> impl Future<Output = ()> + Send;
    fn value(mutex: &Self::Mutex) -> impl Future<Output = u64> + Send;
    fn rw_lock(value: u64) -> Self::RwLock;
    /// Lock for reading, read, unlock.
    fn read(lock: &Self::RwLock) -> impl Future<Output = u64> + Send;
    /// Add to a wait group and take back, so many times.
    fn add_and_done(times: usize);
}

/// A kind of task, and what its user communicates by.
pub(crate) trait Tasks: Sized + 'static {
    /// The channels for one receiver, and for many.
    type ToOne: Channels;
    type ToMany: Channels;
    type Locks: Locks;
    /// What a million tasks wait on: all are released at once.
    type Crowd: Crowd;
    type Handle<R: Send + 'static>: Send;
    type Sockets: Sockets;

    /// Runs it as a task among so many workers: the same number for the whole life of the process.
    fn run<F: Future<Output: Send + 'static> + Send + 'static>(workers: usize, main: F) -> F::Output;
    fn spawn<F: Future<Output: Send + 'static> + Send + 'static>(task: F) -> Self::Handle<F::Output>;
    /// Lets the task run on without us.
    fn detach<R: Send + 'static>(handle: Self::Handle<R>);
    fn join<R: Send + 'static>(handle: Self::Handle<R>) -> impl Future<Output = R> + Send;
    /// Starts so many empty tasks and waits for all of them.
    fn spawn_and_wait(tasks: usize) -> impl Future<Output = ()> + Send;
    fn yield_now() -> impl Future<Output = ()> + Send;
    fn sleep(time: Duration) -> impl Future<Output = ()> + Send;
    /// A system call that blocks, as this library would have it called.
    fn blocking(call: impl FnOnce() + Send + 'static) -> impl Future<Output = ()> + Send;
}

/// A channel that many receive from; dropping the other half releases all of them.
pub(crate) trait Crowd: 'static {
    type Opener: Send + 'static;
    type Gate: Send + Sync + 'static;

    fn gate() -> (Self::Opener, Self::Gate);
    fn another(rx: &Self::Gate) -> Self::Gate;
    /// Whether it ended without a value.
    fn opened(rx: Self::Gate) -> impl Future<Output = bool> + Send;
}

/// A library's channel serves, where it has many receivers.
impl<C: Channels> Crowd for C {
    type Opener = C::Sender<u64>;
    type Gate = C::Receiver<u64>;

    fn gate() -> (Self::Opener, Self::Gate) {
        C::channel(1)
    }

    fn another(rx: &Self::Gate) -> Self::Gate {
        C::receiver(rx)
    }

    async fn opened(mut rx: Self::Gate) -> bool {
        C::recv(&mut rx).await.is_none()
    }
}

/// Sockets; `()` where there are none.
pub(crate) trait Sockets: 'static {
    type Listener: Send + Sync + 'static;
    type Stream: Send + 'static;

    fn bind() -> impl Future<Output = (Self::Listener, SocketAddr)> + Send;
    fn accept(listener: &Self::Listener) -> impl Future<Output = Self::Stream> + Send;
    fn connect(address: SocketAddr) -> impl Future<Output = Self::Stream> + Send;
    /// Whether there was a whole message.
    fn read(stream: &mut Self::Stream, message: &mut [u8; 64]) -> impl Future<Output = bool> + Send;
    fn write(stream: &mut Self::Stream, message: &[u8; 64]) -> impl Future<Output = ()> + Send;
}

impl Sockets for () {
    type Listener = ();
    type Stream = ();

    async fn bind() -> ((), SocketAddr) {
        unreachable!("absent")
    }

    async fn accept(_: &()) {}

    async fn connect(_: SocketAddr) {}

    async fn read(_: &mut (), _: &mut [u8; 64]) -> bool {
        false
    }

    async fn write(_: &mut (), _: &[u8; 64]) {}
}

/// The workload of this name.
pub(crate) fn workload<P: Tasks>(name: &str) -> Option<Run> {
    Some(match name {
        "yield" => yields::<P>,
        "pingpong" => pingpong::<P>,
        "unbuf" => |size| to_one::<P>(size, 1, 0, 1_000_000),
        "spsc" => |size| to_one::<P>(size, 1, 128, 5_000_000),
        "mpsc" => |size| to_one::<P>(size, 4, 128, 4_000_000),
        "mpmc" => |size| to_many::<P>(size, 4, 128, 4_000_000),
        "mpmc100" => |size| to_many::<P>(size, 100, 10, 2_000_000),
        "unbuf100" => |size| to_many::<P>(size, 100, 0, 1_000_000),
        "chan_uncontended" => uncontended::<P>,
        "try_empty" => try_empty::<P>,
        "select2" => select2::<P>,
        "select8" => select8::<P>,
        "spawn" => spawn::<P>,
        "spawn_join" => spawn_join::<P>,
        "skynet" => skynet::<P>,
        "fib" => fib::<P>,
        "million" => million::<P>,
        "mutex1" => mutex1::<P>,
        "mutex8" => mutex8::<P>,
        "rwread" => rwread::<P>,
        "wg" => wait_group::<P>,
        "sieve" => sieve::<P>,
        "timers" => timers::<P>,
        "pipeline" => pipeline::<P>,
        "pool" => pool::<P>,
        "hog" => hog::<P>,
        "blocking" => blocking::<P>,
        "echo" => echo::<P>,
        _ => return None,
    })
}

fn ns_per(start: Instant, operations: usize) -> Figures {
    vec![("ns/op", start.elapsed().as_nanos() as f64 / operations as f64)]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn sum_below(end: usize) -> u64 {
    let end = end as u64;
    end * end.saturating_sub(1) / 2
}

fn start<P: Tasks>(task: impl Future<Output: Send + 'static> + Send + 'static) {
    P::detach(P::spawn(task));
}

async fn join_all<P: Tasks, R: Send + 'static>(handles: Vec<P::Handle<R>>) -> Vec<R> {
    let mut results = Vec::with_capacity(handles.len());
    for handle in handles {
        results.push(P::join(handle).await);
    }
    results
}

fn yields<P: Tasks>(size: &Size) -> Figures {
    let each = size.of(1_000_000);
    P::run(size.workers, async move {
        let start = Instant::now();
        let task = || {
            P::spawn(async move {
                for _ in 0..each {
                    P::yield_now().await;
                }
            })
        };
        join_all::<P, _>(vec![task(), task()]).await;
        ns_per(start, 2 * each)
    })
}

fn pingpong<P: Tasks>(size: &Size) -> Figures {
    let trips = size.of(500_000);
    P::run(size.workers, async move {
        let (ping, mut pinged) = P::ToOne::channel::<u64>(0);
        let (pong, mut ponged) = P::ToOne::channel::<u64>(0);
        let start = Instant::now();
        let other = P::spawn(async move {
            while let Some(number) = P::ToOne::recv(&mut pinged).await {
                P::ToOne::send(&pong, number + 1).await;
            }
        });
        let mut number = 0;
        for _ in 0..trips {
            P::ToOne::send(&ping, number).await;
            number = P::ToOne::recv(&mut ponged).await.expect("an answer");
        }
        let figures = ns_per(start, trips);
        check("pingpong's count", number, trips as u64);
        drop(ping);
        P::join(other).await;
        figures
    })
}

/// Starts the producers of `0..producers * each`.
fn produce<P: Tasks, C: Channels>(tx: C::Sender<u64>, producers: usize, each: usize) {
    for producer in 0..producers {
        let tx = C::sender(&tx);
        start::<P>(async move {
            for number in producer * each..(producer + 1) * each {
                C::send(&tx, number as u64).await;
            }
        });
    }
}

async fn consume<C: Channels>(mut rx: C::Receiver<u64>) -> [u64; 2] {
    let (mut count, mut sum) = (0, 0);
    while let Some(number) = C::recv(&mut rx).await {
        count += 1;
        sum += number;
    }
    [count, sum]
}

fn to_one<P: Tasks>(size: &Size, producers: usize, capacity: usize, messages: usize) -> Figures {
    let each = size.of(messages / producers);
    P::run(size.workers, async move {
        let (tx, rx) = P::ToOne::channel(capacity);
        let start = Instant::now();
        produce::<P, P::ToOne>(tx, producers, each);
        let received = consume::<P::ToOne>(rx).await;
        let messages = producers * each;
        let figures = ns_per(start, messages);
        check("the messages' count and sum", received, [messages as u64, sum_below(messages)]);
        figures
    })
}

fn to_many<P: Tasks>(size: &Size, tasks: usize, capacity: usize, messages: usize) -> Figures {
    let each = size.of(messages / tasks);
    P::run(size.workers, async move {
        let (tx, rx) = P::ToMany::channel(capacity);
        let start = Instant::now();
        produce::<P, P::ToMany>(tx, tasks, each);
        let consumers = (0..tasks).map(|_| P::spawn(consume::<P::ToMany>(P::ToMany::receiver(&rx)))).collect();
        drop(rx);
        let parts = join_all::<P, _>(consumers).await;
        let messages = tasks * each;
        let figures = ns_per(start, messages);
        let received = parts.iter().fold([0, 0], |all, part| [all[0] + part[0], all[1] + part[1]]);
        check("the messages' count and sum", received, [messages as u64, sum_below(messages)]);
        figures
    })
}

fn uncontended<P: Tasks>(size: &Size) -> Figures {
    let rounds = size.of(10_000_000).div_ceil(128);
    P::run(size.workers, async move {
        let (tx, mut rx) = P::ToOne::channel(128);
        let mut sum = 0;
        let start = Instant::now();
        for _ in 0..rounds {
            for number in 0..128_u64 {
                P::ToOne::send(&tx, number).await;
            }
            for _ in 0..128 {
                sum += P::ToOne::recv(&mut rx).await.expect("just sent");
            }
        }
        let figures = ns_per(start, rounds * 128);
        check("the messages' sum", sum, rounds as u64 * sum_below(128));
        figures
    })
}

fn try_empty<P: Tasks>(size: &Size) -> Figures {
    let times = size.of(20_000_000);
    P::run(size.workers, async move {
        let (_tx, mut rx) = P::ToOne::channel::<u64>(128);
        let start = Instant::now();
        let found = (0..times).filter(|_| P::ToOne::try_recv(black_box(&mut rx)).is_some()).count();
        let figures = ns_per(start, times);
        check("what was in an empty channel", found, 0);
        figures
    })
}

/// N producers with a channel each, and a consumer that selects. The select ends by counting: nobody closes a channel before.
macro_rules! select {
    ($name:ident, $select:ident, $n:literal, $capacity:literal) => {
        fn $name<P: Tasks>(size: &Size) -> Figures {
            let each = size.of(1_000_000 / $n);
            P::run(size.workers, async move {
                let channels: [_; $n] = std::array::from_fn(|_| P::ToOne::channel($capacity));
                let senders: Vec<_> = channels.iter().map(|(tx, _)| P::ToOne::sender(tx)).collect();
                let mut kept = Vec::new();
                let mut receivers = channels.map(|(tx, rx)| {
                    kept.push(tx);
                    rx
                });
                let mut sum = 0;
                let begin = Instant::now();
                for (producer, tx) in senders.into_iter().enumerate() {
                    start::<P>(async move {
                        for number in producer * each..(producer + 1) * each {
                            P::ToOne::send(&tx, number as u64).await;
                        }
                    });
                }
                for _ in 0..$n * each {
                    sum += P::ToOne::$select(&mut receivers).await;
                }
                let figures = ns_per(begin, $n * each);
                drop(kept);
                check("the messages' sum", sum, sum_below($n * each));
                figures
            })
        }
    };
}

select!(select2, select2, 2, 0);
select!(select8, select8, 8, 1);

fn spawn<P: Tasks>(size: &Size) -> Figures {
    let times = size.of(1_000);
    P::run(size.workers, async move {
        let start = Instant::now();
        for _ in 0..times {
            P::spawn_and_wait(1_000).await;
        }
        ns_per(start, times * 1_000)
    })
}

fn spawn_join<P: Tasks>(size: &Size) -> Figures {
    let times = size.of(500_000);
    P::run(size.workers, async move {
        let mut sum = 0;
        let start = Instant::now();
        for number in 0..times as u64 {
            sum += P::join(P::spawn(async move { number })).await;
        }
        let figures = ns_per(start, times);
        check("the sum of what was joined", sum, sum_below(times));
        figures
    })
}

fn skynet<P: Tasks>(size: &Size) -> Figures {
    type Sender<P> = <<P as Tasks>::ToOne as Channels>::Sender<u64>;

    /// Not an `async fn`: a future would have to contain itself.
    fn node<P: Tasks>(parent: Sender<P>, first: u64, leaves: u64) {
        start::<P>(async move {
            if leaves == 1 {
                P::ToOne::send(&parent, first).await;
                return;
            }
            let (tx, mut rx) = P::ToOne::channel(10);
            for child in 0..10 {
                node::<P>(P::ToOne::sender(&tx), first + child * (leaves / 10), leaves / 10);
            }
            let mut sum = 0;
            for _ in 0..10 {
                sum += P::ToOne::recv(&mut rx).await.expect("a child's sum");
            }
            P::ToOne::send(&parent, sum).await;
        });
    }

    let leaves = work::power_of_ten(size.of(1_000_000));
    P::run(size.workers, async move {
        let (tx, mut rx) = P::ToOne::channel(1);
        let start = Instant::now();
        node::<P>(tx, 0, leaves);
        let sum = P::ToOne::recv(&mut rx).await.expect("the sum");
        let time = start.elapsed();
        check("skynet's sum", sum, sum_below(leaves as usize));
        vec![("ms", ms(time))]
    })
}

fn fib<P: Tasks>(size: &Size) -> Figures {
    fn node<P: Tasks>(n: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
        Box::pin(async move {
            if n < 2 {
                return n;
            }
            let left = P::spawn(node::<P>(n - 1));
            let right = node::<P>(n - 2).await;
            P::join(left).await + right
        })
    }

    let n = work::fib_argument(size.scale);
    P::run(size.workers, async move {
        let start = Instant::now();
        let result = node::<P>(n).await;
        let time = start.elapsed();
        check("fib", result, work::fib(n));
        vec![("ms", ms(time))]
    })
}

fn million<P: Tasks>(size: &Size) -> Figures {
    let tasks = size.of(1_000_000);
    P::run(size.workers, async move {
        let [create, release, bytes] = crowd::<P>(tasks).await;
        // Now the process has the memory already.
        let [warm_create, warm_release, _] = crowd::<P>(tasks).await;
        vec![
            ("bytes/task", bytes),
            ("create ms", create),
            ("release ms", release),
            ("warm create ms", warm_create),
            ("warm release ms", warm_release),
        ]
    })
}

/// How long it takes until so many tasks wait, and to end them all; and what memory each took.
async fn crowd<P: Tasks>(tasks: usize) -> [f64; 3] {
    async fn all<P: Tasks>(count: &AtomicUsize, tasks: usize) {
        while count.load(Acquire) < tasks {
            P::sleep(Duration::from_millis(1)).await;
        }
    }

    let (tx, rx) = P::Crowd::gate();
    let [started, ended] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let (begin, before) = (Instant::now(), process::resident());
    for _ in 0..tasks {
        let (rx, started, ended) = (P::Crowd::another(&rx), started.clone(), ended.clone());
        start::<P>(async move {
            started.fetch_add(1, Release);
            check("whether the channel was closed", P::Crowd::opened(rx).await, true);
            ended.fetch_add(1, Release);
        });
    }
    all::<P>(&started, tasks).await;
    let create = begin.elapsed();
    // The last ones to start are about to wait.
    P::sleep(Duration::from_millis(5)).await;
    let bytes = process::resident().saturating_sub(before) as f64 / tasks as f64;
    check("the tasks that have ended too early", ended.load(Acquire), 0);
    let begin = Instant::now();
    drop(tx);
    all::<P>(&ended, tasks).await;
    [ms(create), ms(begin.elapsed()), bytes]
}

fn mutex1<P: Tasks>(size: &Size) -> Figures {
    let times = size.of(20_000_000);
    P::run(size.workers, async move {
        let mutex = P::Locks::mutex();
        let start = Instant::now();
        for _ in 0..times {
            P::Locks::increment(&mutex).await;
        }
        let figures = ns_per(start, times);
        check("the number behind the mutex", P::Locks::value(&mutex).await, times as u64);
        figures
    })
}

fn mutex8<P: Tasks>(size: &Size) -> Figures {
    let each = size.of(4_000_000 / 8);
    P::run(size.workers, async move {
        let mutex = Arc::new(P::Locks::mutex());
        let start = Instant::now();
        let task = |mutex: Arc<<P::Locks as Locks>::Mutex>| {
            P::spawn(async move {
                for _ in 0..each {
                    P::Locks::increment(&mutex).await;
                }
            })
        };
        join_all::<P, _>((0..8).map(|_| task(mutex.clone())).collect()).await;
        let figures = ns_per(start, 8 * each);
        check("the number behind the mutex", P::Locks::value(&mutex).await, 8 * each as u64);
        figures
    })
}

fn rwread<P: Tasks>(size: &Size) -> Figures {
    let each = size.of(8_000_000 / 4);
    P::run(size.workers, async move {
        let lock = Arc::new(P::Locks::rw_lock(3));
        let start = Instant::now();
        let task = |lock: Arc<<P::Locks as Locks>::RwLock>| {
            P::spawn(async move {
                let mut sum = 0;
                for _ in 0..each {
                    sum += P::Locks::read(&lock).await;
                }
                sum
            })
        };
        let sums = join_all::<P, u64>((0..4).map(|_| task(lock.clone())).collect()).await;
        let figures = ns_per(start, 4 * each);
        check("the sum of what was read", sums.iter().sum::<u64>(), 3 * 4 * each as u64);
        figures
    })
}

fn wait_group<P: Tasks>(size: &Size) -> Figures {
    let times = size.of(20_000_000);
    P::run(size.workers, async move {
        let start = Instant::now();
        P::Locks::add_and_done(times);
        ns_per(start, times)
    })
}

fn sieve<P: Tasks>(size: &Size) -> Figures {
    async fn filter<C: Channels>(prime: u64, mut from: C::Receiver<u64>, to: C::Sender<u64>) {
        while let Some(number) = C::recv(&mut from).await {
            if number % prime != 0 && !C::send(&to, number).await {
                return;
            }
        }
    }

    let primes = size.of(2_000);
    P::run(size.workers, async move {
        let begin = Instant::now();
        let (tx, mut rx) = P::ToOne::channel(0);
        start::<P>(async move {
            let mut number = 2_u64;
            while P::ToOne::send(&tx, number).await {
                number += 1;
            }
        });
        let mut prime = 0;
        for _ in 0..primes {
            prime = P::ToOne::recv(&mut rx).await.expect("another number");
            let (tx, next) = P::ToOne::channel(0);
            start::<P>(filter::<P::ToOne>(prime, std::mem::replace(&mut rx, next), tx));
        }
        let time = begin.elapsed();
        check("the last prime", prime, work::nth_prime(primes));
        vec![("ms", ms(time))]
    })
}

fn timers<P: Tasks>(size: &Size) -> Figures {
    let tasks = size.of(100_000);
    P::run(size.workers, async move {
        let (start, cpu) = (Instant::now(), process::cpu_time());
        let late = Arc::new(AtomicU64::new(0));
        let nap = |index: usize| {
            let late = late.clone();
            P::spawn(async move {
                let nap = Duration::from_micros(work::nap_us(index));
                let start = Instant::now();
                P::sleep(nap).await;
                late.fetch_add(
                    start.elapsed().checked_sub(nap).expect("slept long enough").as_micros() as u64,
                    Relaxed,
                );
            })
        };
        join_all::<P, ()>((0..tasks).map(nap).collect()).await;
        let (wall, cpu) = (start.elapsed(), process::cpu_time() - cpu);
        let late = late.load(Relaxed) as f64 / 1e3 / tasks as f64;
        vec![("cpu ms", ms(cpu)), ("wall ms", ms(wall)), ("late ms", late)]
    })
}

const STAGES: u32 = 8;

fn pipeline<P: Tasks>(size: &Size) -> Figures {
    let jobs = size.of(200_000);
    P::run(size.workers, async move {
        let (first, mut last) = P::ToOne::channel(16);
        let begin = Instant::now();
        start::<P>(async move {
            for number in 0..jobs {
                P::ToOne::send(&first, Job::new(number as u64)).await;
            }
        });
        for _ in 0..STAGES {
            let (tx, next) = P::ToOne::channel(16);
            let mut from = std::mem::replace(&mut last, next);
            start::<P>(async move {
                while let Some(job) = P::ToOne::recv(&mut from).await {
                    P::ToOne::send(&tx, Job::work(job, 1)).await;
                }
            });
        }
        let mut results = Results::default();
        while let Some(job) = P::ToOne::recv(&mut last).await {
            results.add(job, STAGES);
        }
        let figures = ns_per(begin, jobs);
        results.check(jobs);
        figures
    })
}

fn pool<P: Tasks>(size: &Size) -> Figures {
    let jobs = size.of(200_000);
    P::run(size.workers, async move {
        let (orders, ordered) = P::ToMany::channel(64);
        let (done, mut collected) = P::ToMany::channel(64);
        let begin = Instant::now();
        start::<P>(async move {
            for number in 0..jobs {
                P::ToMany::send(&orders, Job::new(number as u64)).await;
            }
        });
        for _ in 0..8 {
            let (mut ordered, done) = (P::ToMany::receiver(&ordered), P::ToMany::sender(&done));
            start::<P>(async move {
                while let Some(job) = P::ToMany::recv(&mut ordered).await {
                    P::ToMany::send(&done, Job::work(job, 2)).await;
                }
            });
        }
        drop(done);
        let mut results = Results::default();
        while let Some(job) = P::ToMany::recv(&mut collected).await {
            results.add(job, 2);
        }
        let figures = ns_per(begin, jobs);
        results.check(jobs);
        figures
    })
}

fn hog<P: Tasks>(size: &Size) -> Figures {
    let time = Duration::from_secs_f64(2.0 * size.scale.min(1.0));
    P::run(size.workers, async move {
        let [begun, over] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let sleeper = P::spawn({
            let (begun, over) = (begun.clone(), over.clone());
            async move {
                let mut late = Vec::new();
                while !over.load(Relaxed) {
                    let start = Instant::now();
                    P::sleep(Duration::from_millis(1)).await;
                    if begun.load(Relaxed) {
                        late.push(start.elapsed().saturating_sub(Duration::from_millis(1)));
                    }
                }
                late
            }
        });
        // It sleeps when they begin.
        P::sleep(Duration::from_millis(5)).await;
        begun.store(true, Relaxed);
        join_all::<P, ()>((0..2).map(|_| P::spawn(async move { work::spin(time) })).collect()).await;
        over.store(true, Relaxed);
        work::lateness(P::join(sleeper).await)
    })
}

fn blocking<P: Tasks>(size: &Size) -> Figures {
    P::run(size.workers, async {
        let over = Arc::new(AtomicBool::new(false));
        let ticker = P::spawn({
            let over = over.clone();
            async move {
                let mut ticks = 0;
                while !over.load(Relaxed) {
                    P::sleep(Duration::from_millis(1)).await;
                    ticks += 1;
                }
                ticks
            }
        });
        let start = Instant::now();
        let task = || {
            P::spawn(async {
                for _ in 0..5 {
                    P::blocking(|| process::nanosleep(Duration::from_millis(20))).await;
                }
            })
        };
        join_all::<P, ()>((0..64).map(|_| task()).collect()).await;
        let time = start.elapsed();
        over.store(true, Relaxed);
        vec![("ms", ms(time)), ("ticks", f64::from(P::join(ticker).await))]
    })
}

fn echo<P: Tasks>(size: &Size) -> Figures {
    let trips = size.of(20_000);
    P::run(size.workers, async move {
        let (listener, address) = P::Sockets::bind().await;
        start::<P>(async move {
            for _ in 0..64 {
                let mut stream = P::Sockets::accept(&listener).await;
                start::<P>(async move {
                    let mut message = [0; 64];
                    while P::Sockets::read(&mut stream, &mut message).await {
                        P::Sockets::write(&mut stream, &message).await;
                    }
                });
            }
        });
        let begin = Instant::now();
        let client = |client: u8| {
            P::spawn(async move {
                let mut stream = P::Sockets::connect(address).await;
                let mut answer = [0; 64];
                for trip in 0..trips {
                    let message = [client ^ trip as u8; 64];
                    P::Sockets::write(&mut stream, &message).await;
                    check("whether an answer came", P::Sockets::read(&mut stream, &mut answer).await, true);
                    check("the echo", answer, message);
                }
            })
        };
        join_all::<P, ()>((0..64).map(client).collect()).await;
        vec![("req/s", (64 * trips) as f64 / begin.elapsed().as_secs_f64())]
    })
}
