//! smol, with async-channel and async-lock.

use super::{Peer, stackless};
use async_channel::{Receiver, Sender};
use async_lock::{Mutex, RwLock};
use smol::{
    Async, Executor, Task, Timer,
    future::{pending, race},
    io::{AsyncReadExt, AsyncWriteExt},
};
use std::{
    future::Future,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Once,
    thread,
    time::Duration,
};

const UNBUFFERED: &str = "async-channel is never unbuffered: capacity 1";

pub(crate) const SMOL: Peer = Peer {
    name: "smol",
    about: "smol tasks, async-channel",
    workloads: stackless::workload::<Smol>,
    absent: &[("wg", "smol has no wait group")],
    lighter: &[
        ("pingpong", UNBUFFERED),
        ("unbuf", UNBUFFERED),
        ("unbuf100", UNBUFFERED),
        ("select2", UNBUFFERED),
        ("sieve", UNBUFFERED),
    ],
};

static EXECUTOR: Executor<'static> = Executor::new();

/// The first of eight receives, in pairs.
macro_rules! race8 {
    ($recv:ident, $a:ident, $b:ident, $c:ident, $d:ident, $e:ident, $f:ident, $g:ident, $h:ident) => {{
        let half = race(race($a.$recv(), $b.$recv()), race($c.$recv(), $d.$recv()));
        let other = race(race($e.$recv(), $f.$recv()), race($g.$recv(), $h.$recv()));
        race(half, other).await.expect("the senders live as long as the selects")
    }};
}
pub(super) use race8;

struct Smol;

impl stackless::Channels for Smol {
    type Sender<T: Send + 'static> = Sender<T>;
    type Receiver<T: Send + 'static> = Receiver<T>;

    fn channel<T: Send + 'static>(capacity: usize) -> (Sender<T>, Receiver<T>) {
        async_channel::bounded(capacity.max(1))
    }

    fn sender<T: Send + 'static>(tx: &Sender<T>) -> Sender<T> {
        tx.clone()
    }

    fn receiver<T: Send + 'static>(rx: &Receiver<T>) -> Receiver<T> {
        rx.clone()
    }

    async fn send<T: Send + 'static>(tx: &Sender<T>, value: T) -> bool {
        tx.send(value).await.is_ok()
    }

    async fn recv<T: Send + 'static>(rx: &mut Receiver<T>) -> Option<T> {
        rx.recv().await.ok()
    }

    fn try_recv<T: Send + 'static>(rx: &mut Receiver<T>) -> Option<T> {
        rx.try_recv().ok()
    }

    async fn select2([a, b]: &mut [Receiver<u64>; 2]) -> u64 {
        race(a.recv(), b.recv()).await.expect("the senders live as long as the selects")
    }

    async fn select8([a, b, c, d, e, f, g, h]: &mut [Receiver<u64>; 8]) -> u64 {
        race8!(recv, a, b, c, d, e, f, g, h)
    }
}

impl stackless::Locks for Smol {
    type Mutex = Mutex<u64>;
    type RwLock = RwLock<u64>;

    fn mutex() -> Mutex<u64> {
        Mutex::new(0)
    }

    async fn increment(mutex: &Mutex<u64>) {
        *mutex.lock().await += 1;
    }

    async fn value(mutex: &Mutex<u64>) -> u64 {
        *mutex.lock().await
    }

    fn rw_lock(value: u64) -> RwLock<u64> {
        RwLock::new(value)
    }

    async fn read(lock: &RwLock<u64>) -> u64 {
        *lock.read().await
    }

    fn add_and_done(_: usize) {
        unreachable!("absent")
    }
}

impl stackless::Sockets for Smol {
    type Listener = Async<TcpListener>;
    type Stream = Async<TcpStream>;

    async fn bind() -> (Async<TcpListener>, SocketAddr) {
        let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).expect("a port");
        let address = listener.get_ref().local_addr().expect("its address");
        (listener, address)
    }

    async fn accept(listener: &Async<TcpListener>) -> Async<TcpStream> {
        let (stream, _) = listener.accept().await.expect("a client");
        stream.get_ref().set_nodelay(true).expect("nodelay");
        stream
    }

    async fn connect(address: SocketAddr) -> Async<TcpStream> {
        let stream = Async::<TcpStream>::connect(address).await.expect("a server");
        stream.get_ref().set_nodelay(true).expect("nodelay");
        stream
    }

    async fn read(stream: &mut Async<TcpStream>, message: &mut [u8; 64]) -> bool {
        stream.read_exact(message).await.is_ok()
    }

    async fn write(stream: &mut Async<TcpStream>, message: &[u8; 64]) {
        stream.write_all(message).await.expect("a reader");
    }
}

impl stackless::Tasks for Smol {
    type ToOne = Self;
    type ToMany = Self;
    type Locks = Self;
    type Crowd = Self;
    type Handle<R: Send + 'static> = Task<R>;
    type Sockets = Self;

    fn run<F: Future<Output: Send + 'static> + Send + 'static>(workers: usize, main: F) -> F::Output {
        static START: Once = Once::new();
        START.call_once(|| {
            for _ in 0..workers {
                thread::spawn(|| smol::block_on(EXECUTOR.run(pending::<()>())));
            }
        });
        smol::block_on(EXECUTOR.spawn(main))
    }

    fn spawn<F: Future<Output: Send + 'static> + Send + 'static>(task: F) -> Task<F::Output> {
        EXECUTOR.spawn(task)
    }

    fn detach<R: Send + 'static>(handle: Task<R>) {
        handle.detach();
    }

    async fn join<R: Send + 'static>(handle: Task<R>) -> R {
        handle.await
    }

    async fn spawn_and_wait(tasks: usize) {
        let tasks: Vec<_> = (0..tasks).map(|_| EXECUTOR.spawn(async {})).collect();
        for task in tasks {
            task.await;
        }
    }

    async fn yield_now() {
        smol::future::yield_now().await;
    }

    async fn sleep(time: Duration) {
        Timer::after(time).await;
    }

    async fn blocking(call: impl FnOnce() + Send + 'static) {
        smol::unblock(call).await;
    }
}
