//! The workloads for tasks that wait by blocking: green threads, coroutines, OS threads.

use super::{Figures, Run, Size, program::check};
use crate::{
    process,
    work::{self, Job, Results},
};
use std::{
    hint::black_box,
    io::{Read, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*},
    },
    time::{Duration, Instant},
};

/// A library's channels. Sends and receives are always inlined: a program calls the library's own, with nothing in between.
pub(crate) trait Channels: 'static {
    type Sender<T: Send + 'static>: Send + 'static;
    type Receiver<T: Send + 'static>: Send + 'static;

    fn channel<T: Send + 'static>(capacity: usize) -> (Self::Sender<T>, Self::Receiver<T>);
    /// One more sender of the same channel.
    fn sender<T: Send + 'static>(tx: &Self::Sender<T>) -> Self::Sender<T>;
    /// One more receiver of the same channel.
    fn receiver<T: Send + 'static>(rx: &Self::Receiver<T>) -> Self::Receiver<T>;
    /// False if nobody will receive it.
    fn send<T: Send + 'static>(tx: &Self::Sender<T>, value: T) -> bool;
    /// None once there is no sender.
    fn recv<T: Send + 'static>(rx: &Self::Receiver<T>) -> Option<T>;
    fn try_recv<T: Send + 'static>(rx: &Self::Receiver<T>) -> Option<T>;
    /// From whichever of 2 or 8 receivers has a value.
    fn select(receivers: &[Self::Receiver<u64>]) -> u64;
}

/// A library's locks.
pub(crate) trait Locks: 'static {
    type Mutex: Send + Sync + 'static;
    type RwLock: Send + Sync + 'static;

    fn mutex() -> Self::Mutex;
    /// Lock, add one, unlock.
    fn increment(mutex: &Self::Mutex);
    fn value(mutex: &Self::Mutex) -> u64;
    fn rw_lock(value: u64) -> Self::RwLock;
    /// Lock for reading, read, unlock.
    fn read(lock: &Self::RwLock) -> u64;
    /// Add to a wait group and take back, so many times.
    fn add_and_done(times: usize);
}

/// A kind of task, and what its user communicates by.
pub(crate) trait Tasks: Sized + 'static {
    /// The channels for one sender and one receiver; for many senders; for many receivers.
    type OneToOne: Channels;
    type ManyToOne: Channels;
    type ManyToMany: Channels;
    type Locks: Locks;
    type Handle<R: Send + 'static>: Send;
    type Listener: Listener;

    /// Runs it as a task among so many workers: the same number for the whole life of the process.
    fn run<R: Send + 'static>(workers: usize, main: impl FnOnce() -> R + Send + 'static) -> R;
    fn spawn<R: Send + 'static>(task: impl FnOnce() -> R + Send + 'static) -> Self::Handle<R>;
    fn join<R: Send + 'static>(handle: Self::Handle<R>) -> R;
    /// Starts so many empty tasks and waits for all of them.
    fn spawn_and_wait(tasks: usize);
    fn yield_now();
    fn sleep(time: Duration);
    /// A system call that blocks, as this library would have it called.
    fn blocking(call: impl FnOnce() + Send + 'static);
}

/// Sockets; `()` where there are none.
pub(crate) trait Listener: Sized + Send + 'static {
    type Stream: Read + Write + Send;

    fn bind() -> (Self, std::net::SocketAddr);
    fn accept(&self) -> Self::Stream;
    fn connect(address: std::net::SocketAddr) -> Self::Stream;
}

impl Listener for () {
    type Stream = std::net::TcpStream;

    fn bind() -> (Self, std::net::SocketAddr) {
        unreachable!("absent")
    }

    fn accept(&self) -> Self::Stream {
        unreachable!("absent")
    }

    fn connect(_: std::net::SocketAddr) -> Self::Stream {
        unreachable!("absent")
    }
}

/// Sockets whose methods have std's names.
macro_rules! listener {
    ($listener:ty, $stream:ty) => {
        impl blocking::Listener for $listener {
            type Stream = $stream;

            fn bind() -> (Self, std::net::SocketAddr) {
                let listener = Self::bind("127.0.0.1:0").expect("a port");
                let address = listener.local_addr().expect("its address");
                (listener, address)
            }

            fn accept(&self) -> $stream {
                let (stream, _) = Self::accept(self).expect("a client");
                stream.set_nodelay(true).expect("nodelay");
                stream
            }

            fn connect(address: std::net::SocketAddr) -> $stream {
                let stream = <$stream>::connect(address).expect("a server");
                stream.set_nodelay(true).expect("nodelay");
                stream
            }
        }
    };
}
pub(super) use listener;

/// The workload of this name.
pub(crate) fn workload<P: Tasks>(name: &str) -> Option<Run> {
    Some(match name {
        "yield" => yields::<P>,
        "pingpong" => pingpong::<P>,
        "unbuf" => |size| to_one::<P, P::OneToOne>(size, 1, 0, 1_000_000),
        "spsc" => |size| to_one::<P, P::OneToOne>(size, 1, 128, 5_000_000),
        "mpsc" => |size| to_one::<P, P::ManyToOne>(size, 4, 128, 4_000_000),
        "mpmc" => |size| to_many::<P>(size, 4, 128, 4_000_000),
        "mpmc100" => |size| to_many::<P>(size, 100, 10, 2_000_000),
        "unbuf100" => |size| to_many::<P>(size, 100, 0, 1_000_000),
        "chan_uncontended" => uncontended::<P>,
        "try_empty" => try_empty::<P>,
        "select2" => |size| select::<P, 2>(size, 0),
        "select8" => |size| select::<P, 8>(size, 1),
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

fn yields<P: Tasks>(size: &Size) -> Figures {
    let each = size.of(1_000_000);
    P::run(size.workers, move || {
        let start = Instant::now();
        let tasks = [(); 2].map(|()| P::spawn(move || (0..each).for_each(|_| P::yield_now())));
        tasks.into_iter().for_each(P::join);
        ns_per(start, 2 * each)
    })
}

fn pingpong<P: Tasks>(size: &Size) -> Figures {
    let trips = size.of(500_000);
    P::run(size.workers, move || {
        let (ping, pinged) = P::OneToOne::channel::<u64>(0);
        let (pong, ponged) = P::OneToOne::channel::<u64>(0);
        let start = Instant::now();
        let other = P::spawn(move || {
            while let Some(number) = P::OneToOne::recv(&pinged) {
                P::OneToOne::send(&pong, number + 1);
            }
        });
        let mut number = 0;
        for _ in 0..trips {
            P::OneToOne::send(&ping, number);
            number = P::OneToOne::recv(&ponged).expect("an answer");
        }
        let figures = ns_per(start, trips);
        check("pingpong's count", number, trips as u64);
        drop(ping);
        P::join(other);
        figures
    })
}

/// Starts the producers of `0..producers * each`.
fn produce<P: Tasks, C: Channels>(tx: C::Sender<u64>, producers: usize, each: usize) {
    let start = |tx: C::Sender<u64>, first: usize| {
        P::spawn(move || (first..first + each).for_each(|number| _ = C::send(&tx, number as u64)));
    };
    (1..producers).for_each(|producer| start(C::sender(&tx), producer * each));
    start(tx, 0);
}

fn consume<C: Channels>(rx: &C::Receiver<u64>) -> [u64; 2] {
    let (mut count, mut sum) = (0, 0);
    while let Some(number) = C::recv(rx) {
        count += 1;
        sum += number;
    }
    [count, sum]
}

fn to_one<P: Tasks, C: Channels>(size: &Size, producers: usize, capacity: usize, messages: usize) -> Figures {
    let each = size.of(messages / producers);
    P::run(size.workers, move || {
        let (tx, rx) = C::channel(capacity);
        let start = Instant::now();
        produce::<P, C>(tx, producers, each);
        let received = consume::<C>(&rx);
        let messages = producers * each;
        let figures = ns_per(start, messages);
        check("the messages' count and sum", received, [messages as u64, sum_below(messages)]);
        figures
    })
}

fn to_many<P: Tasks>(size: &Size, tasks: usize, capacity: usize, messages: usize) -> Figures {
    let each = size.of(messages / tasks);
    P::run(size.workers, move || {
        let (tx, rx) = P::ManyToMany::channel(capacity);
        let start = Instant::now();
        produce::<P, P::ManyToMany>(tx, tasks, each);
        let consumers: Vec<_> = (0..tasks)
            .map(|_| P::ManyToMany::receiver(&rx))
            .map(|rx| P::spawn(move || consume::<P::ManyToMany>(&rx)))
            .collect();
        let parts: Vec<_> = consumers.into_iter().map(P::join).collect();
        let messages = tasks * each;
        let figures = ns_per(start, messages);
        let received = parts.iter().fold([0, 0], |all, part| [all[0] + part[0], all[1] + part[1]]);
        check("the messages' count and sum", received, [messages as u64, sum_below(messages)]);
        figures
    })
}

fn uncontended<P: Tasks>(size: &Size) -> Figures {
    let rounds = size.of(10_000_000).div_ceil(128);
    P::run(size.workers, move || {
        let (tx, rx) = P::ManyToOne::channel(128);
        let mut sum = 0;
        let start = Instant::now();
        for _ in 0..rounds {
            (0..128_u64).for_each(|number| _ = P::ManyToOne::send(&tx, number));
            (0..128).for_each(|_| sum += P::ManyToOne::recv(&rx).expect("just sent"));
        }
        let figures = ns_per(start, rounds * 128);
        check("the messages' sum", sum, rounds as u64 * sum_below(128));
        figures
    })
}

fn try_empty<P: Tasks>(size: &Size) -> Figures {
    let times = size.of(20_000_000);
    P::run(size.workers, move || {
        let (_tx, rx) = P::ManyToOne::channel::<u64>(128);
        let start = Instant::now();
        let found = (0..times).filter(|_| P::ManyToOne::try_recv(black_box(&rx)).is_some()).count();
        let figures = ns_per(start, times);
        check("what was in an empty channel", found, 0);
        figures
    })
}

fn select<P: Tasks, const N: usize>(size: &Size, capacity: usize) -> Figures {
    let each = size.of(1_000_000 / N);
    P::run(size.workers, move || {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..N).map(|_| P::ManyToOne::channel(capacity)).unzip();
        // The select ends by counting: nobody closes a channel before.
        let first: Vec<_> = senders.iter().map(P::ManyToOne::sender).collect();
        let mut sum = 0;
        let start = Instant::now();
        for (producer, tx) in senders.into_iter().enumerate() {
            let numbers = producer * each..(producer + 1) * each;
            P::spawn(move || numbers.for_each(|number| _ = P::ManyToOne::send(&tx, number as u64)));
        }
        (0..N * each).for_each(|_| sum += P::ManyToOne::select(&receivers));
        let figures = ns_per(start, N * each);
        drop(first);
        check("the messages' sum", sum, sum_below(N * each));
        figures
    })
}

fn spawn<P: Tasks>(size: &Size) -> Figures {
    let times = size.of(1_000);
    P::run(size.workers, move || {
        let start = Instant::now();
        (0..times).for_each(|_| P::spawn_and_wait(1_000));
        ns_per(start, times * 1_000)
    })
}

fn spawn_join<P: Tasks>(size: &Size) -> Figures {
    let times = size.of(500_000) as u64;
    P::run(size.workers, move || {
        let start = Instant::now();
        let sum: u64 = (0..times).map(|number| P::join(P::spawn(move || number))).sum();
        let figures = ns_per(start, times as usize);
        check("the sum of what was joined", sum, sum_below(times as usize));
        figures
    })
}

fn skynet<P: Tasks>(size: &Size) -> Figures {
    type Sender<P> = <<P as Tasks>::ManyToOne as Channels>::Sender<u64>;

    fn node<P: Tasks>(parent: Sender<P>, first: u64, leaves: u64) {
        if leaves == 1 {
            P::ManyToOne::send(&parent, first);
            return;
        }
        let (tx, rx) = P::ManyToOne::channel(10);
        for child in 0..10 {
            let (tx, first) = (P::ManyToOne::sender(&tx), first + child * (leaves / 10));
            P::spawn(move || node::<P>(tx, first, leaves / 10));
        }
        let sum = (0..10).map(|_| P::ManyToOne::recv(&rx).expect("a child's sum")).sum();
        P::ManyToOne::send(&parent, sum);
    }

    let leaves = work::power_of_ten(size.of(1_000_000));
    P::run(size.workers, move || {
        let (tx, rx) = P::ManyToOne::channel(1);
        let start = Instant::now();
        P::spawn(move || node::<P>(tx, 0, leaves));
        let sum = P::ManyToOne::recv(&rx).expect("the sum");
        let time = start.elapsed();
        check("skynet's sum", sum, sum_below(leaves as usize));
        vec![("ms", ms(time))]
    })
}

fn fib<P: Tasks>(size: &Size) -> Figures {
    fn node<P: Tasks>(n: u64) -> u64 {
        if n < 2 {
            return n;
        }
        let left = P::spawn(move || node::<P>(n - 1));
        let right = node::<P>(n - 2);
        P::join(left) + right
    }

    let n = work::fib_argument(size.scale);
    P::run(size.workers, move || {
        let start = Instant::now();
        let result = node::<P>(n);
        let time = start.elapsed();
        check("fib", result, work::fib(n));
        vec![("ms", ms(time))]
    })
}

fn million<P: Tasks>(size: &Size) -> Figures {
    let tasks = size.of(1_000_000);
    P::run(size.workers, move || {
        let [create, release, bytes] = crowd::<P>(tasks);
        // Now the process has the memory already.
        let [warm_create, warm_release, _] = crowd::<P>(tasks);
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
fn crowd<P: Tasks>(tasks: usize) -> [f64; 3] {
    let (tx, rx) = P::ManyToMany::channel::<u64>(1);
    let [started, ended] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let all = |count: &AtomicUsize| {
        while count.load(Acquire) < tasks {
            P::sleep(Duration::from_millis(1));
        }
    };
    let (start, before) = (Instant::now(), process::resident());
    for _ in 0..tasks {
        let (rx, started, ended) = (P::ManyToMany::receiver(&rx), started.clone(), ended.clone());
        P::spawn(move || {
            started.fetch_add(1, Release);
            check("what came out of a channel into which nothing went", P::ManyToMany::recv(&rx), None);
            ended.fetch_add(1, Release);
        });
    }
    all(&started);
    let create = start.elapsed();
    // The last ones to start are about to wait.
    P::sleep(Duration::from_millis(5));
    let bytes = process::resident().saturating_sub(before) as f64 / tasks as f64;
    check("the tasks that have ended too early", ended.load(Acquire), 0);
    let start = Instant::now();
    drop(tx);
    all(&ended);
    [ms(create), ms(start.elapsed()), bytes]
}

fn mutex1<P: Tasks>(size: &Size) -> Figures {
    let times = size.of(20_000_000);
    P::run(size.workers, move || {
        let mutex = P::Locks::mutex();
        let start = Instant::now();
        (0..times).for_each(|_| P::Locks::increment(&mutex));
        let figures = ns_per(start, times);
        check("the number behind the mutex", P::Locks::value(&mutex), times as u64);
        figures
    })
}

fn mutex8<P: Tasks>(size: &Size) -> Figures {
    let each = size.of(4_000_000 / 8);
    P::run(size.workers, move || {
        let mutex = Arc::new(P::Locks::mutex());
        let start = Instant::now();
        let tasks = [(); 8].map(|()| {
            let mutex = mutex.clone();
            P::spawn(move || (0..each).for_each(|_| P::Locks::increment(&mutex)))
        });
        tasks.into_iter().for_each(P::join);
        let figures = ns_per(start, 8 * each);
        check("the number behind the mutex", P::Locks::value(&mutex), 8 * each as u64);
        figures
    })
}

fn rwread<P: Tasks>(size: &Size) -> Figures {
    let each = size.of(8_000_000 / 4);
    P::run(size.workers, move || {
        let lock = Arc::new(P::Locks::rw_lock(3));
        let start = Instant::now();
        let tasks = [(); 4].map(|()| {
            let lock = lock.clone();
            P::spawn(move || (0..each).map(|_| P::Locks::read(&lock)).sum::<u64>())
        });
        let sum: u64 = tasks.into_iter().map(P::join).sum();
        let figures = ns_per(start, 4 * each);
        check("the sum of what was read", sum, 3 * 4 * each as u64);
        figures
    })
}

fn wait_group<P: Tasks>(size: &Size) -> Figures {
    let times = size.of(20_000_000);
    P::run(size.workers, move || {
        let start = Instant::now();
        P::Locks::add_and_done(times);
        ns_per(start, times)
    })
}

fn sieve<P: Tasks>(size: &Size) -> Figures {
    fn filter<C: Channels>(prime: u64, from: &C::Receiver<u64>, to: &C::Sender<u64>) {
        while let Some(number) = C::recv(from) {
            if number % prime != 0 && !C::send(to, number) {
                return;
            }
        }
    }

    let primes = size.of(2_000);
    P::run(size.workers, move || {
        let start = Instant::now();
        let (tx, mut rx) = P::OneToOne::channel(0);
        P::spawn(move || (2_u64..).find(|number| !P::OneToOne::send(&tx, *number)));
        let mut prime = 0;
        for _ in 0..primes {
            prime = P::OneToOne::recv(&rx).expect("another number");
            let (tx, next) = P::OneToOne::channel(0);
            let from = std::mem::replace(&mut rx, next);
            P::spawn(move || filter::<P::OneToOne>(prime, &from, &tx));
        }
        let time = start.elapsed();
        check("the last prime", prime, work::nth_prime(primes));
        vec![("ms", ms(time))]
    })
}

fn timers<P: Tasks>(size: &Size) -> Figures {
    let tasks = size.of(100_000);
    P::run(size.workers, move || {
        let (start, cpu) = (Instant::now(), process::cpu_time());
        let late = Arc::new(AtomicU64::new(0));
        let handles: Vec<_> = (0..tasks)
            .map(|index| {
                let late = late.clone();
                P::spawn(move || {
                    let nap = Duration::from_micros(work::nap_us(index));
                    let start = Instant::now();
                    P::sleep(nap);
                    late.fetch_add(
                        start.elapsed().checked_sub(nap).expect("slept long enough").as_micros() as u64,
                        Relaxed,
                    );
                })
            })
            .collect();
        handles.into_iter().for_each(P::join);
        let (wall, cpu) = (start.elapsed(), process::cpu_time() - cpu);
        let late = late.load(Relaxed) as f64 / 1e3 / tasks as f64;
        vec![("cpu ms", ms(cpu)), ("wall ms", ms(wall)), ("late ms", late)]
    })
}

const STAGES: u32 = 8;

fn pipeline<P: Tasks>(size: &Size) -> Figures {
    let jobs = size.of(200_000);
    P::run(size.workers, move || {
        let (first, mut last) = P::OneToOne::channel(16);
        let start = Instant::now();
        P::spawn(move || (0..jobs).for_each(|number| _ = P::OneToOne::send(&first, Job::new(number as u64))));
        for _ in 0..STAGES {
            let (tx, next) = P::OneToOne::channel(16);
            let from = std::mem::replace(&mut last, next);
            P::spawn(move || {
                while let Some(job) = P::OneToOne::recv(&from) {
                    P::OneToOne::send(&tx, job.work(1));
                }
            });
        }
        let mut results = Results::default();
        while let Some(job) = P::OneToOne::recv(&last) {
            results.add(job, STAGES);
        }
        let figures = ns_per(start, jobs);
        results.check(jobs);
        figures
    })
}

fn pool<P: Tasks>(size: &Size) -> Figures {
    let jobs = size.of(200_000);
    P::run(size.workers, move || {
        let (orders, ordered) = P::ManyToMany::channel(64);
        let (done, collected) = P::ManyToMany::channel(64);
        let start = Instant::now();
        P::spawn(move || (0..jobs).for_each(|number| _ = P::ManyToMany::send(&orders, Job::new(number as u64))));
        for _ in 0..8 {
            let (ordered, done) = (P::ManyToMany::receiver(&ordered), P::ManyToMany::sender(&done));
            P::spawn(move || {
                while let Some(job) = P::ManyToMany::recv(&ordered) {
                    P::ManyToMany::send(&done, Job::work(job, 2));
                }
            });
        }
        drop(done);
        let mut results = Results::default();
        while let Some(job) = P::ManyToMany::recv(&collected) {
            results.add(job, 2);
        }
        let figures = ns_per(start, jobs);
        results.check(jobs);
        figures
    })
}

fn hog<P: Tasks>(size: &Size) -> Figures {
    let time = Duration::from_secs_f64(2.0 * size.scale.min(1.0));
    P::run(size.workers, move || {
        let [begun, over] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let sleeper = P::spawn({
            let (begun, over) = (begun.clone(), over.clone());
            move || {
                let mut late = Vec::new();
                while !over.load(Relaxed) {
                    let start = Instant::now();
                    P::sleep(Duration::from_millis(1));
                    if begun.load(Relaxed) {
                        late.push(start.elapsed().saturating_sub(Duration::from_millis(1)));
                    }
                }
                late
            }
        });
        // It sleeps when they begin.
        P::sleep(Duration::from_millis(5));
        begun.store(true, Relaxed);
        let hogs = [(); 2].map(|()| P::spawn(move || work::spin(time)));
        hogs.into_iter().for_each(P::join);
        over.store(true, Relaxed);
        work::lateness(P::join(sleeper))
    })
}

fn blocking<P: Tasks>(size: &Size) -> Figures {
    P::run(size.workers, || {
        let over = Arc::new(AtomicBool::new(false));
        let ticker = P::spawn({
            let over = over.clone();
            move || {
                let mut ticks = 0;
                while !over.load(Relaxed) {
                    P::sleep(Duration::from_millis(1));
                    ticks += 1;
                }
                ticks
            }
        });
        let start = Instant::now();
        let nap = || P::blocking(|| process::nanosleep(Duration::from_millis(20)));
        let tasks = [(); 64].map(|()| P::spawn(move || (0..5).for_each(|_| nap())));
        tasks.into_iter().for_each(P::join);
        let time = start.elapsed();
        over.store(true, Relaxed);
        vec![("ms", ms(time)), ("ticks", P::join(ticker) as f64)]
    })
}

fn echo<P: Tasks>(size: &Size) -> Figures {
    let trips = size.of(20_000);
    P::run(size.workers, move || {
        let (listener, address) = P::Listener::bind();
        P::spawn(move || {
            for _ in 0..64 {
                let mut stream = listener.accept();
                P::spawn(move || {
                    let mut message = [0; 64];
                    while stream.read_exact(&mut message).is_ok() {
                        stream.write_all(&message).expect("a client that reads");
                    }
                });
            }
        });
        let start = Instant::now();
        let clients: Vec<_> = (0..64_u8)
            .map(|client| {
                P::spawn(move || {
                    let mut stream = P::Listener::connect(address);
                    let mut answer = [0; 64];
                    for trip in 0..trips {
                        let message = [client ^ trip as u8; 64];
                        stream.write_all(&message).expect("a server that reads");
                        stream.read_exact(&mut answer).expect("an answer");
                        check("the echo", answer, message);
                    }
                })
            })
            .collect();
        clients.into_iter().for_each(P::join);
        vec![("req/s", (64 * trips) as f64 / start.elapsed().as_secs_f64())]
    })
}
