//! WebSockets: a server that sends back each message, and its client. The library is tungstenite, which knows nothing of green
//! threads: it reads from and writes to whatever is `Read` and `Write`.
//!
//! ```text
//!   TcpListener ─▶ TcpStream ─▶ tungstenite::WebSocket ─▶ read, send, read, send …
//!        │         (a green thread for each)
//!   Ctrl-C closes it; reads are cut short, and every client is told that the server goes away
//! ```
//!
//! ```text
//! cargo run --release --example websocket_echo -p greenlight -- --listen 127.0.0.1:7080
//! cargo run --release --example websocket_echo -p greenlight -- --connect 127.0.0.1:7080
//! ```
//!
//! In a browser: `new WebSocket("ws://127.0.0.1:7080").onmessage = m => console.log(m.data)`.
//!
//! | exit code | means                                                                             |
//! |-----------|-----------------------------------------------------------------------------------|
//! | 0         | server: Ctrl-C, and everybody has been told. Client: all lines came back          |
//! | 1         | it cannot listen, or cannot connect; some did not say goodbye                     |
//! | 2         | the arguments make no sense                                                       |
//! | 130       | a second Ctrl-C                                                                   |

mod common {
    pub mod program;
}

use common::program::{complain, start};
use greenlight::context::Context;
use greenlight::net::{TcpListener, TcpStream};
use greenlight::signal::Signal;
use greenlight::time::Instant;
use greenlight::{WaitGroup, sleep, stdin};
use lexopt::{Arg, ValueExt};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;
use tungstenite::protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode};
use tungstenite::{Error, HandshakeError, Message, WebSocket, accept_with_config};

const USAGE: &str = "\
usage: websocket_echo [--listen ADDRESS]
       websocket_echo --connect ADDRESS

A WebSocket server that sends back each message, until Ctrl-C; or its client, which sends the lines of its input.

  --listen ADDRESS    IP address and port; port 0 is a free one (default: 127.0.0.1:7080)
  --connect ADDRESS   be a client of the server at this address
  --help              print this
";

/// How long the HTTP request at the beginning may take, and the goodbye at the end.
const TIMEOUT: Duration = Duration::from_secs(5);
const LONGEST_MESSAGE: usize = 1 << 20;
/// How much we hear of a client that we have refused.
const LONGEST_LINGER: u64 = 4 << 20;
/// After an accept that failed: descriptors may be back by then.
const PAUSE: Duration = Duration::from_millis(100);

const FAILED: u8 = 1;

fn main() -> ExitCode {
    start(USAGE, Options::parse, |options| greenlight::run(move || run(options)), FAILED)
}

enum Options {
    Server(SocketAddr),
    Client(SocketAddr),
}

impl Options {
    fn parse(mut args: lexopt::Parser) -> Result<Option<Self>, lexopt::Error> {
        let (mut listen, mut connect) = (None, None);
        while let Some(arg) = args.next()? {
            match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Long("listen") => listen = Some(args.value()?.parse()?),
                Arg::Long("connect") => connect = Some(args.value()?.parse()?),
                other => return Err(other.unexpected()),
            }
        }
        match (listen, connect) {
            (Some(_), Some(_)) => Err("either a server or a client".into()),
            (None, Some(connect)) => Ok(Some(Self::Client(connect))),
            (listen, None) => Ok(Some(Self::Server(listen.unwrap_or_else(|| ([127, 0, 0, 1], 7080).into())))),
        }
    }
}

fn run(options: Options) -> io::Result<u8> {
    match options {
        Options::Server(address) => {
            let listener = TcpListener::bind(address);
            serve(&listener.map_err(|error| io::Error::other(format!("{address}: {error}")))?)
        }
        Options::Client(address) => {
            let stream = TcpStream::connect(address);
            talk(stream.map_err(|error| io::Error::other(format!("{address}: {error}")))?, address)
        }
    }
}

fn serve(listener: &TcpListener) -> io::Result<u8> {
    let (stop, _) = Context::background().with_signals(&[Signal::INTERRUPT])?;
    writeln!(io::stdout(), "listening on ws://{}/", listener.local_addr()?)?;
    let door = listener.try_clone()?;
    let _on_stop = stop.after_func(move || door.close());

    let connections = WaitGroup::new();
    for stream in listener.incoming() {
        match stream {
            Ok(stream) => {
                let stop = stop.clone();
                connections.go(move || {
                    let peer = stream.peer_addr();
                    if let (Err(error), Ok(peer)) = (echo(stream, &stop), peer) {
                        complain(format_args!("{peer}: {error}"));
                    }
                });
            }
            Err(error) => {
                complain(format_args!("accept: {error}"));
                sleep(PAUSE);
            }
        }
    }
    if connections.wait_timeout(TIMEOUT * 2).is_err() {
        complain(format_args!("{} clients did not say goodbye", connections.count()));
        return Ok(FAILED);
    }
    Ok(0)
}

/// Sends back what comes, until one side closes.
fn echo(stream: TcpStream, stop: &Context) -> Result<(), Error> {
    let door = stream.try_clone()?;
    door.set_deadline(Some(Instant::now() + TIMEOUT));
    let limits =
        WebSocketConfig::default().max_message_size(Some(LONGEST_MESSAGE)).max_frame_size(Some(LONGEST_MESSAGE));
    let mut socket = accept_with_config(stream, Some(limits)).map_err(|error| match error {
        HandshakeError::Failure(error) => error,
        // As it says when the deadline has passed.
        HandshakeError::Interrupted(_) => Error::Io(ErrorKind::TimedOut.into()),
    })?;
    door.set_deadline(None);
    let interrupted = door.try_clone()?;
    let _on_stop = stop.after_func(move || interrupted.set_read_deadline(Some(Instant::now())));

    let end = loop {
        match socket.read() {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                door.set_write_deadline(Some(Instant::now() + TIMEOUT));
                socket.send(message)?;
            }
            // A ping is answered by the library, with what is sent next; so it is sent now.
            Ok(_) => {
                if let Err(error) = socket.flush() {
                    break error;
                }
            }
            Err(error) => break error,
        }
    };
    let (code, reason) = match end {
        Error::ConnectionClosed => return Ok(()),
        Error::Io(_) if stop.is_done() => (CloseCode::Away, "the server stops".to_owned()),
        Error::Capacity(error) => (CloseCode::Size, error.to_string()),
        Error::Protocol(error) => (CloseCode::Protocol, error.to_string()),
        Error::Utf8(error) => (CloseCode::Invalid, error),
        other => return Err(other),
    };
    door.set_deadline(Some(Instant::now() + TIMEOUT));
    let farewell = CloseFrame { code, reason: reason.into() };
    if code == CloseCode::Away {
        return say_goodbye(&mut socket, farewell);
    }
    // Nobody can tell any more where its next message begins: it is heard out, so that it hears us, and not understood.
    socket.close(Some(farewell))?;
    door.shutdown(Shutdown::Write)?;
    io::copy(&mut (&door).take(LONGEST_LINGER), &mut io::sink())?;
    Ok(())
}

/// Closes, and waits until the other side has closed, too.
fn say_goodbye(socket: &mut WebSocket<TcpStream>, farewell: CloseFrame) -> Result<(), Error> {
    let mut said = socket.close(Some(farewell));
    while said.is_ok() {
        said = socket.read().map(drop);
    }
    match said {
        Err(Error::ConnectionClosed) => Ok(()),
        other => other,
    }
}

/// The client: a line there, the same line back.
fn talk(stream: TcpStream, address: SocketAddr) -> io::Result<u8> {
    let (mut socket, _) = tungstenite::client(format!("ws://{address}/"), stream).map_err(io::Error::other)?;
    while let Some(line) = stdin::read_line()? {
        socket.send(line.as_str().into()).map_err(io::Error::other)?;
        let back = loop {
            match socket.read().map_err(io::Error::other)? {
                Message::Text(text) => break text,
                Message::Close(Some(frame)) => {
                    return Err(io::Error::other(format!("the server has closed: {}", frame.reason)));
                }
                _ => {}
            }
        };
        if back.as_str() != line {
            return Err(io::Error::other(format!("{back:?} came back for {line:?}")));
        }
        writeln!(io::stdout(), "{back}")?;
    }
    let farewell = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    say_goodbye(&mut socket, farewell).map_err(io::Error::other)?;
    Ok(0)
}
