//! TLS: a server that sends back what it gets, and its client. The library is rustls, which knows nothing of green threads: it reads
//! from and writes to whatever is `Read` and `Write`.
//!
//! ```text
//!   TcpListener ─▶ TcpStream ─▶ rustls::StreamOwned ─▶ io::copy, back into the same
//!        │         (a green thread for each)
//!   Ctrl-C closes it; who is connected has --grace to end
//! ```
//!
//! ```text
//! cargo run --release --example tls_echo -p greenlight -- --listen 127.0.0.1:7443 --certificate /tmp/echo.pem
//! cargo run --release --example tls_echo -p greenlight -- --connect 127.0.0.1:7443 --certificate /tmp/echo.pem
//! openssl s_client -connect 127.0.0.1:7443 -CAfile /tmp/echo.pem
//! ```
//!
//! The server makes a certificate for `localhost` and 127.0.0.1 when it starts, and leaves it in a file; clients that are given that file
//! believe the server, and no other. The key never leaves the process.
//!
//! | exit code | means                                                                                     |
//! |-----------|-------------------------------------------------------------------------------------------|
//! | 0         | server: Ctrl-C. Client: all lines came back                                               |
//! | 1         | it cannot listen, or cannot connect, or does not believe the server; some were cut off    |
//! | 2         | the arguments make no sense                                                               |
//! | 130       | a second Ctrl-C                                                                           |

mod common {
    pub mod program;
}

use common::program::{complain, start};
use greenlight::context::Context;
use greenlight::net::{TcpListener, TcpStream};
use greenlight::signal::Signal;
use greenlight::time::Instant;
use greenlight::{WaitGroup, fs, sleep, stdin};
use lexopt::{Arg, ValueExt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

const USAGE: &str = "\
usage: tls_echo [--listen ADDRESS] --certificate FILE [--grace SECONDS]
       tls_echo --connect ADDRESS --certificate FILE [--name NAME]

A server that sends back what it gets, by TLS, until Ctrl-C; or its client, which sends the lines of its input.

  --listen ADDRESS      IP address and port; port 0 is a free one (default: 127.0.0.1:7443)
  --connect ADDRESS     be a client of the server at this address
  --certificate FILE    where the server leaves its certificate, and where the client finds it
  --name NAME           what the certificate must be for (default: localhost)
  --grace SECONDS       for those who are connected, after Ctrl-C (default: 5)
  --help                print this
";

/// How long we wait for a byte, or for room for one.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How long a client may take to say hello in full.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// After an accept that failed: descriptors may be back by then.
const PAUSE: Duration = Duration::from_millis(100);
/// On the heap: a green thread's stack is 256 KiB.
const CHUNK: usize = 16 * 1024;

const FAILED: u8 = 1;

fn main() -> ExitCode {
    start(USAGE, Options::parse, |options| greenlight::run(move || run(options)), FAILED)
}

struct Options {
    certificate: PathBuf,
    role: Role,
}

enum Role {
    Server { listen: SocketAddr, grace: Duration },
    Client { connect: SocketAddr, name: ServerName<'static> },
}

impl Options {
    fn parse(mut args: lexopt::Parser) -> Result<Option<Self>, lexopt::Error> {
        let (mut listen, mut connect, mut certificate, mut name, mut grace) = (None, None, None, None, None);
        while let Some(arg) = args.next()? {
            match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Long("listen") => listen = Some(args.value()?.parse()?),
                Arg::Long("connect") => connect = Some(args.value()?.parse()?),
                Arg::Long("certificate") => certificate = Some(args.value()?.into()),
                Arg::Long("name") => name = Some(args.value()?.parse_with(|name| name.to_owned().try_into())?),
                Arg::Long("grace") => {
                    grace =
                        Some(args.value()?.parse_with(|text| match text.parse().map(Duration::try_from_secs_f64) {
                            Ok(Ok(time)) => Ok(time),
                            _ => Err("not a number of seconds"),
                        })?);
                }
                other => return Err(other.unexpected()),
            }
        }
        let role = match connect {
            Some(_) if listen.is_some() || grace.is_some() => return Err("either a server or a client".into()),
            None if name.is_some() => return Err("--name is for a client".into()),
            Some(connect) => {
                let localhost = || ServerName::try_from("localhost").expect("a valid name");
                Role::Client { connect, name: name.unwrap_or_else(localhost) }
            }
            None => Role::Server {
                listen: listen.unwrap_or_else(|| ([127, 0, 0, 1], 7443).into()),
                grace: grace.unwrap_or(Duration::from_secs(5)),
            },
        };
        Ok(Some(Self { certificate: certificate.ok_or("--certificate is missing")?, role }))
    }
}

fn run(options: Options) -> io::Result<u8> {
    match options.role {
        Role::Server { listen, grace } => {
            let listener = TcpListener::bind(listen).map_err(|error| io::Error::other(format!("{listen}: {error}")))?;
            serve(&listener, self_made(&options.certificate)?, grace)
        }
        Role::Client { connect, name } => {
            let stream =
                TcpStream::connect(connect).map_err(|error| io::Error::other(format!("{connect}: {error}")))?;
            talk(stream, believing(&options.certificate)?, name)
        }
    }
}

/// A certificate of our own making, written to `file`, and the key to it.
fn self_made(file: &Path) -> io::Result<Arc<ServerConfig>> {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
    fs::write(file, cert.pem()).map_err(|error| io::Error::other(format!("{}: {error}", file.display())))?;
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key);
    Ok(Arc::new(config.map_err(io::Error::other)?))
}

/// A client that believes the certificate in `file`, and no other.
fn believing(file: &Path) -> io::Result<Arc<ClientConfig>> {
    let named = |error: String| io::Error::other(format!("{}: {error}", file.display()));
    let pem = fs::read(file).map_err(|error| named(error.to_string()))?;
    let certificate = CertificateDer::from_pem_slice(&pem).map_err(|error| named(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate).map_err(|error| named(error.to_string()))?;
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}

fn serve(listener: &TcpListener, config: Arc<ServerConfig>, grace: Duration) -> io::Result<u8> {
    let (stop, _) = Context::background().with_signals(&[Signal::INTERRUPT])?;
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;
    let door = listener.try_clone()?;
    let _on_stop = stop.after_func(move || door.close());

    let connections = WaitGroup::new();
    for stream in listener.incoming() {
        match stream {
            Ok(stream) => {
                let config = config.clone();
                connections.go(move || {
                    let peer = stream.peer_addr();
                    if let (Err(error), Ok(peer)) = (echo(stream, config), peer) {
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
    if connections.wait_timeout(grace).is_err() {
        complain(format_args!("the time of grace is over: {} connections cut off", connections.count()));
        return Ok(FAILED);
    }
    Ok(0)
}

/// Sends back what comes, until the client says that no more will.
fn echo(socket: TcpStream, config: Arc<ServerConfig>) -> io::Result<()> {
    let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
    // A limit for all of the handshake, not for each byte of it.
    socket.set_deadline(Some(Instant::now() + HANDSHAKE));
    while connection.is_handshaking() {
        connection.complete_io(&mut &socket)?;
    }
    socket.set_deadline(None);
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.set_write_timeout(Some(TIMEOUT))?;

    let mut stream = StreamOwned::new(connection, socket);
    let mut chunk = vec![0; CHUNK];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => stream.write_all(&chunk[..length])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    stream.conn.send_close_notify();
    stream.flush()
}

/// The client: a line there, the same line back.
fn talk(socket: TcpStream, config: Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<u8> {
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.set_write_timeout(Some(TIMEOUT))?;
    let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(connection, socket));
    let mut back = String::new();
    while let Some(line) = stdin::read_line()? {
        writeln!(stream.get_mut(), "{line}")?;
        back.clear();
        if stream.read_line(&mut back)? == 0 {
            return Err(io::Error::other("the server has closed the connection"));
        }
        if back.strip_suffix('\n') != Some(&line) {
            return Err(io::Error::other(format!("{back:?} came back for {line:?}")));
        }
        io::stdout().write_all(back.as_bytes())?;
    }
    stream.get_mut().conn.send_close_notify();
    stream.get_mut().flush()?;
    match stream.read_line(&mut back)? {
        0 => Ok(0),
        _ => Err(io::Error::other("more came back than was sent")),
    }
}
