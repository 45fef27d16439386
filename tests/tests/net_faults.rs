//! What goes wrong on networks: nothing leaks and nothing hangs.
//!
//! Each case is a process of its own, in which descriptors can be counted, and taken away. When it is over, there are as many
//! descriptors as before, no task is left, and no timer.

use greenlight::{
    Runtime, WaitGroup, block_on, go,
    net::{Closed, TcpListener, TcpStream},
    run, sleep, stats,
    time::{Instant, timeout},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::*},
    },
    time::Duration,
};

const MS: Duration = Duration::from_millis(1);
/// A limit that no case waits for: a timer that is left behind is there long enough to be counted.
const HOUR: Duration = Duration::from_secs(3600);

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A server that answers requests of eight bytes with as many, as long as anybody asks. It ends when the listener does.
/// Returns how many connections it has served.
fn serve(listener: &TcpListener, pause: Duration) -> usize {
    let (all, served) = (WaitGroup::new(), Arc::new(AtomicUsize::new(0)));
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else {
            sleep(MS); // no descriptor is left: some connection will end
            continue;
        };
        let served = served.clone();
        all.go(move || {
            let mut request = [0; 8];
            while stream.read_exact(&mut request).is_ok() {
                if !pause.is_zero() {
                    sleep(pause);
                }
                if stream.write_all(&request).is_err() {
                    break;
                }
            }
            served.fetch_add(1, SeqCst);
        });
    }
    all.wait();
    served.load(SeqCst)
}

/// Clients that reset in the middle of their request, or in the middle of the answer.
fn resets() {
    const CLIENTS: usize = 300;
    let (listener, address) = listen();
    let handle = listener.try_clone().unwrap();
    let server = go(move || serve(&listener, MS));
    let clients = WaitGroup::new();
    for client in 0..CLIENTS {
        clients.go(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_linger(Some(Duration::ZERO)).unwrap();
            match client % 3 {
                0 => stream.write_all(b"half").unwrap(),
                1 => stream.write_all(b"whole..!").unwrap(),
                _ => {}
            }
        });
    }
    clients.wait();
    // The server is as good as before.
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"and now?").unwrap();
    let mut answer = [0; 8];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"and now?");
    drop(stream);
    handle.close();
    assert!(server.join().unwrap() >= 1);
}

/// Writers that send a byte now and then hold up nobody; a deadline ends them.
fn slow_writers() {
    const SLOW: usize = 50;
    let (listener, address) = listen();
    let handle = listener.try_clone().unwrap();
    let server = go(move || {
        let (all, late) = (WaitGroup::new(), Arc::new(AtomicUsize::new(0)));
        for stream in listener.incoming() {
            let (mut stream, late) = (stream.unwrap(), late.clone());
            all.go(move || {
                stream.set_read_deadline(Some(Instant::now() + 100 * MS));
                let mut request = [0; 8];
                match stream.read_exact(&mut request) {
                    Ok(()) => stream.write_all(&request).unwrap(),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::TimedOut);
                        late.fetch_add(1, SeqCst);
                    }
                }
            });
        }
        all.wait();
        late.load(SeqCst)
    });
    let clients = WaitGroup::new();
    for _ in 0..SLOW {
        clients.go(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            // Seven of eight bytes; then it waits for the server to give up.
            for _ in 0..7 {
                if stream.write_all(b"x").is_err() {
                    return;
                }
                sleep(MS);
            }
            let _ = stream.read(&mut [0]);
        });
    }
    for _ in 0..SLOW {
        let mut quick = TcpStream::connect(address).unwrap();
        quick.write_all(b"a quick1").unwrap();
        quick.read_exact(&mut [0; 8]).unwrap();
    }
    clients.wait();
    handle.close();
    assert_eq!(server.join().unwrap(), SLOW);
}

/// A listener whose queue is full: connections wait, time out, and come once somebody accepts.
fn full_accept_queue() {
    let std = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&std, 1).unwrap();
    let listener = TcpListener::from_std(std).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    let error = loop {
        match TcpStream::connect_timeout(&address, 50 * MS) {
            Ok(stream) => queued.push(stream),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(!queued.is_empty());
    let late = go(move || TcpStream::connect(address).unwrap());
    sleep(5 * MS);
    assert!(!late.is_finished());
    let accepted: Vec<_> = (0..=queued.len()).map(|_| listener.accept().unwrap()).collect();
    drop((late.join().unwrap(), accepted, queued));
}

/// No descriptor is left: for connections, for the server, for the poller. All of it is an error, and over when some are back.
fn no_descriptors() {
    let old = getrlimit(Resource::Nofile);
    // On a runtime of its own, whose workers have no pollers yet.
    let runtime = Runtime::builder().workers(2).build().unwrap();
    let limit = descriptors() as u64 + 20;
    setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum: old.maximum }).unwrap();
    runtime.run(|| {
        let (listener, address) = listen();
        let mut taken = Vec::new();
        let error = loop {
            match std::fs::File::open("/dev/null") {
                Ok(file) => taken.push(file),
                Err(error) => break error,
            }
        };
        assert_eq!(error.raw_os_error(), Some(24));
        // The poller of this worker cannot be made.
        assert_eq!(listener.accept().unwrap_err().raw_os_error(), Some(24));
        assert_eq!(TcpStream::connect(address).unwrap_err().raw_os_error(), Some(24));
        assert_eq!(TcpListener::bind("127.0.0.1:0").unwrap_err().raw_os_error(), Some(24));
        taken.truncate(taken.len() - 4); // for two pollers, at most
        listener.set_deadline(Some(Instant::now() + MS));
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::TimedOut);
        listener.set_deadline(None);

        // A server that serves more clients than there are descriptors for, one after the other.
        taken.truncate(0);
        let handle = listener.try_clone().unwrap();
        let server = go(move || serve(&listener, Duration::ZERO));
        let (clients, errors) = (WaitGroup::new(), Arc::new(AtomicUsize::new(0)));
        for _ in 0..100 {
            let errors = errors.clone();
            clients.go(move || {
                let mut stream = loop {
                    match TcpStream::connect(address) {
                        Ok(stream) => break stream,
                        Err(error) => assert_eq!(error.raw_os_error(), Some(24)),
                    }
                    errors.fetch_add(1, SeqCst);
                    sleep(MS);
                };
                // Those who got one give it back when the server cannot get another.
                stream.set_deadline(Some(Instant::now() + 20 * MS));
                let _ = stream.write_all(b"12345678").and_then(|()| stream.read_exact(&mut [0; 8]));
            });
        }
        clients.wait();
        assert!(errors.load(SeqCst) > 0, "there were enough descriptors");
        handle.close();
        server.join().unwrap();
    });
    runtime.shutdown(Duration::MAX);
    setrlimit(Resource::Nofile, old).unwrap();
}

/// Deadlines that are moved all the time, by many, while others read and are cancelled.
fn deadline_storm() {
    const STREAMS: usize = 50;
    let (listener, address) = listen();
    let handle = listener.try_clone().unwrap();
    let server = go(move || serve(&listener, Duration::ZERO));
    let all = WaitGroup::new();
    for stream in 0..STREAMS {
        all.go(move || {
            let stream = Arc::new(TcpStream::connect(address).unwrap());
            let reader = go({
                let stream = stream.clone();
                move || {
                    let mut timeouts = 0;
                    loop {
                        match (&*stream).read(&mut [0; 8]) {
                            Ok(0) => break timeouts,
                            Ok(_) => {}
                            Err(error) if error.kind() == ErrorKind::TimedOut => {
                                timeouts += 1;
                                greenlight::yield_now();
                            }
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            });
            for round in 0..200_u64 {
                let distance = Duration::from_micros((round * 37 + stream.local_addr().unwrap().port() as u64) % 300);
                stream.set_read_deadline(Some(Instant::now() + distance));
                if round % 10 == 0 {
                    (&*stream).write_all(b"12345678").unwrap();
                    sleep(MS);
                }
                if round % 3 == 0 {
                    stream.set_read_deadline(None);
                }
            }
            stream.set_read_deadline(None);
            stream.shutdown(Shutdown::Write).unwrap();
            let _ = reader.join().unwrap();
        });
        let _ = stream;
    }
    all.wait();
    handle.close();
    assert_eq!(server.join().unwrap(), STREAMS);
}

/// Peers that have ended one direction only, or are silent: the rest still works, and a close ends it.
fn half_open_peers() {
    let (listener, address) = listen();
    let all = WaitGroup::new();
    for _ in 0..50 {
        let mut client = TcpStream::connect(address).unwrap();
        let (server, _) = listener.accept().unwrap();
        let reader = {
            let mut server = server.try_clone().unwrap();
            server.set_read_timeout(Some(HOUR)).unwrap();
            go(move || server.read(&mut [0; 8]))
        };
        all.go(move || {
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(reader.join().unwrap().unwrap(), 0);
            // The other direction lives.
            (&server).write_all(b"still").unwrap();
            client.read_exact(&mut [0; 5]).unwrap();
            // A silent peer: only we can end it.
            let waits = go(move || {
                client.set_read_deadline(Some(Instant::now() + HOUR));
                let n = block_on(timeout(HOUR, client.read_async(&mut [0]))).expect("it does not wait so long")?;
                io::Result::Ok((n, client))
            });
            sleep(MS);
            server.close();
            let (n, _client) = waits.join().unwrap().unwrap();
            assert_eq!(n, 0);
            let error = (&server).write(b"x").unwrap_err();
            assert!(error.get_ref().unwrap().is::<Closed>());
        });
    }
    all.wait();
}

/// A runtime that is shut down with connections in all states: its tasks end, and its descriptors are back.
fn shutdown_under_load() {
    const CLIENTS: usize = 100;
    std::panic::set_hook(Box::new(|_| {})); // some will
    let (listener, address) = listen();
    let runtime = Runtime::builder().workers(2).build().unwrap();
    let server = runtime.go(move || serve(&listener, Duration::ZERO));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            runtime.go(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                loop {
                    stream.write_all(b"12345678").unwrap();
                    if client % 10 > 0 {
                        stream.read_exact(&mut [0; 8]).unwrap();
                    }
                }
            })
        })
        .collect();
    sleep(50 * MS);
    let report = runtime.shutdown(Duration::from_secs(60));
    assert!(report.left().is_empty(), "{report:?}");
    assert!(report.ended() > CLIENTS);
    // Those whose peer was quicker have panicked with its reset.
    clients.into_iter().for_each(|client| assert!(client.join().is_err()));
    assert!(server.join().is_err());
}

const CASES: [(&str, fn()); 7] = [
    ("resets", resets),
    ("slow_writers", slow_writers),
    ("full_accept_queue", full_accept_queue),
    ("no_descriptors", no_descriptors),
    ("deadline_storm", deadline_storm),
    ("half_open_peers", half_open_peers),
    ("shutdown_under_load", shutdown_under_load),
];

/// Without the pollers of workers: they stay, and a spare worker may have begun meanwhile.
fn descriptors_but_pollers() -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let names = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    names.filter(|name| !name.to_string_lossy().starts_with("anon_inode:")).count()
}

/// In a process of its own: what there was before two rounds is there after them.
fn child(case: fn()) {
    let before = (descriptors_but_pollers(), tasks_and_timers());
    run(case);
    run(case);
    // The last tasks are joined, and may be about to end.
    let end = std::time::Instant::now() + Duration::from_secs(60);
    let mut after = (descriptors_but_pollers(), tasks_and_timers());
    while after != before && std::time::Instant::now() < end {
        std::thread::sleep(MS);
        after = (descriptors_but_pollers(), tasks_and_timers());
    }
    println!("before: {before:?}");
    assert_eq!(before, after);
}

/// Green threads, futures, alarms of the timer thread, and workers that do not sleep for good: at work, or until a timer.
fn tasks_and_timers() -> [usize; 4] {
    let now = stats();
    [now.green_threads, now.futures, now.alarms, now.workers - now.asleep]
}

fn main() -> ExitCode {
    if let Some(name) = std::env::args().skip_while(|arg| arg != "--case").nth(1) {
        let (_, case) = CASES.into_iter().find(|(known, _)| *known == name).expect("a case");
        child(case);
        return ExitCode::SUCCESS;
    }
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    let me = std::env::current_exe().unwrap();
    let (mut passed, mut failed) = (0, 0);
    for (name, _) in CASES.into_iter().filter(|(name, _)| name.contains(&filter)) {
        let output = greenlight_tests::program(&me).args(["--case", name]).output().unwrap();
        if output.status.success() {
            passed += 1;
        } else {
            failed += 1;
            let _ = io::stderr().write_all(&output.stdout).and_then(|()| io::stderr().write_all(&output.stderr));
            eprintln!("{name}: {}", output.status);
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
