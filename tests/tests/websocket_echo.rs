//! The WebSocket echo example: its server, its client, and clients that write their frames by hand.

use greenlight_tests::programs::{Server, assert_output, assert_usage, command, finish};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::thread;

fn server() -> Server {
    Server::start("websocket_echo", &std::env::temp_dir(), ["--listen=127.0.0.1:0"])
}

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// RFC 6455, as far as it is needed.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let mut client = Self(BufReader::new(TcpStream::connect(address).expect("it listens")));
        let request = "GET / HTTP/1.1\r\nHost: us\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        client.0.get_ref().write_all(request.as_bytes()).expect("it reads");
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(client.0.read_line(&mut head).expect("a line") > 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        client
    }

    fn send(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..126 => frame.push(0x80 | length as u8),
            length @ 126..65_536 => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        let mask = [1, 2, 3, 4];
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        // It fails if the server has closed, which shows.
        let _ = self.0.get_ref().write_all(&frame);
    }

    fn message(&mut self, kind: u8, payload: &[u8]) {
        self.send(0x80 | kind, payload);
    }

    fn next(&mut self) -> (u8, Vec<u8>) {
        let mut bytes = |length| {
            let mut bytes = vec![0; length];
            self.0.read_exact(&mut bytes).map(|()| bytes).expect("a frame")
        };
        let begin = bytes(2);
        let length = match begin[1] {
            126 => u16::from_be_bytes(bytes(2).try_into().expect("two")).into(),
            127 => u64::from_be_bytes(bytes(8).try_into().expect("eight")) as usize,
            length => length.into(),
        };
        assert_eq!(begin[0] & 0xf0, 0x80, "one frame, final");
        (begin[0] & 0xf, bytes(length))
    }

    /// The server closes for this reason; we answer, and it hangs up.
    fn expect_close(mut self, code: u16) {
        let (kind, payload) = self.next();
        assert_eq!((kind, u16::from_be_bytes([payload[0], payload[1]])), (CLOSE, code));
        self.message(CLOSE, &code.to_be_bytes());
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest);
        assert!(rest.is_empty());
    }
}

#[test]
fn messages_come_back_whole_and_in_order() {
    let server = server();
    let clients = (0..8).map(|_| {
        let mut client = Client::connect(server.address());
        thread::spawn(move || {
            for length in [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20] {
                let payload = vec![b'x'; length];
                for kind in [TEXT, BINARY] {
                    client.message(kind, &payload);
                    assert_eq!(client.next(), (kind, payload.clone()));
                }
            }
            // Several on the way, a ping among them, and one in pieces.
            client.message(TEXT, "Größe".as_bytes());
            client.message(PING, b"?");
            client.send(TEXT, b"in ");
            client.message(PING, b"!");
            client.send(0x80, b"pieces");
            assert_eq!(client.next(), (TEXT, "Größe".into()));
            assert_eq!(client.next(), (PONG, b"?".to_vec()));
            assert_eq!(client.next(), (PONG, b"!".to_vec()));
            assert_eq!(client.next(), (TEXT, b"in pieces".to_vec()));
            client.message(CLOSE, &1000_u16.to_be_bytes());
            assert_eq!(client.next(), (CLOSE, 1000_u16.to_be_bytes().to_vec()));
        })
    });
    clients.collect::<Vec<_>>().into_iter().for_each(|client| client.join().expect("no panic"));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn what_breaks_the_protocol_ends_the_connection_only() {
    let server = server();
    let mut large = Client::connect(server.address());
    large.message(TEXT, &vec![b'x'; (1 << 20) + 1]);
    large.expect_close(1009);
    let mut reserved = Client::connect(server.address());
    reserved.message(5, b"");
    reserved.expect_close(1002);
    let mut invalid = Client::connect(server.address());
    invalid.message(TEXT, b"\xff\xfe");
    invalid.expect_close(1007);

    let mut plain = TcpStream::connect(server.address()).expect("it listens");
    plain.write_all(b"GET / HTTP/1.1\r\nHost: us\r\n\r\n").expect("it reads");
    let _ = plain.read_to_end(&mut Vec::new());

    let mut client = Client::connect(server.address());
    client.message(TEXT, b"still there");
    assert_eq!(client.next(), (TEXT, b"still there".to_vec()));
    drop(client);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn clients_are_told_that_the_server_stops() {
    let server = server();
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let mut client = Client::connect(server.address());
            client.message(TEXT, b"hello");
            assert_eq!(client.next(), (TEXT, b"hello".to_vec()));
            client
        })
        .collect();
    server.interrupt();
    clients.into_iter().for_each(|client| client.expect_close(1001));
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn the_client_gets_its_lines_back() {
    let server = server();
    let args = ["--connect", &server.address().to_string()];
    let mut child =
        command("websocket_echo", &std::env::temp_dir(), args).stdin(Stdio::piped()).spawn().expect("it starts");
    let lines = "one\n\ntwo äöü\n";
    child.stdin.take().expect("a pipe").write_all(lines.as_bytes()).expect("it reads");
    assert_output(&finish(child), 0, lines, "");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn arguments_that_make_no_sense_are_refused_with_the_usage() {
    assert_usage(
        "websocket_echo",
        &[&["--listen=x"], &["--listen=127.0.0.1:1", "--connect=127.0.0.1:1"], &["x"], &["--connect"]],
    );
}
