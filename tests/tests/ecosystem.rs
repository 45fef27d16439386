//! Libraries that know nothing of green threads, on a thousand connections at once: TLS by rustls, WebSockets by tungstenite, a
//! database by the redis client. They read from and write to whatever is `Read` and `Write`, and block as on an OS thread.
//!
//! Both ends are green threads, first of one worker, then of several. All clients are connected, and each has had an answer, before the
//! first of them goes on; so whoever blocked a worker instead of a green thread would wait for ever.

use greenlight::net::{TcpListener, TcpStream};
use greenlight::{Mutex, WaitGroup, go};
use greenlight_tests::on_workers;
use redis::{Commands, ConnectionLike, RedisResult, Value};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::{Arc, LazyLock};
use tungstenite::Message;

const CLIENTS: usize = 1_000;

/// Connects all clients to as many servers. A client is given its number, its connection, and what to call when it has had an
/// answer; that returns when all have. `serve` ends with its connection.
fn all_at_once(
    serve: impl Fn(TcpStream) + Copy + Send + 'static,
    talk: impl Fn(usize, TcpStream, &dyn Fn()) + Copy + Send + 'static,
) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("up to the maximum everybody may");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    rustix::net::listen(&listener, CLIENTS as i32).expect("a longer queue");
    let listener = TcpListener::from_std(listener).expect("a socket");
    let (address, door) = (listener.local_addr().expect("bound"), listener.try_clone().expect("another handle"));

    let servers = WaitGroup::new();
    let accepting = {
        let servers = servers.clone();
        go(move || {
            for stream in listener.incoming() {
                let stream = stream.expect("a connection");
                servers.go(move || serve(stream));
            }
        })
    };
    // Not a barrier: a client that panics must not keep the others.
    let not_ready = WaitGroup::new();
    not_ready.add(CLIENTS);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (not_ready, ready) = (not_ready.clone(), not_ready.done_on_drop());
            go(move || {
                let ready = std::cell::Cell::new(Some(ready));
                let wait_for_all = || {
                    drop(ready.take());
                    not_ready.wait();
                };
                talk(number, TcpStream::connect(address).expect("a connection"), &wait_for_all);
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().expect("the client succeeds"));
    door.close();
    accepting.join().expect("no panic");
    servers.wait();
}

/// What number `number` says: some of it longer than a TLS record, and than what a socket holds.
fn message(number: usize, turn: usize) -> Vec<u8> {
    let length = if number.is_multiple_of(100) { 300_000 } else { number * 7 % 5_000 + 1 };
    (0..length).map(|at| (at * 31 + number + turn) as u8).collect()
}

#[test]
fn rustls_does_a_thousand_handshakes_and_echoes() {
    static CONFIGS: LazyLock<(Arc<ServerConfig>, Arc<ClientConfig>)> = LazyLock::new(|| {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let server = ServerConfig::builder().with_no_client_auth();
        let server = server.with_single_cert(vec![made.cert.der().clone()], key).expect("they belong together");
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).expect("a certificate");
        let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        (Arc::new(server), Arc::new(client))
    });

    fn serve(socket: TcpStream) {
        let connection = ServerConnection::new(CONFIGS.0.clone()).expect("a connection");
        let mut stream = StreamOwned::new(connection, socket);
        let mut chunk = vec![0; 4096];
        loop {
            match stream.read(&mut chunk).expect("what the client has sent") {
                0 => break,
                length => stream.write_all(&chunk[..length]).expect("it reads"),
            }
        }
        stream.conn.send_close_notify();
        stream.flush().expect("it reads");
    }

    fn talk(number: usize, socket: TcpStream, wait_for_all: &dyn Fn()) {
        let name = ServerName::try_from("localhost").expect("a valid name");
        let connection = ClientConnection::new(CONFIGS.1.clone(), name).expect("a connection");
        let mut stream = StreamOwned::new(connection, socket);
        for turn in 0..3 {
            // A piece at a time: we do not read while we write, and neither does the server.
            for piece in message(number, turn).chunks(10_000) {
                stream.write_all(piece).expect("it reads");
                let mut back = vec![0; piece.len()];
                stream.read_exact(&mut back).expect("it answers");
                assert_eq!(back, piece);
            }
            if turn == 0 {
                wait_for_all();
            }
        }
        stream.conn.send_close_notify();
        stream.flush().expect("it reads");
        assert_eq!(stream.read(&mut [0]).expect("an end in peace"), 0);
    }

    LazyLock::force(&CONFIGS); // on this OS thread: nothing here may wait for it
    on_workers(|| all_at_once(serve, talk));
}

#[test]
fn tungstenite_echoes_for_a_thousand() {
    fn serve(stream: TcpStream) {
        let mut socket = tungstenite::accept(stream).expect("a handshake");
        loop {
            match socket.read() {
                Ok(message @ Message::Binary(_)) => socket.send(message).expect("it reads"),
                Ok(other) => assert!(other.is_close(), "{other:?}"),
                Err(error) => break assert!(matches!(error, tungstenite::Error::ConnectionClosed), "{error}"),
            }
        }
    }

    fn talk(number: usize, stream: TcpStream, wait_for_all: &dyn Fn()) {
        let (mut socket, _) = tungstenite::client("ws://localhost/", stream).expect("a handshake");
        for turn in 0..3 {
            let message = Message::binary(message(number, turn));
            socket.send(message.clone()).expect("it reads");
            assert!(socket.read().expect("it answers") == message);
            if turn == 0 {
                wait_for_all();
            }
        }
        socket.close(None).expect("it reads");
        let end = loop {
            if let Err(error) = socket.read() {
                break error;
            }
        };
        assert!(matches!(end, tungstenite::Error::ConnectionClosed), "{end}");
    }

    on_workers(|| all_at_once(serve, talk));
}

/// A client of the redis crate, by the door it has for connections of another kind: all its commands come along.
struct Redis {
    stream: TcpStream,
    parser: redis::Parser,
}

impl ConnectionLike for Redis {
    fn req_packed_command(&mut self, command: &[u8]) -> RedisResult<Value> {
        self.stream.write_all(command)?;
        self.parser.parse_value(&self.stream)
    }

    fn req_packed_commands(&mut self, commands: &[u8], offset: usize, count: usize) -> RedisResult<Vec<Value>> {
        self.stream.write_all(commands)?;
        let answers = (0..offset + count).map(|_| self.parser.parse_value(&self.stream));
        Ok(answers.collect::<RedisResult<Vec<_>>>()?.split_off(offset))
    }

    fn get_db(&self) -> i64 {
        0
    }

    fn check_connection(&mut self) -> bool {
        redis::cmd("PING").exec(self).is_ok()
    }

    fn is_open(&self) -> bool {
        !self.stream.is_closed()
    }
}

#[test]
fn the_redis_client_runs_a_thousand_times() {
    static STORE: Mutex<Option<HashMap<Vec<u8>, Vec<u8>>>> = Mutex::new(None);

    /// As much of a database as is needed here: the protocol is Redis's.
    fn serve(stream: TcpStream) {
        let mut input = BufReader::new(&stream);
        while let Some(command) = next_command(&mut input).expect("a command") {
            let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
            // The lock is given back before the answer is written.
            let answer = {
                let mut store = STORE.lock();
                let store = store.get_or_insert_default();
                match words[..] {
                    [b"PING"] => b"+PONG\r\n".to_vec(),
                    [b"SET", key, value] => {
                        store.insert(key.to_owned(), value.to_owned());
                        b"+OK\r\n".to_vec()
                    }
                    [b"GET", key] => match store.get(key) {
                        Some(value) => [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat(),
                        None => b"$-1\r\n".to_vec(),
                    },
                    [b"INCRBY", key, by] => {
                        let number = |text: &[u8]| str::from_utf8(text).ok()?.parse::<i64>().ok();
                        let sum = store.get(key).map_or(Some(0), |value| number(value)).zip(number(by));
                        match sum.map(|(value, by)| (value + by).to_string()) {
                            Some(sum) => {
                                store.insert(key.to_owned(), sum.clone().into());
                                format!(":{sum}\r\n").into_bytes()
                            }
                            None => b"-ERR value is not an integer\r\n".to_vec(),
                        }
                    }
                    _ => b"-ERR unknown command\r\n".to_vec(),
                }
            };
            (&stream).write_all(&answer).expect("it reads");
        }
    }

    /// An array of strings. None at the end of the connection.
    fn next_command(input: &mut impl BufRead) -> io::Result<Option<Vec<Vec<u8>>>> {
        let mut line = String::new();
        let mut length = |input: &mut dyn BufRead, mark| {
            line.clear();
            input.read_line(&mut line)?;
            let number = line.strip_prefix(mark).and_then(|rest| rest.trim_end().parse::<usize>().ok());
            if number.is_none() && !line.is_empty() {
                return Err(io::Error::other(format!("{line:?}")));
            }
            Ok(number)
        };
        let Some(words) = length(input, '*')? else { return Ok(None) };
        let word = |_| {
            let length = length(input, '$')?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let mut word = vec![0; length + 2];
            input.read_exact(&mut word)?;
            word.truncate(length);
            Ok(word)
        };
        (0..words).map(word).collect::<io::Result<_>>().map(Some)
    }

    fn talk(number: usize, stream: TcpStream, wait_for_all: &dyn Fn()) {
        let mut redis = Redis { stream, parser: redis::Parser::new() };
        let key = format!("key {number}");
        let value = message(number, 0);
        let () = redis.set(&key, &value).expect("it is stored");
        wait_for_all();
        assert_eq!(redis.get::<_, Vec<u8>>(&key).expect("it is there"), value);
        assert_eq!(redis.get::<_, Option<i64>>("nothing").expect("an answer"), None);
        let error = redis.incr::<_, _, i64>(&key, 1).expect_err("no number");
        assert!(error.to_string().contains("not an integer"), "{error}");
        for _ in 0..5 {
            let sum: i64 = redis.incr("sum", 1).expect("a number");
            assert!(sum > 0);
        }
        let (before, after): (i64, i64) = redis::pipe()
            .incr("sum", 2)
            .set("other", number)
            .ignore()
            .incr("sum", 3)
            .query(&mut redis)
            .expect("numbers");
        assert!(after >= before + 3);
        assert!(redis.check_connection() && redis.is_open());
    }

    on_workers(|| {
        *STORE.lock() = None;
        all_at_once(serve, talk);
        let sum = STORE.lock().as_ref().and_then(|store| store.get(&b"sum"[..]).cloned());
        assert_eq!(
            sum.map(String::from_utf8),
            Some(Ok((CLIENTS * 10).to_string())),
            "nothing was lost, and nothing twice"
        );
    });
}
