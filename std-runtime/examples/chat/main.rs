//! A chat server with rooms, and its client.
//!
//! ```text
//!             ┌─────────┐ events  ┌─────┐ outbox ┌────────┐
//!   socket ──▶│  read   │────────▶│     │───────▶│ write  │──▶ socket      of one member
//!             └─────────┘         │ hub │        └────────┘
//!             ┌─────────┐         │     │        ┌────────┐
//!   socket ──▶│  read   │────────▶│     │───────▶│ write  │──▶ socket      of another
//!             └─────────┘         └─────┘        └────────┘
//! ```
//!
//! ```text
//! cargo run --release --example chat -p greenlight -- --listen 127.0.0.1:7000
//! cargo run --release --example chat -p greenlight -- --connect 127.0.0.1:7000 --nick gopher
//! ```
//!
//! Each box is a green thread. The hub owns who is where (hub.rs), so there is no lock, and everybody in a room sees the same lines
//! in the same order. It never waits for a member: a line that finds an outbox full is the end of whoever does not read.
//!
//! | line            | does                                       |
//! |-----------------|--------------------------------------------|
//! | the first one   | is the nickname                            |
//! | `/join ROOM`    | goes to another room; at first, it is `lobby` |
//! | `/nick NAME`    | takes another name                         |
//! | `/who`, `/rooms`| lists the members of the room, the rooms   |
//! | `/quit`         | leaves                                     |
//! | any other       | is said to the room                        |
//!
//! | exit code | means                                                                |
//! |-----------|----------------------------------------------------------------------|
//! | 0         | server: Ctrl-C, everybody has been told. Client: one side has ended it |
//! | 1         | it cannot listen, or cannot connect                                  |
//! | 2         | the arguments make no sense                                          |
//! | 130       | a second Ctrl-C, or one for the client                               |

#[path = "../common"]
mod common {
    pub mod program;
}

mod hub;
mod member;

use common::program::{complain, start};
use greenlight::channel::bounded;
use greenlight::context::Context;
use greenlight::net::{TcpListener, TcpStream};
use greenlight::signal::Signal;
use greenlight::{WaitGroup, go, sleep, stdin};
use hub::Hub;
use lexopt::{Arg, ValueExt};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "\
usage: chat [--listen ADDRESS] [--outbox LINES]
       chat --connect ADDRESS [--nick NAME]

A chat server, until Ctrl-C; or its client, which sends the lines of its input and prints what others say.

  --listen ADDRESS    IP address and port; port 0 is a free one (default: 127.0.0.1:7000)
  --outbox LINES      how far a member may be behind before it is dropped (default: 256)
  --connect ADDRESS   be a client of the server at this address
  --nick NAME         send this line first
  --help              print this
";

/// Lines from members that the hub has not seen. Whoever writes faster waits.
const EVENTS: usize = 1024;
/// How long the last lines may take, when the server stops.
const GRACE: Duration = Duration::from_secs(5);
/// After an accept that failed: descriptors may be back by then.
const PAUSE: Duration = Duration::from_millis(100);

const FAILED: u8 = 1;

fn main() -> ExitCode {
    start(USAGE, Options::parse, |options| greenlight::run(move || run(options)), FAILED)
}

enum Options {
    Server { listen: SocketAddr, outbox: usize },
    Client { connect: SocketAddr, nick: Option<String> },
}

impl Options {
    fn parse(mut args: lexopt::Parser) -> Result<Option<Self>, lexopt::Error> {
        let (mut listen, mut outbox, mut connect, mut nick) = (None, None, None, None);
        while let Some(arg) = args.next()? {
            match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Long("listen") => listen = Some(args.value()?.parse()?),
                Arg::Long("outbox") => outbox = Some(args.value()?.parse()?),
                Arg::Long("connect") => connect = Some(args.value()?.parse()?),
                Arg::Long("nick") => nick = Some(args.value()?.string()?),
                other => return Err(other.unexpected()),
            }
        }
        match (connect, nick) {
            (Some(connect), nick) if listen.is_none() && outbox.is_none() => Ok(Some(Self::Client { connect, nick })),
            (Some(_), _) => Err("either a server or a client".into()),
            (None, Some(_)) => Err("--nick is for a client".into()),
            (None, None) => {
                let listen = listen.unwrap_or_else(|| ([127, 0, 0, 1], 7000).into());
                Ok(Some(Self::Server { listen, outbox: outbox.unwrap_or(256) }))
            }
        }
    }
}

fn run(options: Options) -> io::Result<u8> {
    match options {
        Options::Server { listen, outbox } => {
            let listener = TcpListener::bind(listen).map_err(|error| io::Error::other(format!("{listen}: {error}")))?;
            serve(&listener, outbox)
        }
        Options::Client { connect, nick } => {
            let stream = TcpStream::connect(connect);
            chat(&stream.map_err(|error| io::Error::other(format!("{connect}: {error}")))?, nick)
        }
    }
}

fn serve(listener: &TcpListener, outbox: usize) -> io::Result<u8> {
    let (stop, _) = Context::background().with_signals(&[Signal::INTERRUPT])?;
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;
    let door = listener.try_clone()?;
    let _on_stop = stop.after_func(move || door.close());

    let (events_in, events) = bounded(EVENTS);
    let hub = {
        let stop = stop.clone();
        go(move || Hub::default().run(&events, &stop))
    };
    let writers = WaitGroup::new();
    for stream in listener.incoming() {
        match stream {
            Ok(stream) => {
                let (events, writers) = (events_in.clone(), writers.clone());
                go(move || member::serve(stream, &events, outbox, &writers));
            }
            Err(error) => {
                complain(format_args!("accept: {error}"));
                sleep(PAUSE);
            }
        }
    }
    // The hub has said goodbye and closed the outboxes; what is in them is still written.
    hub.join().unwrap_or_else(|error| error.resume());
    if writers.wait_timeout(GRACE).is_err() {
        complain(format_args!("{} members did not take their last lines", writers.count()));
    }
    Ok(0)
}

/// The client: two directions, two green threads.
fn chat(stream: &TcpStream, nick: Option<String>) -> io::Result<u8> {
    let output = stream.try_clone()?;
    let input = go(move || {
        let mut nick = nick;
        // The end of the input, or of the server.
        while let Some(line) = nick.take().map_or_else(stdin::read_line, |nick| Ok(Some(nick)))? {
            (&output).write_all(format!("{line}\n").as_bytes())?;
        }
        output.shutdown(Shutdown::Write)
    });
    let mut lines = BufReader::new(stream);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        io::stdout().write_all(&line)?;
        line.clear();
    }
    // It may be waiting for somebody to type, for nobody.
    drop(input);
    Ok(0)
}
