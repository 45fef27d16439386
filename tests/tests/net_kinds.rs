//! UDP and Unix sockets, and other descriptors: what std's do, without stopping the worker.

use greenlight::{
    go,
    net::{
        Closed, Pollable, UdpSocket, lookup_host,
        unix::{SocketAddr, UnixDatagram, UnixListener, UnixStream},
    },
    run, sleep,
    time::Instant,
};
use greenlight_tests::on_workers;
use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown},
    os::linux::net::SocketAddrExt,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering::*},
    time::Duration,
};

const MS: Duration = Duration::from_millis(1);

fn closed(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Closed>())
}

fn udp() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

/// A path that no other test uses, whose file goes at the end.
struct TempPath(PathBuf);

impl TempPath {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("greenlight-{}-{}", std::process::id(), NEXT.fetch_add(1, SeqCst));
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for TempPath {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn udp_messages_go_both_ways() {
    on_workers(|| {
        let (server, client) = (udp(), udp());
        let address = server.local_addr().unwrap();
        let echo = go(move || {
            let mut buffer = [0; 64];
            for _ in 0..100 {
                let (len, peer) = server.recv_from(&mut buffer).unwrap();
                assert_eq!(server.send_to(&buffer[..len], peer).unwrap(), len);
            }
            server
        });
        client.connect(address).unwrap();
        assert_eq!(client.peer_addr().unwrap(), address);
        for round in 0..100_u8 {
            client.send(&[round; 9]).unwrap();
            let mut buffer = [0; 64];
            assert_eq!(client.peek(&mut buffer).unwrap(), 9);
            assert_eq!(client.recv(&mut buffer).unwrap(), 9);
            assert_eq!(buffer[..9], [round; 9]);
        }
        let server = echo.join().unwrap();
        client.send(b"").unwrap(); // an empty message is one
        assert_eq!(server.peek_from(&mut [0; 4]).unwrap(), (0, client.local_addr().unwrap()));
        assert_eq!(server.recv(&mut [0; 4]).unwrap(), 0);
        client.send(b"longer than the buffer").unwrap();
        assert_eq!(server.recv(&mut [0; 4]).unwrap(), 4);
        assert_eq!(server.try_recv_from(&mut [0; 4]).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn udp_limits_and_close() {
    on_workers(|| {
        let socket = udp();
        socket.set_read_timeout(Some(2 * MS)).unwrap();
        assert_eq!(socket.recv(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        socket.set_read_timeout(None).unwrap();
        socket.set_read_deadline(Some(Instant::now() + 2 * MS));
        assert_eq!(socket.recv_from(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
        socket.set_deadline(None);
        let clone = socket.try_clone().unwrap();
        let waits = go(move || clone.recv(&mut [0]));
        sleep(2 * MS);
        socket.close();
        assert!(closed(&waits.join().unwrap().unwrap_err()));
        assert!(closed(&socket.send_to(b"x", "127.0.0.1:9").unwrap_err()));
    });
}

#[test]
fn udp_options_come_back_as_they_were_set() {
    let socket = udp();
    for on in [true, false] {
        socket.set_broadcast(on).unwrap();
        socket.set_multicast_loop_v4(on).unwrap();
        assert_eq!((socket.broadcast().unwrap(), socket.multicast_loop_v4().unwrap()), (on, on));
    }
    socket.set_ttl(17).unwrap();
    socket.set_multicast_ttl_v4(3).unwrap();
    assert_eq!((socket.ttl().unwrap(), socket.multicast_ttl_v4().unwrap()), (17, 3));
    let group = Ipv4Addr::new(224, 0, 0, 123);
    assert!(socket.join_multicast_v4(&Ipv4Addr::LOCALHOST, &Ipv4Addr::LOCALHOST).is_err(), "not a group");
    socket.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST).unwrap();
    socket.leave_multicast_v4(&group, &Ipv4Addr::LOCALHOST).unwrap();
    let std = socket.into_std().unwrap();
    std.set_read_timeout(Some(MS)).unwrap();
    assert_eq!(std.recv(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn unix_streams_at_a_path_and_at_an_abstract_name() {
    on_workers(|| {
        let path = TempPath::new();
        let name = path.0.file_name().unwrap().as_encoded_bytes();
        let at_name = SocketAddr::from_abstract_name(name).unwrap();
        let at_path = SocketAddr::from_pathname(&path.0).unwrap();
        for address in [at_path, at_name] {
            let listener = UnixListener::bind_addr(&address).unwrap();
            let server = listener.try_clone().unwrap();
            let server = go(move || {
                let streams = server.incoming().map(|stream| {
                    go(move || {
                        let stream = stream.unwrap();
                        io::copy(&mut &stream, &mut &stream).unwrap();
                    })
                });
                streams.collect::<Vec<_>>().into_iter().for_each(|task| task.join().unwrap());
            });
            let clients: Vec<_> = (0..20)
                .map(|_| {
                    let address = address.clone();
                    go(move || {
                        let stream = UnixStream::connect_addr(&address).unwrap();
                        (&stream).write_all(b"back").unwrap();
                        stream.shutdown(Shutdown::Write).unwrap();
                        assert_eq!(io::read_to_string(&stream).unwrap(), "back");
                    })
                })
                .collect();
            clients.into_iter().for_each(|client| client.join().unwrap());
            listener.close();
            server.join().unwrap();
            assert_eq!(UnixStream::connect_addr(&address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        }
        assert_eq!(UnixStream::connect("/nowhere/at/all").unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn peers_of_unix_sockets_have_names() {
    run(|| {
        let (path, other) = (TempPath::new(), TempPath::new());
        let listener = UnixListener::bind(&path.0).unwrap();
        let unnamed = UnixStream::connect(&path.0).unwrap();
        assert!(listener.accept().unwrap().1.is_unnamed());
        assert_eq!(unnamed.peer_addr().unwrap().as_pathname(), Some(&*path.0));

        let server = UnixDatagram::bind(path.0.with_extension("datagram")).unwrap();
        let client = UnixDatagram::bind(&other.0).unwrap();
        client.send_to(b"hello", path.0.with_extension("datagram")).unwrap();
        let (len, peer) = server.recv_from(&mut [0; 8]).unwrap();
        assert_eq!((len, peer.as_pathname()), (5, Some(&*other.0)));
        std::fs::remove_file(path.0.with_extension("datagram")).unwrap();
    });
}

/// The queue is full, and nobody takes from it: a connection waits, and comes when there is room.
#[test]
fn a_full_queue_of_a_unix_listener() {
    on_workers(|| {
        let path = TempPath::new();
        let std = std::os::unix::net::UnixListener::bind(&path.0).unwrap();
        rustix::net::listen(&std, 1).unwrap();
        let listener = UnixListener::from_std(std).unwrap();
        let clients: Vec<_> = (0..10)
            .map(|_| {
                let path = path.0.clone();
                go(move || UnixStream::connect(path).unwrap())
            })
            .collect();
        sleep(10 * MS);
        assert!(clients.iter().any(|client| !client.is_finished()), "the queue is not full");
        let servers: Vec<_> = (0..10).map(|_| listener.accept().unwrap()).collect();
        clients.into_iter().for_each(|client| drop(client.join().unwrap()));
        drop(servers);
    });
}

/// A sender that is not connected is told by nobody that there is room again.
#[test]
fn a_full_queue_of_a_unix_datagram() {
    on_workers(|| {
        const MESSAGES: usize = 100;
        let path = TempPath::new();
        let server = UnixDatagram::bind(&path.0).unwrap();
        let senders: Vec<_> = (0..4)
            .map(|_| {
                let path = path.0.clone();
                go(move || {
                    let client = UnixDatagram::unbound().unwrap();
                    (0..MESSAGES).for_each(|_| assert_eq!(client.send_to(b"x", &path).unwrap(), 1));
                })
            })
            .collect();
        sleep(10 * MS);
        (0..4 * MESSAGES).for_each(|_| assert_eq!(server.recv(&mut [0; 4]).unwrap(), 1));
        senders.into_iter().for_each(|sender| sender.join().unwrap());

        // One that is, is.
        let (a, b) = UnixDatagram::pair().unwrap();
        let sender = go(move || (0..MESSAGES).for_each(|_| assert_eq!(a.send(b"x").unwrap(), 1)));
        sleep(10 * MS);
        (0..MESSAGES).for_each(|_| assert_eq!(b.recv(&mut [0; 4]).unwrap(), 1));
        sender.join().unwrap();
    });
}

#[test]
fn any_descriptor_that_can_be_polled() {
    on_workers(|| {
        let (reader, writer) = std::io::pipe().unwrap();
        let (reader, mut writer) = (Pollable::new(reader).unwrap(), Pollable::new(writer).unwrap());
        let task = go(move || {
            let mut all = Vec::new();
            (&reader).read_to_end(&mut all).unwrap();
            all.len()
        });
        writer.write_all(&[7; 300_000]).unwrap();
        writer.wait_writable().unwrap();
        drop(writer);
        assert_eq!(task.join().unwrap(), 300_000);

        // A file never waits, so it is never asked whether it can be polled; if it is asked, it says no.
        let file = Pollable::new(std::fs::File::open("/proc/self/exe").unwrap()).unwrap();
        assert_eq!((&file).read(&mut [0; 4]).unwrap(), 4);
        let would_block = || io::Result::<()>::Err(ErrorKind::WouldBlock.into());
        assert_eq!(file.read_with(|_| would_block()).unwrap_err().kind(), ErrorKind::PermissionDenied);

        let (reader, _writer) = std::io::pipe().unwrap();
        let reader = Pollable::new(reader).unwrap();
        reader.set_read_timeout(Some(MS)).unwrap();
        assert!(reader.wait_readable().is_err());
        let mut reader = reader.into_inner(); // non-blocking still
        assert_eq!(reader.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn names_are_looked_up_beside_the_workers() {
    on_workers(|| {
        assert!(
            lookup_host(("localhost", 7)).unwrap().all(|address| address.ip().is_loopback() && address.port() == 7)
        );
        assert_eq!(lookup_host("[::1]:7").unwrap().next(), Some(([0, 0, 0, 0, 0, 0, 0, 1], 7).into()));
        assert!(lookup_host("no port").is_err());
        assert!(lookup_host("name.invalid:1").is_err());
        let socket = UdpSocket::bind(("localhost", 0)).unwrap();
        assert!(socket.local_addr().unwrap().ip().is_loopback());
        assert_eq!(socket.send_to(b"", &[][..]).unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn descriptors_are_taken_over_or_refused() {
    use std::os::{fd::OwnedFd, unix::fs::OpenOptionsExt};
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut ours = UnixStream::try_from(OwnedFd::from(ours)).unwrap();
    (&theirs).write_all(b"x").unwrap();
    assert_eq!(ours.read(&mut [0; 2]).unwrap(), 1);

    // A descriptor that only names a file can neither be read nor be made non-blocking.
    let name = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_PATH).open("/").unwrap();
    let refused = UdpSocket::try_from(OwnedFd::from(name)).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EBADF));
}
