//! tokio, with its own channels, and with kanal's where those are the better ones inside of it.

use super::{Peer, stackless};
use std::{future::Future, net::SocketAddr, sync::OnceLock, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    sync::{Mutex, RwLock, mpsc, watch},
    task::JoinHandle,
};

const SHARED: &str = "tokio's channels have one receiver";
const UNBUFFERED: &str = "tokio has no unbuffered channel: capacity 1";

pub(crate) const TOKIO: Peer = Peer {
    name: "tokio",
    about: "tokio tasks, tokio::sync",
    workloads: stackless::workload::<Tokio<Own>>,
    absent: &[
        ("mpmc", SHARED),
        ("mpmc100", SHARED),
        ("unbuf100", SHARED),
        ("pool", SHARED),
        ("wg", "tokio has no wait group"),
    ],
    lighter: &[
        ("pingpong", UNBUFFERED),
        ("unbuf", UNBUFFERED),
        ("select2", UNBUFFERED),
        ("sieve", UNBUFFERED),
        ("million", "the tasks wait on a `watch`"),
    ],
};

const SELECT: &str = "kanal may lose a value when a receive is dropped";
const AS_TOKIO: &str = "no channel in it: as tokio";

pub(crate) const TOKIO_KANAL: Peer = Peer {
    name: "tokio+kanal",
    about: "tokio tasks, kanal's async channels",
    workloads: stackless::workload::<Tokio<Kanal>>,
    absent: &[
        ("select2", SELECT),
        ("select8", SELECT),
        ("yield", AS_TOKIO),
        ("spawn", AS_TOKIO),
        ("spawn_join", AS_TOKIO),
        ("fib", AS_TOKIO),
        ("mutex1", AS_TOKIO),
        ("mutex8", AS_TOKIO),
        ("rwread", AS_TOKIO),
        ("wg", AS_TOKIO),
        ("timers", AS_TOKIO),
        ("hog", AS_TOKIO),
        ("blocking", AS_TOKIO),
        ("echo", AS_TOKIO),
    ],
    lighter: &[],
};

struct Own;

impl stackless::Channels for Own {
    type Sender<T: Send + 'static> = mpsc::Sender<T>;
    type Receiver<T: Send + 'static> = mpsc::Receiver<T>;

    fn channel<T: Send + 'static>(capacity: usize) -> (mpsc::Sender<T>, mpsc::Receiver<T>) {
        mpsc::channel(capacity.max(1))
    }

    fn sender<T: Send + 'static>(tx: &mpsc::Sender<T>) -> mpsc::Sender<T> {
        tx.clone()
    }

    fn receiver<T: Send + 'static>(_: &mpsc::Receiver<T>) -> mpsc::Receiver<T> {
        unreachable!("{SHARED}")
    }

    async fn send<T: Send + 'static>(tx: &mpsc::Sender<T>, value: T) -> bool {
        tx.send(value).await.is_ok()
    }

    async fn recv<T: Send + 'static>(rx: &mut mpsc::Receiver<T>) -> Option<T> {
        rx.recv().await
    }

    fn try_recv<T: Send + 'static>(rx: &mut mpsc::Receiver<T>) -> Option<T> {
        rx.try_recv().ok()
    }

    async fn select2([a, b]: &mut [mpsc::Receiver<u64>; 2]) -> u64 {
        let value = tokio::select! { value = a.recv() => value, value = b.recv() => value };
        value.expect("the senders live as long as the selects")
    }

    async fn select8([a, b, c, d, e, f, g, h]: &mut [mpsc::Receiver<u64>; 8]) -> u64 {
        let value = tokio::select! {
            value = a.recv() => value,
            value = b.recv() => value,
            value = c.recv() => value,
            value = d.recv() => value,
            value = e.recv() => value,
            value = f.recv() => value,
            value = g.recv() => value,
            value = h.recv() => value,
        };
        value.expect("the senders live as long as the selects")
    }
}

impl stackless::Crowd for watch::Sender<()> {
    type Opener = watch::Sender<()>;
    type Gate = watch::Receiver<()>;

    fn gate() -> (watch::Sender<()>, watch::Receiver<()>) {
        watch::channel(())
    }

    fn another(rx: &watch::Receiver<()>) -> watch::Receiver<()> {
        rx.clone()
    }

    async fn opened(mut rx: watch::Receiver<()>) -> bool {
        rx.changed().await.is_err()
    }
}

struct Kanal;

impl stackless::Channels for Kanal {
    type Sender<T: Send + 'static> = kanal::AsyncSender<T>;
    type Receiver<T: Send + 'static> = kanal::AsyncReceiver<T>;

    fn channel<T: Send + 'static>(capacity: usize) -> (kanal::AsyncSender<T>, kanal::AsyncReceiver<T>) {
        kanal::bounded_async(capacity)
    }

    fn sender<T: Send + 'static>(tx: &kanal::AsyncSender<T>) -> kanal::AsyncSender<T> {
        tx.clone()
    }

    fn receiver<T: Send + 'static>(rx: &kanal::AsyncReceiver<T>) -> kanal::AsyncReceiver<T> {
        rx.clone()
    }

    async fn send<T: Send + 'static>(tx: &kanal::AsyncSender<T>, value: T) -> bool {
        tx.send(value).await.is_ok()
    }

    async fn recv<T: Send + 'static>(rx: &mut kanal::AsyncReceiver<T>) -> Option<T> {
        rx.recv().await.ok()
    }

    fn try_recv<T: Send + 'static>(rx: &mut kanal::AsyncReceiver<T>) -> Option<T> {
        rx.try_recv().ok().flatten()
    }

    async fn select2(_: &mut [kanal::AsyncReceiver<u64>; 2]) -> u64 {
        unreachable!("{SELECT}")
    }

    async fn select8(_: &mut [kanal::AsyncReceiver<u64>; 8]) -> u64 {
        unreachable!("{SELECT}")
    }
}

impl stackless::Locks for Own {
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

impl stackless::Sockets for Own {
    type Listener = TcpListener;
    type Stream = TcpStream;

    async fn bind() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        (listener, address)
    }

    async fn accept(listener: &TcpListener) -> TcpStream {
        let (stream, _) = listener.accept().await.expect("a client");
        stream.set_nodelay(true).expect("nodelay");
        stream
    }

    async fn connect(address: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(address).await.expect("a server");
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

/// tokio's tasks with the channels `C`.
struct Tokio<C>(C);

/// What its tasks can wait on in a crowd.
trait WithCrowd: stackless::Channels {
    type Crowd: stackless::Crowd;
}

impl WithCrowd for Own {
    type Crowd = watch::Sender<()>;
}

impl WithCrowd for Kanal {
    type Crowd = Self;
}

impl<C: WithCrowd> stackless::Tasks for Tokio<C> {
    type ToOne = C;
    type ToMany = C;
    type Locks = Own;
    type Crowd = C::Crowd;
    type Handle<R: Send + 'static> = JoinHandle<R>;
    type Sockets = Own;

    fn run<F: Future<Output: Send + 'static> + Send + 'static>(workers: usize, main: F) -> F::Output {
        static RUNTIME: OnceLock<Runtime> = OnceLock::new();
        let runtime = RUNTIME.get_or_init(|| {
            Builder::new_multi_thread().worker_threads(workers).enable_all().build().expect("a runtime")
        });
        // As a task: `block_on` would poll it on a thread beside the workers, which makes each wake-up dearer.
        runtime.block_on(runtime.spawn(main)).expect("no panic")
    }

    fn spawn<F: Future<Output: Send + 'static> + Send + 'static>(task: F) -> JoinHandle<F::Output> {
        tokio::spawn(task)
    }

    fn detach<R: Send + 'static>(handle: JoinHandle<R>) {
        drop(handle);
    }

    async fn join<R: Send + 'static>(handle: JoinHandle<R>) -> R {
        handle.await.expect("no panic")
    }

    /// By their handles: quicker than a `JoinSet`.
    async fn spawn_and_wait(tasks: usize) {
        let handles: Vec<_> = (0..tasks).map(|_| tokio::spawn(async {})).collect();
        for handle in handles {
            handle.await.expect("no panic");
        }
    }

    async fn yield_now() {
        tokio::task::yield_now().await;
    }

    async fn sleep(time: Duration) {
        tokio::time::sleep(time).await;
    }

    async fn blocking(call: impl FnOnce() + Send + 'static) {
        tokio::task::spawn_blocking(call).await.expect("no panic");
    }
}
