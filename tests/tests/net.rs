//! TCP from green threads and OS threads: what is sent arrives, whoever waits is woken, whatever ends.

use greenlight::{
    JoinHandle, Runtime, WaitGroup,
    channel::bounded,
    go,
    net::{Closed, TcpListener, TcpStream},
    run, sleep,
    time::Instant,
    yield_now,
};
use greenlight_tests::on_workers;
use std::{
    io::{self, BufRead, BufReader, ErrorKind, IoSlice, IoSliceMut, Read, Write},
    net::{Shutdown, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::*},
    },
    thread,
    time::Duration,
};

const MS: Duration = Duration::from_millis(1);

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn pair() -> (TcpStream, TcpStream) {
    let (listener, address) = listen();
    let client = TcpStream::connect(address).unwrap();
    (client, listener.accept().unwrap().0)
}

/// Answers each byte with the same, until it is closed.
fn echo_server(listener: TcpListener) -> JoinHandle<()> {
    go(move || {
        let all = WaitGroup::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            all.go(move || {
                let mut buffer = [0; 1024];
                loop {
                    match stream.read(&mut buffer) {
                        Ok(0) | Err(_) => break,
                        Ok(n) => stream.write_all(&buffer[..n]).unwrap(),
                    }
                }
            });
        }
        all.wait();
    })
}

fn closed(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Closed>())
}

#[test]
fn echo() {
    on_workers(|| {
        let (listener, address) = listen();
        let handle = listener.try_clone().unwrap();
        let server = echo_server(listener);
        let clients: Vec<_> = (0..16_u8)
            .map(|client| {
                go(move || {
                    let mut stream = TcpStream::connect(address).unwrap();
                    for round in 0..200_u8 {
                        let sent = [client, round, client ^ round];
                        stream.write_all(&sent).unwrap();
                        let mut got = [0; 3];
                        stream.read_exact(&mut got).unwrap();
                        assert_eq!(got, sent);
                    }
                })
            })
            .collect();
        clients.into_iter().for_each(|client| client.join().unwrap());
        handle.close();
        server.join().unwrap();
        assert!(closed(&handle.accept().unwrap_err()) && handle.is_closed());
        assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
    });
}

#[test]
fn a_thousand_clients_at_once() {
    const CLIENTS: usize = 1000;
    let (listener, address) = listen();
    let handle = listener.try_clone().unwrap();
    let server = echo_server(listener);
    let (connected, begin) = (WaitGroup::new(), Arc::new(greenlight::Barrier::new(CLIENTS)));
    for client in 0..CLIENTS {
        let begin = begin.clone();
        connected.go(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            begin.wait(); // all are there
            for round in 0..3 {
                let text = format!("{client} {round}\n");
                stream.write_all(text.as_bytes()).unwrap();
                let mut answer = String::new();
                BufReader::new(&stream).read_line(&mut answer).unwrap();
                assert_eq!(answer, text);
            }
        });
    }
    connected.wait();
    handle.close();
    server.join().unwrap();
}

#[test]
fn os_threads_use_the_same_sockets() {
    let (listener, address) = listen();
    let handle = listener.try_clone().unwrap();
    let server = thread::spawn(move || {
        let threads: Vec<_> = listener
            .incoming()
            .map(|stream| {
                thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    io::copy(&mut stream.try_clone().unwrap(), &mut stream).unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>()
    });
    let clients: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                for _ in 0..100 {
                    stream.write_all(b"0123456789").unwrap();
                    stream.read_exact(&mut [0; 10]).unwrap();
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    handle.close();
    assert_eq!(server.join().unwrap(), 4 * 100 * 10);
}

#[test]
fn more_than_the_buffers_hold_arrives_whole() {
    on_workers(|| {
        let (mut client, mut server) = pair();
        let sender = go(move || {
            let block: Vec<u8> = (0..=255).cycle().take(100_000).collect();
            for _ in 0..50 {
                client.write_all(&block).unwrap();
            }
        });
        let (mut total, mut buffer) = (0_usize, vec![0; 7777]);
        loop {
            let n = server.read(&mut buffer).unwrap();
            if n == 0 {
                break;
            }
            for (at, byte) in buffer[..n].iter().enumerate() {
                assert_eq!(usize::from(*byte), (total + at) % 100_000 % 256);
            }
            total += n;
        }
        assert_eq!(total, 5_000_000);
        sender.join().unwrap();
    });
}

#[test]
fn vectored_and_peek() {
    run(|| {
        let (mut client, server) = pair();
        assert_eq!(client.write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"cde")]).unwrap(), 5);
        let mut peeked = [0; 8];
        assert_eq!(server.peek(&mut peeked).unwrap(), 5);
        let (mut a, mut b) = ([0; 3], [0; 5]);
        let n = (&server).read_vectored(&mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)]).unwrap();
        assert_eq!((n, &a, &b[..2]), (5, b"abc", &b"de"[..]));
        assert_eq!(server.try_read(&mut a).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

/// Out-of-band data cuts a read short though there is more.
#[test]
fn urgent_data_hides_nothing() {
    use rustix::net::{SendFlags, send};
    on_workers(|| {
        let (mut client, mut server) = pair();
        for _ in 0..50 {
            client.write_all(b"before").unwrap();
            send(&client, b"!", SendFlags::OOB).unwrap();
            client.write_all(b"after").unwrap();
            let (mut got, mut buffer) = (Vec::new(), [0; 64]);
            while got.len() < 11 {
                let n = server.read(&mut buffer).unwrap();
                got.extend_from_slice(&buffer[..n]);
            }
            assert_eq!(got, b"beforeafter");
        }
    });
}

/// A reader with room to spare, whose next read comes before, or after, what it is to read.
#[test]
fn short_reads() {
    on_workers(|| {
        let (mut client, mut server) = pair();
        let (tx, rx) = bounded(0);
        let writer = go(move || {
            for i in 0..500_usize {
                client.write_all(&[i as u8; 3][..1 + i % 3]).unwrap();
                if i % 5 > 0 {
                    rx.recv().unwrap();
                }
            }
        });
        let (mut total, mut buffer) = (0, [0; 64]);
        let mut acks = 0;
        loop {
            let n = server.read(&mut buffer).unwrap();
            if n == 0 {
                break;
            }
            total += n;
            if acks < 400 {
                // As many as the writer wants in all; those that come early wait for it.
                acks += usize::from(tx.send_timeout((), MS).is_ok());
            }
        }
        assert_eq!(total, (0..500).map(|i| 1 + i % 3).sum::<usize>());
        writer.join().unwrap();
    });
}

#[test]
fn half_close_and_reset() {
    run(|| {
        let (mut client, mut server) = pair();
        client.write_all(b"question").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut question = String::new();
        server.read_to_string(&mut question).unwrap();
        assert_eq!(question, "question");
        server.write_all(b"answer").unwrap();
        drop(server);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "answer");

        let (client, mut server) = pair();
        let reader = go(move || server.read(&mut [0]));
        sleep(5 * MS);
        client.set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        assert_eq!(reader.join().unwrap().unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_cancelled_call_takes_nothing() {
    on_workers(|| {
        let (mut client, server) = pair();
        let server = Arc::new(server);
        let reader = go({
            let server = server.clone();
            move || (&*server).read(&mut [0; 16])
        });
        sleep(2 * MS);
        reader.cancel();
        assert!(reader.join().unwrap_err().is_cancelled());
        client.write_all(b"still there").unwrap();
        let mut buffer = [0; 16];
        assert_eq!((&*server).read(&mut buffer).unwrap(), 11);

        let (listener, address) = listen();
        let listener = Arc::new(listener);
        let accept = go({
            let listener = listener.clone();
            move || listener.accept()
        });
        sleep(2 * MS);
        accept.cancel();
        assert!(accept.join().unwrap_err().is_cancelled());
        let client = TcpStream::connect(address).unwrap();
        assert_eq!(listener.accept().unwrap().1, client.local_addr().unwrap());
    });
}

/// Cancelled at any moment while bytes come in: what the reader has not got is still there.
#[test]
fn no_byte_is_lost_by_cancelling() {
    on_workers(|| {
        const BYTES: usize = 2000;
        let (mut client, server) = pair();
        let (server, got) = (Arc::new(server), Arc::new(AtomicUsize::new(0)));
        let writer = go(move || {
            for i in 0..BYTES {
                client.write_all(&[i as u8]).unwrap();
                if i % 7 == 0 {
                    yield_now();
                }
            }
        });
        while got.load(SeqCst) < BYTES {
            let reader = go({
                let (server, got) = (server.clone(), got.clone());
                move || {
                    loop {
                        let mut byte = [0];
                        if (&*server).read(&mut byte).unwrap() == 0 {
                            break;
                        }
                        assert_eq!(byte[0], got.fetch_add(1, SeqCst) as u8);
                    }
                }
            });
            sleep(Duration::from_micros(50));
            reader.cancel();
            let _ = reader.join();
        }
        writer.join().unwrap();
    });
}

#[test]
fn timeouts_and_deadlines() {
    on_workers(|| {
        let (mut client, mut server) = pair();
        client.set_read_timeout(Some(3 * MS)).unwrap();
        assert_eq!(client.read_timeout().unwrap(), Some(3 * MS));
        let start = Instant::now();
        assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(start.elapsed() >= 3 * MS);
        assert_eq!(client.set_read_timeout(Some(Duration::ZERO)).unwrap_err().kind(), ErrorKind::InvalidInput);
        client.set_read_timeout(Some(Duration::MAX)).unwrap();
        server.write_all(b"x").unwrap();
        assert_eq!(client.read(&mut [0]).unwrap(), 1);
        client.set_read_timeout(None).unwrap();

        // A deadline ends a wait in progress; one that is moved on does not.
        let client = Arc::new(client);
        let reader = go({
            let client = client.clone();
            move || (&*client).read(&mut [0])
        });
        sleep(2 * MS);
        client.set_read_deadline(Some(Instant::now() + 20 * MS));
        client.set_read_deadline(Some(Instant::now() + Duration::MAX));
        sleep(25 * MS);
        assert!(!reader.is_finished());
        client.set_read_deadline(Some(Instant::now()));
        assert_eq!(reader.join().unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
        // It holds for what comes after, data or not.
        server.write_all(b"y").unwrap();
        assert_eq!((&*client).read(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
        client.set_read_deadline(None);
        assert_eq!((&*client).read(&mut [0]).unwrap(), 1);

        // A writer whose peer does not read.
        client.set_write_deadline(Some(Instant::now() + 5 * MS));
        let block = vec![0; 1 << 20];
        let error = loop {
            if let Err(error) = (&*client).write(&block) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);

        let (listener, _) = listen();
        listener.set_deadline(Some(Instant::now() + MS));
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::TimedOut);
    });
}

#[test]
fn closing_wakes_all_who_wait_in_all_clones() {
    on_workers(|| {
        let (client, server) = pair();
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let mut clone = server.try_clone().unwrap();
                go(move || clone.read(&mut [0]))
            })
            .collect();
        let writer = {
            let mut clone = server.try_clone().unwrap();
            go(move || {
                loop {
                    if let Err(error) = clone.write(&[0; 65536]) {
                        break error;
                    }
                }
            })
        };
        sleep(5 * MS);
        server.close();
        server.close();
        readers.into_iter().for_each(|reader| assert!(closed(&reader.join().unwrap().unwrap_err())));
        assert!(closed(&writer.join().unwrap()));
        let mut left = Vec::new();
        (&client).read_to_end(&mut left).unwrap(); // the peer is told
    });
}

#[test]
fn several_may_accept_and_several_may_read() {
    on_workers(|| {
        const CONNECTIONS: usize = 60;
        let (listener, address) = listen();
        let (tx, rx) = bounded(CONNECTIONS);
        let acceptors = WaitGroup::new();
        for _ in 0..4 {
            let (listener, tx) = (listener.try_clone().unwrap(), tx.clone());
            acceptors.go(move || listener.incoming().for_each(|stream| tx.send(stream.unwrap()).unwrap()));
        }
        let clients: Vec<_> = (0..CONNECTIONS).map(|_| go(move || TcpStream::connect(address).unwrap())).collect();
        let servers: Vec<_> = rx.iter().take(CONNECTIONS).collect();
        listener.close();
        acceptors.wait();
        drop((servers, clients));

        // Each of several readers takes a byte: all bytes find one.
        let (mut client, server) = pair();
        let readers: Vec<_> = (0..8)
            .map(|_| {
                let mut clone = server.try_clone().unwrap();
                go(move || clone.read_exact(&mut [0]).unwrap())
            })
            .collect();
        sleep(2 * MS);
        client.write_all(&[0; 8]).unwrap();
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

#[test]
fn connecting() {
    on_workers(|| {
        let (listener, address) = listen();
        drop(listener);
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        // The second address is tried when the first fails.
        let (_listener, good) = listen();
        let stream = TcpStream::connect(&[address, good][..]).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        assert!(TcpStream::connect(&[][..]).is_err());
        assert_eq!(TcpStream::connect_timeout(&good, Duration::ZERO).unwrap_err().kind(), ErrorKind::InvalidInput);
        TcpStream::connect_timeout(&good, Duration::MAX).unwrap();
        TcpStream::connect(format!("localhost:{}", good.port())).unwrap();
        assert!(TcpStream::connect("localhost").is_err(), "no port");
    });
}

#[test]
fn to_std_and_back() {
    let (client, server) = pair();
    let clone = server.try_clone().unwrap();
    assert_eq!(clone.into_std().unwrap_err().kind(), ErrorKind::ResourceBusy);
    let mut server = server.into_std().unwrap();
    let writer = thread::spawn(move || {
        thread::sleep(2 * MS);
        (&client).write_all(b"x").unwrap();
        client
    });
    server.read_exact(&mut [0]).unwrap(); // it blocks, as std's do
    let client = writer.join().unwrap();
    let server = TcpStream::from_std(server).unwrap();
    assert_eq!(server.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(client.peer_addr().unwrap(), server.local_addr().unwrap());
    client.set_nodelay(true).unwrap();
    client.set_ttl(33).unwrap();
    client.set_linger(Some(Duration::from_secs(1))).unwrap();
    let options = (client.nodelay().unwrap(), client.ttl().unwrap(), client.linger().unwrap());
    assert_eq!(options, (true, 33, Some(Duration::from_secs(1))));
    assert!(client.take_error().unwrap().is_none());
}

/// A task that never waits, since its peer is as quick, lets the other tasks of its worker run.
#[test]
fn a_busy_socket_leaves_room_for_others() {
    Runtime::builder().workers(1).build().unwrap().run(|| {
        let (mut client, mut server) = pair();
        let done = Arc::new(AtomicUsize::new(0));
        let other = go({
            let done = done.clone();
            move || {
                for _ in 0..10 {
                    yield_now();
                }
                done.store(1, SeqCst);
            }
        });
        while done.load(SeqCst) == 0 {
            client.write_all(b"x").unwrap();
            server.read_exact(&mut [0]).unwrap();
        }
        other.join().unwrap();
    });
}

/// Its Drop writes and reads during a panic, when the worker runs nobody else.
#[test]
fn a_wait_during_a_panic() {
    struct Goodbye(TcpStream);
    impl Drop for Goodbye {
        fn drop(&mut self) {
            self.0.write_all(b"bye").unwrap();
            self.0.read_exact(&mut [0; 3]).unwrap();
        }
    }
    let (client, mut server) = pair();
    let peer = thread::spawn(move || {
        server.read_exact(&mut [0; 3]).unwrap();
        thread::sleep(5 * MS);
        server.write_all(b"bye").unwrap();
    });
    let task = go(move || {
        let _goodbye = Goodbye(client);
        panic!("on purpose");
    });
    assert!(task.join().is_err());
    peer.join().unwrap();
}

/// A socket that outlives the runtime on which it was used goes on in another.
#[test]
fn a_socket_outlives_its_worker() {
    let (mut client, server) = pair();
    let runtime = Runtime::builder().workers(1).build().unwrap();
    let mut server = runtime.run(move || {
        let mut server = server;
        server.set_read_timeout(Some(MS)).unwrap();
        assert!(server.read(&mut [0]).is_err()); // registered with this worker
        server.set_read_timeout(None).unwrap();
        server
    });
    let waits = go(move || server.read(&mut [0]));
    sleep(2 * MS);
    runtime.shutdown(Duration::MAX);
    client.write_all(b"x").unwrap();
    assert_eq!(waits.join().unwrap().unwrap(), 1);
}
