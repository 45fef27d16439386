//! Ourselves: green threads that stay on their workers, those that roam, and futures as tasks of the same runtime.

use super::{Peer, blocking, stackless};
use greenlight::{
    JoinHandle, Mutex, Runtime, RwLock, WaitGroup, channel, go, go_async,
    net::{TcpListener, TcpStream},
    select,
};
use smol::{
    future::race,
    io::{AsyncReadExt, AsyncWriteExt},
};
use std::{future::Future, net::SocketAddr, sync::OnceLock, time::Duration};

pub(crate) const GREEN: Peer = Peer {
    name: "greenlight",
    about: "green threads",
    workloads: blocking::workload::<Green<false>>,
    absent: &[],
    lighter: &[],
};

pub(crate) const ROAMING: Peer = Peer {
    name: "greenlight-roaming",
    about: "green threads that roam",
    workloads: blocking::workload::<Green<true>>,
    absent: &[],
    lighter: &[],
};

pub(crate) const ASYNC: Peer = Peer {
    name: "greenlight-async",
    about: "futures by `go_async`",
    workloads: stackless::workload::<Async>,
    absent: &[],
    lighter: &[],
};

/// One a process.
fn runtime(workers: usize, roams: bool) -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let builder = Runtime::builder().workers(workers);
        // SAFETY: the promise of `Builder::roaming`: no workload keeps across a wait what belongs to an OS thread.
        let builder = if roams { unsafe { builder.roaming() } } else { builder };
        builder.build().expect("a runtime")
    })
}

fn join<R>(handle: JoinHandle<R>) -> R {
    handle.join().unwrap_or_else(|error| error.resume())
}

/// Our channels and locks.
pub(super) struct Ours;

/// With green threads.
struct Green<const ROAMS: bool>;

impl blocking::Channels for Ours {
    type Sender<T: Send + 'static> = channel::Sender<T>;
    type Receiver<T: Send + 'static> = channel::Receiver<T>;

    fn channel<T: Send + 'static>(capacity: usize) -> (channel::Sender<T>, channel::Receiver<T>) {
        channel::bounded(capacity)
    }

    fn sender<T: Send + 'static>(tx: &channel::Sender<T>) -> channel::Sender<T> {
        tx.clone()
    }

    fn receiver<T: Send + 'static>(rx: &channel::Receiver<T>) -> channel::Receiver<T> {
        rx.clone()
    }

    #[inline(always)]
    fn send<T: Send + 'static>(tx: &channel::Sender<T>, value: T) -> bool {
        tx.send(value).is_ok()
    }

    #[inline(always)]
    fn recv<T: Send + 'static>(rx: &channel::Receiver<T>) -> Option<T> {
        rx.recv().ok()
    }

    #[inline(always)]
    fn try_recv<T: Send + 'static>(rx: &channel::Receiver<T>) -> Option<T> {
        rx.try_recv().ok()
    }

    #[inline]
    fn select(receivers: &[channel::Receiver<u64>]) -> u64 {
        super::threads::select!(select, receivers)
    }
}

impl blocking::Locks for Ours {
    type Mutex = Mutex<u64>;
    type RwLock = RwLock<u64>;

    fn mutex() -> Mutex<u64> {
        Mutex::new(0)
    }

    #[inline]
    fn increment(mutex: &Mutex<u64>) {
        *mutex.lock() += 1;
    }

    fn value(mutex: &Mutex<u64>) -> u64 {
        *mutex.lock()
    }

    fn rw_lock(value: u64) -> RwLock<u64> {
        RwLock::new(value)
    }

    #[inline]
    fn read(lock: &RwLock<u64>) -> u64 {
        *lock.read()
    }

    fn add_and_done(times: usize) {
        let group = WaitGroup::new();
        for _ in 0..times {
            group.add(1);
            group.done();
        }
        group.wait();
    }
}

blocking::listener!(TcpListener, TcpStream);

impl<const ROAMS: bool> blocking::Tasks for Green<ROAMS> {
    type OneToOne = Ours;
    type ManyToOne = Ours;
    type ManyToMany = Ours;
    type Locks = Ours;
    type Handle<R: Send + 'static> = JoinHandle<R>;
    type Listener = TcpListener;

    fn run<R: Send + 'static>(workers: usize, main: impl FnOnce() -> R + Send + 'static) -> R {
        runtime(workers, ROAMS).run(main)
    }

    #[inline]
    fn spawn<R: Send + 'static>(task: impl FnOnce() -> R + Send + 'static) -> JoinHandle<R> {
        go(task)
    }

    #[inline]
    fn join<R: Send + 'static>(handle: JoinHandle<R>) -> R {
        join(handle)
    }

    fn spawn_and_wait(tasks: usize) {
        let group = WaitGroup::new();
        for _ in 0..tasks {
            group.go(|| ());
        }
        group.wait();
    }

    #[inline]
    fn yield_now() {
        greenlight::yield_now();
    }

    fn sleep(time: Duration) {
        greenlight::sleep(time);
    }

    fn blocking(call: impl FnOnce() + Send + 'static) {
        greenlight::blocking(call).join().expect("no panic");
    }
}

struct Async;

impl stackless::Channels for Async {
    type Sender<T: Send + 'static> = channel::Sender<T>;
    type Receiver<T: Send + 'static> = channel::Receiver<T>;

    fn channel<T: Send + 'static>(capacity: usize) -> (channel::Sender<T>, channel::Receiver<T>) {
        channel::bounded(capacity)
    }

    fn sender<T: Send + 'static>(tx: &channel::Sender<T>) -> channel::Sender<T> {
        tx.clone()
    }

    fn receiver<T: Send + 'static>(rx: &channel::Receiver<T>) -> channel::Receiver<T> {
        rx.clone()
    }

    async fn send<T: Send + 'static>(tx: &channel::Sender<T>, value: T) -> bool {
        tx.send_async(value).await.is_ok()
    }

    async fn recv<T: Send + 'static>(rx: &mut channel::Receiver<T>) -> Option<T> {
        rx.recv_async().await.ok()
    }

    fn try_recv<T: Send + 'static>(rx: &mut channel::Receiver<T>) -> Option<T> {
        rx.try_recv().ok()
    }

    async fn select2([a, b]: &mut [channel::Receiver<u64>; 2]) -> u64 {
        race(a.recv_async(), b.recv_async()).await.expect("the senders live as long as the selects")
    }

    async fn select8([a, b, c, d, e, f, g, h]: &mut [channel::Receiver<u64>; 8]) -> u64 {
        super::smol::race8!(recv_async, a, b, c, d, e, f, g, h)
    }
}

impl stackless::Locks for Async {
    type Mutex = Mutex<u64>;
    type RwLock = RwLock<u64>;

    fn mutex() -> Mutex<u64> {
        Mutex::new(0)
    }

    async fn increment(mutex: &Mutex<u64>) {
        *mutex.lock_async().await += 1;
    }

    async fn value(mutex: &Mutex<u64>) -> u64 {
        *mutex.lock_async().await
    }

    fn rw_lock(value: u64) -> RwLock<u64> {
        RwLock::new(value)
    }

    async fn read(lock: &RwLock<u64>) -> u64 {
        *lock.read_async().await
    }

    fn add_and_done(times: usize) {
        <Ours as blocking::Locks>::add_and_done(times);
    }
}

impl stackless::Sockets for Async {
    type Listener = TcpListener;
    type Stream = TcpStream;

    async fn bind() -> (TcpListener, SocketAddr) {
        <TcpListener as blocking::Listener>::bind()
    }

    async fn accept(listener: &TcpListener) -> TcpStream {
        let (stream, _) = listener.accept_async().await.expect("a client");
        stream.set_nodelay(true).expect("nodelay");
        stream
    }

    async fn connect(address: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect_async(address).await.expect("a server");
        stream.set_nodelay(true).expect("nodelay");
        stream
    }

    async fn read(stream: &mut TcpStream, message: &mut [u8; 64]) -> bool {
        stream.read_exact(message).await.is_ok()
    }

    async fn write(stream: &mut TcpStream, message: &[u8; 64]) {
        stream.write_all(message).await.expect("a reader");
    }
}

impl stackless::Tasks for Async {
    type ToOne = Self;
    type ToMany = Self;
    type Locks = Self;
    type Crowd = Self;
    type Handle<R: Send + 'static> = JoinHandle<R>;
    type Sockets = Self;

    fn run<F: Future<Output: Send + 'static> + Send + 'static>(workers: usize, main: F) -> F::Output {
        join(runtime(workers, false).go_async(main))
    }

    fn spawn<F: Future<Output: Send + 'static> + Send + 'static>(task: F) -> JoinHandle<F::Output> {
        go_async(task)
    }

    fn detach<R: Send + 'static>(handle: JoinHandle<R>) {
        drop(handle);
    }

    async fn join<R: Send + 'static>(handle: JoinHandle<R>) -> R {
        handle.await.unwrap_or_else(|error| error.resume())
    }

    async fn spawn_and_wait(tasks: usize) {
        let group = WaitGroup::new();
        for _ in 0..tasks {
            let token = group.token();
            drop(go_async(async move { drop(token) }));
        }
        group.wait_async().await;
    }

    async fn yield_now() {
        smol::future::yield_now().await;
    }

    async fn sleep(time: Duration) {
        greenlight::time::sleep_async(time).await;
    }

    async fn blocking(call: impl FnOnce() + Send + 'static) {
        greenlight::blocking(call).await.expect("no panic");
    }
}
