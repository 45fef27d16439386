//! Which TCP ports of this machine somebody listens on.
//!
//! ```text
//!            permit              go                          channel
//!   ports ───────────▶ scan ──────────▶ connect, or time out ──────────▶ report ─▶ sorted list
//!           --at-once                   (so many at a time)
//!   Ctrl-C ends the context: no port is begun any more, and those at work are waited for, not longer than --timeout
//! ```
//!
//! ```text
//! cargo run --release --example port_scanner -p greenlight -- --ports 1-65535 localhost
//! ```
//!
//! It refuses to look at any other machine: who scans those needs their owner's permission, and a better tool.
//!
//! | exit code | means                                                              |
//! |-----------|--------------------------------------------------------------------|
//! | 0         | all ports were looked at                                           |
//! | 1         | some could not be: for want of descriptors, say                    |
//! | 2         | the arguments make no sense, or HOST is not this machine           |
//! | 130       | Ctrl-C: what was found is printed; a second one ends it at once    |
//! | 141       | nobody reads stdout any more                                       |

mod common {
    pub mod program;
    pub mod progress;
}

use common::program::{USAGE_ERROR, complain, start};
use common::progress;
use greenlight::channel::{Receiver, Sender, bounded};
use greenlight::context::Context;
use greenlight::net::{TcpStream, lookup_host};
use greenlight::signal::Signal;
use greenlight::{Semaphore, go, scope};
use indicatif::ProgressBar;
use lexopt::{Arg, ValueExt};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "\
usage: port_scanner [OPTIONS] [HOST]

Prints the TCP ports of HOST that accept connections. HOST must be this machine (default: 127.0.0.1).

  --ports LIST      such as 22,80,8000-8999 (default: 1-1024)
  --at-once N       try N ports at a time (default: 256)
  --timeout MS      how long to wait for an answer (default: 1000)
  --help            print this
";

const FAILED: u8 = 1;
/// As if SIGINT had ended us.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    start(USAGE, Options::parse, |options| greenlight::run(move || run(&options)), FAILED)
}

struct Options {
    host: String,
    /// In order, each once.
    ports: Vec<u16>,
    at_once: usize,
    timeout: Duration,
}

impl Options {
    fn parse(mut args: lexopt::Parser) -> Result<Option<Self>, lexopt::Error> {
        let (mut host, mut ports) = (None, (1..=1024).collect());
        let (mut at_once, mut timeout) = (256, Duration::from_secs(1));
        while let Some(arg) = args.next()? {
            match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Long("ports") => ports = args.value()?.parse_with(parse_ports)?,
                Arg::Long("at-once") => {
                    at_once = args.value()?.parse_with(|text| match text.parse() {
                        Ok(number @ 1..=65_536) => Ok(number),
                        _ => Err("not a number from 1 to 65536"),
                    })?;
                }
                Arg::Long("timeout") => timeout = Duration::from_millis(args.value()?.parse()?),
                Arg::Value(name) if host.is_none() => host = Some(name.string()?),
                other => return Err(other.unexpected()),
            }
        }
        Ok(Some(Self { host: host.unwrap_or_else(|| "127.0.0.1".into()), ports, at_once, timeout }))
    }
}

fn parse_ports(list: &str) -> Result<Vec<u16>, &'static str> {
    let port =
        |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or("a port is a number from 1 to 65535");
    let mut ports = Vec::new();
    for item in list.split(',') {
        match item.split_once('-') {
            Some((first, last)) => {
                let (first, last) = (port(first)?, port(last)?);
                if first > last {
                    return Err("the first port of a range comes before the last");
                }
                ports.extend(first..=last);
            }
            None => ports.push(port(item)?),
        }
    }
    ports.sort_unstable();
    ports.dedup();
    Ok(ports)
}

/// The whole job but for the arguments. Returns the exit code.
fn run(options: &Options) -> io::Result<u8> {
    let Options { host, ports, at_once, timeout } = options;
    // The port does not matter.
    let addresses = lookup_host((host.as_str(), 0)).map_err(|error| io::Error::other(format!("{host}: {error}")))?;
    let mut address = None;
    for found in addresses.map(|address| address.ip()) {
        // All of them: a name that leads to this machine and to others is no name of this machine.
        if !found.to_canonical().is_loopback() {
            complain(format_args!("{host} is {found}, which is not this machine: only loopback addresses are scanned"));
            return Ok(USAGE_ERROR);
        }
        address.get_or_insert(found);
    }
    let Some(address) = address else { return Err(io::Error::other(format!("{host}: no address"))) };

    let (ctx, _) = Context::background().with_signals(&[Signal::INTERRUPT])?;
    let bar = progress::bar("ports");
    bar.set_length(ports.len() as u64);
    let (answers_in, answers) = bounded(*at_once);
    let reporter = {
        let bar = bar.clone();
        go(move || Report::collect(&answers, &bar))
    };
    scan(&ctx, address, ports, *at_once, *timeout, answers_in);
    let report = reporter.join().unwrap_or_else(|error| error.resume());
    bar.finish_and_clear();
    report.print(address, ports.len())?;
    Ok(match (ctx.is_done(), report.failed) {
        (true, _) => INTERRUPTED,
        (false, 0) => 0,
        (false, _) => FAILED,
    })
}

type Answer = (u16, io::Result<()>);

/// Tries all ports, `at_once` at a time, until the context ends.
fn scan(ctx: &Context, address: IpAddr, ports: &[u16], at_once: usize, timeout: Duration, answers: Sender<Answer>) {
    let permits = Semaphore::new(at_once);
    // Its tasks borrow what is ours, and it waits for them.
    scope(|scope| {
        for &port in ports {
            // Before the green thread, not in it: so there are never more of them than are at work.
            let Ok(permit) = permits.acquire(1) else { return };
            if ctx.is_done() {
                return;
            }
            let answers = answers.clone();
            scope.spawn(move || {
                let answer = connect(SocketAddr::new(address, port), timeout);
                drop(permit);
                let _ = answers.send((port, answer));
            });
        }
    });
}

/// Whether somebody accepts connections there.
fn connect(address: SocketAddr, timeout: Duration) -> io::Result<()> {
    let stream = TcpStream::connect_timeout(&address, timeout)?;
    // Nobody listens, but the system gave us the very port that we try: TCP then connects us with ourselves.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(ErrorKind::ConnectionRefused.into());
    }
    Ok(())
}

#[derive(Default)]
struct Report {
    open: Vec<u16>,
    closed: usize,
    silent: usize,
    failed: usize,
}

impl Report {
    fn collect(answers: &Receiver<Answer>, bar: &ProgressBar) -> Self {
        let mut report = Self::default();
        for (port, answer) in answers {
            match answer {
                Ok(()) => report.open.push(port),
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => report.closed += 1,
                Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) => report.silent += 1,
                Err(error) => {
                    report.failed += 1;
                    bar.suspend(|| complain(format_args!("port {port}: {error}")));
                }
            }
            bar.inc(1);
        }
        report.open.sort_unstable();
        report
    }

    fn print(&self, address: IpAddr, ports: usize) -> io::Result<()> {
        let Self { open, closed, silent, failed } = self;
        let mut stdout = BufWriter::new(io::stdout().lock());
        for port in open {
            writeln!(stdout, "{}", SocketAddr::new(address, *port))?;
        }
        stdout.flush()?;
        let done = open.len() + closed + silent + failed;
        let counts = format!("{} open, {closed} closed, {silent} silent, {failed} failed", open.len());
        let _ = writeln!(io::stderr(), "{done} of {ports} ports of {address}: {counts}");
        Ok(())
    }
}
