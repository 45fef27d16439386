//! An HTTP/1.1 server: a green thread for each connection, which reads, thinks and writes as if it were alone.
//!
//! ```text
//!              permit             go
//!   accept ◀──────────── listen ──────▶ connection ─▶ request ─▶ routes ─▶ response ─┐
//!     │    --max-connections            ▲ (connection.rs)  (request.rs)              │
//!     │                                 └───────────── keep-alive ◀──────────────────┘
//!   Ctrl-C or SIGTERM: the listener is closed, idle connections end, running requests are answered, until --grace is over
//! ```
//!
//! ```text
//! cargo run --release --example http_server -p greenlight -- --listen 127.0.0.1:8080 --root .
//! curl -i http://127.0.0.1:8080/
//! ```
//!
//! | route             | answer                                                                   |
//! |-------------------|--------------------------------------------------------------------------|
//! | `GET /`           | a greeting                                                               |
//! | `POST /echo`      | the body that came, of its type                                          |
//! | `GET /delay/MS`   | a word, after so many milliseconds (a minute at most)                    |
//! | `GET /status`     | how many connections are open, and how many requests were answered       |
//! | `GET /…`          | with `--root`: the file of that name, or `index.html` of that directory  |
//!
//! Whoever is slow is cut off, by a deadline for each head, body and piece of an answer, not for each byte: one byte now and
//! then buys no time. When descriptors run out, accepting is tried again a little later, and the others are served meanwhile.
//!
//! | exit code | means                                                                |
//! |-----------|----------------------------------------------------------------------|
//! | 0         | Ctrl-C or SIGTERM, and everybody was answered                        |
//! | 1         | it cannot listen; or some were cut off when the time of grace was up |
//! | 2         | the arguments make no sense                                          |
//!
//! A second Ctrl-C, or SIGTERM, ends it at once.

#[path = "../common"]
mod common {
    pub mod program;
}

mod connection;
mod request;
mod response;
mod routes;

use common::program::{complain, start};
use greenlight::context::Context;
use greenlight::net::{TcpListener, TcpStream};
use greenlight::signal::Signal;
use greenlight::{Runtime, Semaphore, WaitGroup, sleep};
use lexopt::{Arg, ValueExt};
use routes::Routes;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const USAGE: &str = "\
usage: http_server [OPTIONS]

Serves HTTP/1.1 until Ctrl-C or SIGTERM.

  --listen ADDRESS      IP address and port; port 0 is a free one (default: 127.0.0.1:8080)
  --root DIR            serve the files under DIR, too
  --max-connections N   let others wait until one of N has ended (default: 10000)
  --max-body BYTES      refuse larger requests (default: 1048576)
  --timeout SECONDS     for a head, a body, a piece of an answer (default: 10)
  --idle SECONDS        for the next request to begin (default: 60)
  --grace SECONDS       for running requests, at the end (default: 10)
  --workers N           run on N OS threads (default: one per available CPU)
  --help                print this
";

/// Connections that the system holds ready for us. (It may allow fewer: net.core.somaxconn.)
const BACKLOG: i32 = 4096;
/// After an accept that failed: at first so long, and twice as long each time.
const PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

const FAILED: u8 = 1;

fn main() -> ExitCode {
    start(USAGE, Options::parse, run, FAILED)
}

struct Options {
    listen: SocketAddr,
    root: Option<PathBuf>,
    max_connections: usize,
    limits: Limits,
    grace: Duration,
    workers: Option<usize>,
}

/// What a client may ask of us.
#[derive(Clone, Copy)]
struct Limits {
    body: usize,
    timeout: Duration,
    idle: Duration,
}

impl Options {
    fn parse(mut args: lexopt::Parser) -> Result<Option<Self>, lexopt::Error> {
        let mut options = Self {
            listen: ([127, 0, 0, 1], 8080).into(),
            root: None,
            max_connections: 10_000,
            limits: Limits { body: 1 << 20, timeout: Duration::from_secs(10), idle: Duration::from_secs(60) },
            grace: Duration::from_secs(10),
            workers: None,
        };
        while let Some(arg) = args.next()? {
            match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Long("listen") => options.listen = args.value()?.parse()?,
                Arg::Long("root") => options.root = Some(args.value()?.into()),
                Arg::Long("max-connections") => options.max_connections = number(&mut args)?,
                Arg::Long("max-body") => options.limits.body = args.value()?.parse()?,
                Arg::Long("timeout") => options.limits.timeout = seconds(&mut args)?,
                Arg::Long("idle") => options.limits.idle = seconds(&mut args)?,
                Arg::Long("grace") => options.grace = seconds(&mut args)?,
                Arg::Long("workers") => options.workers = Some(number(&mut args)?.min(1024)),
                other => return Err(other.unexpected()),
            }
        }
        Ok(Some(options))
    }
}

fn number(args: &mut lexopt::Parser) -> Result<usize, lexopt::Error> {
    args.value()?.parse_with(|text| match text.parse() {
        Ok(number @ 1..=1_000_000) => Ok(number),
        _ => Err("not a number from 1 to 1000000"),
    })
}

fn seconds(args: &mut lexopt::Parser) -> Result<Duration, lexopt::Error> {
    args.value()?.parse_with(|text| match text.parse().map(Duration::try_from_secs_f64) {
        Ok(Ok(time)) => Ok(time),
        _ => Err("not a number of seconds"),
    })
}

/// What all connections share. It is there until the process ends.
struct Server {
    limits: Limits,
    routes: Routes,
    /// Ends when no more requests are wanted.
    stop: Context,
    /// A permit for each connection that may still come.
    places: Semaphore,
    connections: WaitGroup,
    answered: AtomicU64,
}

/// The whole job but for the arguments. Returns the exit code.
fn run(options: Options) -> io::Result<u8> {
    raise_descriptor_limit();
    let workers = options.workers;
    let listener = StdListener::bind(options.listen)
        .and_then(|listener| Ok(rustix::net::listen(&listener, BACKLOG).map(|()| listener)?))
        .map_err(|error| io::Error::other(format!("{}: {error}", options.listen)))?;
    let serve = move || serve(listener, options);
    match workers {
        Some(workers) => Runtime::builder().workers(workers).build()?.run(serve),
        None => greenlight::run(serve),
    }
}

fn serve(listener: StdListener, options: Options) -> io::Result<u8> {
    let (stop, _) = Context::background().with_signals(&[Signal::INTERRUPT, Signal::TERMINATE])?;
    let routes = Routes::new(options.root)?;
    let server: &'static Server = Box::leak(Box::new(Server {
        limits: options.limits,
        routes,
        stop: stop.clone(),
        places: Semaphore::new(options.max_connections),
        connections: WaitGroup::new(),
        answered: AtomicU64::new(0),
    }));
    let listener = TcpListener::from_std(listener)?;
    writeln!(io::stdout(), "listening on http://{}/", listener.local_addr()?)?;

    let door = listener.try_clone()?;
    let close = stop.after_func(move || {
        door.close();
        server.places.close();
    });
    accept_all(&listener, server);
    drop(close);

    // Who is idle has been told; the others finish what they are at.
    if server.connections.wait_timeout(options.grace).is_err() {
        let left = server.connections.count();
        complain(format_args!("the time of grace is over: {left} connections cut off"));
        return Ok(FAILED);
    }
    let _ = writeln!(io::stderr(), "{} requests answered", server.answered.load(Relaxed));
    Ok(0)
}

/// Starts a green thread for each connection, until the listener is closed.
fn accept_all(listener: &TcpListener, server: &'static Server) {
    let mut pause = PAUSE;
    let mut incoming = listener.incoming();
    // No permit: the semaphore is closed, as the listener is.
    while let Ok(place) = server.places.acquire(1) {
        let stream: TcpStream = match incoming.next() {
            None => return,
            Some(Ok(stream)) => stream,
            // Of the connection that it was about: the next may be well.
            Some(Err(error)) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            // Of ours, most likely that there are no descriptors left.
            Some(Err(error)) => {
                if pause == PAUSE {
                    complain(format_args!("accept: {error}; trying again"));
                }
                sleep(pause);
                pause = LONGEST_PAUSE.min(pause * 2);
                continue;
            }
        };
        pause = PAUSE;
        server.connections.go(move || {
            let _place = place;
            connection::serve(stream, server);
        });
    }
}

/// As many descriptors as we may have: the usual limit is there for programs that use `select`.
fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Without it, there are fewer connections.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
