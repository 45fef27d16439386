//! The two green threads of a member: what it says goes to the hub, what the hub says goes to it.

use super::hub::{Event, Line};
use greenlight::channel::{Receiver, Sender, bounded};
use greenlight::net::TcpStream;
use greenlight::{WaitGroup, time::Instant};
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The longest line, with its end.
const LONGEST: u64 = 1000;
/// How long a member may take to say its name, and to take a batch of lines.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Is the reader; starts the writer, for which `writers` waits.
pub fn serve(stream: TcpStream, events: &Sender<Event>, outbox: usize, writers: &WaitGroup) {
    static NEXT: AtomicU64 = AtomicU64::new(0);

    let id = NEXT.fetch_add(1, Relaxed);
    let mut lines = BufReader::new(&stream);
    stream.set_read_deadline(Some(Instant::now() + TIMEOUT));
    let Ok(Some(nick)) = next_line(&mut lines) else { return };
    stream.set_read_deadline(None);

    let (outbox, inbox) = bounded(outbox);
    let (Ok(socket), Ok(door)) = (stream.try_clone(), stream.try_clone()) else { return };
    writers.go(move || {
        // The reader notices, and with it the hub.
        if write_all(&socket, &inbox).is_err() {
            socket.close();
        }
    });
    if events.send(Event::Came { id, nick, outbox, door }).is_err() {
        return;
    }
    let why = loop {
        match next_line(&mut lines) {
            Ok(Some(line)) => {
                if events.send(Event::Said { id, line }).is_err() {
                    return;
                }
            }
            Ok(None) => break "left".to_owned(),
            Err(error) if error.kind() == ErrorKind::InvalidData => break error.to_string(),
            Err(_) => break "was cut off".to_owned(),
        }
    };
    // If the hub has gone, nobody wants to know.
    let _ = events.send(Event::Left { id, why });
}

/// The next line, without what could do harm to a terminal. None at the end.
fn next_line(lines: &mut BufReader<&TcpStream>) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    lines.take(LONGEST).read_until(b'\n', &mut line)?;
    match line.pop() {
        Some(b'\n') => {
            let text = String::from_utf8_lossy(&line);
            Ok(Some(text.chars().filter(|letter| !letter.is_control()).collect::<String>().trim().to_owned()))
        }
        Some(_) if line.len() as u64 == LONGEST - 1 => {
            Err(io::Error::new(ErrorKind::InvalidData, "said more than fits into a line"))
        }
        // Half a line, and the end, is no line.
        _ => Ok(None),
    }
}

/// Writes what is in the outbox until the hub closes it: as many lines at once as there are.
fn write_all(socket: &TcpStream, inbox: &Receiver<Line>) -> io::Result<()> {
    let mut out = BufWriter::new(socket);
    for line in inbox {
        socket.set_write_deadline(Some(Instant::now() + TIMEOUT));
        for line in std::iter::once(line).chain(inbox.try_iter()) {
            writeln!(out, "{line}")?;
        }
        out.flush()?;
    }
    socket.shutdown(Shutdown::Write)
}
