//! Sockets in futures: of tasks without a stack, of another executor, in a select.

use greenlight::{
    block_on,
    channel::{bounded, never},
    go, go_async,
    net::{TcpListener, TcpStream, UdpSocket, unix},
    select, sleep,
    time::{Instant, sleep_async, timeout},
};
use greenlight_tests::on_workers;
use std::{io::ErrorKind, time::Duration};

const MS: Duration = Duration::from_millis(1);

#[test]
fn echo_by_tasks_without_a_stack() {
    use futures_util::io::{AsyncReadExt, AsyncWriteExt};
    on_workers(|| {
        const CLIENTS: usize = 30;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = go_async(async move {
            for _ in 0..CLIENTS {
                let (mut stream, _) = listener.accept_async().await.unwrap();
                go_async(async move {
                    let mut buffer = [0; 100];
                    loop {
                        let n = stream.read(&mut buffer).await.unwrap();
                        if n == 0 {
                            break;
                        }
                        stream.write_all(&buffer[..n]).await.unwrap();
                    }
                    AsyncWriteExt::close(&mut stream).await.unwrap();
                    AsyncWriteExt::close(&mut stream).await.unwrap();
                });
            }
        });
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                go_async(async move {
                    let mut stream = TcpStream::connect_async(address).await.unwrap();
                    for round in 0..50 {
                        stream.write_all(&[round; 10]).await.unwrap();
                        let mut buffer = [0; 10];
                        stream.read_exact(&mut buffer).await.unwrap();
                        assert_eq!(buffer, [round; 10]);
                    }
                })
            })
            .collect();
        clients.into_iter().for_each(|client| client.join().unwrap());
        server.join().unwrap();
    });
}

/// The poller's worker is the global runtime's; the futures are an executor's that knows nothing of it.
#[test]
fn futures_of_another_executor() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = std::thread::spawn(move || {
        futures_executor::block_on(async {
            let stream = TcpStream::connect_async(address).await.unwrap();
            let mut buffer = [0; 8];
            assert_eq!(stream.read_async(&mut buffer).await.unwrap(), 5);
            assert_eq!(stream.write_async(&buffer[..5]).await.unwrap(), 5);
        });
    });
    futures_executor::block_on(async {
        let (stream, _) = listener.accept_async().await.unwrap();
        sleep_async(2 * MS).await;
        assert_eq!(stream.write_async(b"hello").await.unwrap(), 5);
        stream.readable().await.unwrap();
        assert_eq!(stream.try_read(&mut [0; 8]).unwrap(), 5);
        stream.readable().await.unwrap(); // the end
        assert_eq!(stream.try_read(&mut [0; 8]).unwrap(), 0);
    });
    client.join().unwrap();
}

#[test]
fn arms_of_a_select() {
    use std::io::{Read, Write};
    on_workers(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tx, rx) = bounded(0);
        let (mut accepted, mut received) = (Vec::new(), 0);
        let client = go(move || {
            for i in 0..20 {
                match i % 2 {
                    0 => drop(TcpStream::connect(address).unwrap()),
                    _ => tx.send(i).unwrap(),
                }
            }
        });
        while accepted.len() + received < 20 {
            select! {
                recv(rx) -> message => received += usize::from(message.is_ok()),
                wait(listener.accept_async()) -> stream => accepted.push(stream.unwrap()),
            }
        }
        client.join().unwrap();
        assert_eq!(accepted.len(), 10, "none was lost");

        let (mut a, b) = unix::UnixStream::pair().unwrap();
        select! {
            wait(b.readable()) -> _ => unreachable!("nothing was written"),
            default(MS) => {}
        }
        a.write_all(b"x").unwrap();
        select! {
            recv(never::<()>()) -> _ => unreachable!(),
            wait(b.readable()) -> ready => ready.unwrap(),
        }
        assert_eq!((&b).read(&mut [0]).unwrap(), 1);
    });
}

#[test]
fn a_dropped_future_takes_nothing() {
    on_workers(|| {
        let (a, b) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let address = b.local_addr().unwrap();
        block_on(async {
            assert!(timeout(MS, b.recv_async(&mut [0; 4])).await.is_err());
            assert_eq!(a.send_to_async(b"ping", address).await.unwrap(), 4);
            let (len, peer) = b.recv_from_async(&mut [0; 4]).await.unwrap();
            assert_eq!((len, peer), (4, a.local_addr().unwrap()));
        });
    });
}

#[test]
fn deadlines_and_close_end_futures_too() {
    use futures_util::io::AsyncReadExt;
    on_workers(|| {
        let (a, b) = unix::UnixStream::pair().unwrap();
        a.set_read_deadline(Some(Instant::now() + 3 * MS));
        let error = block_on(a.read_async(&mut [0])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        a.set_read_deadline(None);
        let clone = a.try_clone().unwrap();
        let waits = go_async(async move { clone.read_async(&mut [0]).await });
        sleep(2 * MS);
        // A deadline that is set while it waits.
        a.set_read_deadline(Some(Instant::now() + MS));
        assert_eq!(waits.join().unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
        a.set_read_deadline(None);
        let clone = a.try_clone().unwrap();
        let mut polled = go_async(async move {
            let mut clone = clone;
            AsyncReadExt::read(&mut clone, &mut [0]).await
        });
        assert!(polled.join_timeout(2 * MS).is_none());
        a.close();
        assert_eq!(polled.join().unwrap().unwrap_err().kind(), ErrorKind::NotConnected);
        drop(b);
    });
}

#[test]
fn unix_connections_and_datagrams_in_futures() {
    on_workers(|| {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("greenlight-async-{}-{:?}", std::process::id(), std::thread::current().id());
        let address = unix::SocketAddr::from_abstract_name(&name).unwrap();
        let listener = unix::UnixListener::bind_addr(&address).unwrap();
        let client = unix::UnixStream::connect_async(&address);
        let client = go_async(async move { client.await.unwrap().write_async(b"!").await.unwrap() });
        block_on(async {
            let (stream, _) = listener.accept_async().await.unwrap();
            assert_eq!(stream.read_async(&mut [0; 4]).await.unwrap(), 1);
        });
        assert_eq!(client.join().unwrap(), 1);
        drop(listener);

        let address = unix::SocketAddr::from_abstract_name(format!("{name}-d")).unwrap();
        let server = unix::UnixDatagram::bind_addr(&address).unwrap();
        let sender = go_async(async move {
            let socket = unix::UnixDatagram::unbound().unwrap();
            for _ in 0..100 {
                socket.send_to_addr_async(b"x", &address).await.unwrap();
            }
        });
        (0..100).for_each(|_| assert_eq!(server.recv(&mut [0; 4]).unwrap(), 1));
        sender.join().unwrap();
    });
}

/// Two tasks that poll the same direction, against the advice: none waits in vain.
#[test]
fn two_that_poll_one_direction() {
    use futures_util::io::AsyncReadExt;
    on_workers(|| {
        let (mut a, b) = unix::UnixStream::pair().unwrap();
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let mut clone = b.try_clone().unwrap();
                go_async(async move { AsyncReadExt::read_exact(&mut clone, &mut [0]).await.unwrap() })
            })
            .collect();
        let writer = go(move || {
            for _ in 0..2 {
                sleep(MS);
                std::io::Write::write_all(&mut a, b"x").unwrap();
            }
        });
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        writer.join().unwrap();
    });
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

#[test]
fn a_deadline_ends_a_polled_read_and_write() {
    use futures_util::io::{AsyncReadExt, AsyncWriteExt};
    let (mut client, _server) = pair();
    client.set_deadline(Some(Instant::now() + 5 * MS));
    let read = block_on(AsyncReadExt::read(&mut client, &mut [0]));
    assert_eq!(read.unwrap_err().kind(), ErrorKind::TimedOut);
    client.set_deadline(Some(Instant::now() + 5 * MS));
    let write = block_on(client.write_all(&vec![0; 64 << 20])); // more than the system takes
    assert_eq!(write.unwrap_err().kind(), ErrorKind::TimedOut);
}

/// A new deadline holds for a read that waits already, also if it comes before the old one, or there was none.
#[test]
fn a_polled_read_goes_by_the_newest_deadline() {
    use futures_util::io::AsyncReadExt;
    let hour = Duration::from_secs(3600);
    for old in [None, Some(Instant::now() + hour)] {
        let (client, _server) = pair();
        client.set_read_deadline(old);
        let mut reader = client.try_clone().unwrap();
        let read = go_async(async move { AsyncReadExt::read(&mut reader, &mut [0]).await });
        sleep(2 * MS);
        client.set_read_deadline(Some(Instant::now() + hour));
        sleep(2 * MS);
        assert!(!read.is_finished());
        client.set_read_deadline(Some(Instant::now() + MS));
        assert_eq!(read.join().unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
    }
}

/// As is said where they are set: they are for blocking calls.
#[test]
fn a_timeout_is_not_for_futures() {
    use futures_util::io::AsyncReadExt;
    let (mut client, mut server) = pair();
    client.set_read_timeout(Some(MS)).unwrap();
    assert!(block_on(timeout(20 * MS, AsyncReadExt::read(&mut client, &mut [0]))).is_err(), "it still waits");
    assert!(block_on(timeout(20 * MS, client.read_async(&mut [0]))).is_err());
    std::io::Write::write_all(&mut server, b"!").unwrap();
    assert_eq!(block_on(AsyncReadExt::read(&mut client, &mut [0])).unwrap(), 1);
}

/// A read that brought less than it had room for is taken for the last until the next event. The end is one, also if it came with the
/// bytes, or between the event and the read.
#[test]
fn a_read_that_was_short_still_finds_what_follows() {
    use futures_util::io::AsyncReadExt;
    on_workers(|| {
        for (round, polled) in (0..100).map(|round| (round, round % 5 < 3)) {
            let (mut client, mut server) = pair();
            let reads = go_async(async move {
                let mut all = 0;
                loop {
                    let mut room = [0; 100];
                    let read = match polled {
                        true => AsyncReadExt::read(&mut client, &mut room).await,
                        false => client.read_async(&mut room).await,
                    };
                    match read.unwrap() {
                        0 => return all,
                        n => all += n,
                    }
                }
            });
            for _ in 0..3 {
                std::io::Write::write_all(&mut server, b"abc").unwrap();
                if round % 2 == 0 {
                    greenlight::yield_now();
                }
            }
            if round % 3 == 0 {
                sleep(Duration::from_micros(round * 3));
            }
            drop(server);
            assert_eq!(reads.join().unwrap(), 9);
        }
    });
}
