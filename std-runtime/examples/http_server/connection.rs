//! One connection: requests in, answers out, one after the other, until somebody has enough.
//!
//! ```text
//!            the first byte            the last byte
//!   idle ──────────────────▶ receiving ─────────────▶ answering
//!    ▲ │ --idle, or stop         │ --timeout: 408        │ --timeout: cut off
//!    │ └──▶ closed               └──▶ closed             │
//!    └────────────────────────────────── keep-alive ─────┘
//! ```
//!
//! * C1  Only an idle connection is ended by the server's stop: what has begun to come is served. Whether it is idle stands behind a
//!   lock, under which the stop cuts it off, so that no request's deadline is ever the stop's.
//! * C2  Answers are kept until there is no whole request left that has come; so pipelined requests are answered by one system call.

use super::Server;
use super::request::{Framing, Head, LONGEST_HEAD, Method, Piece, parse_chunk, parse_head};
use super::response::{After, BAD_REQUEST, Body, REQUEST_TIMEOUT, Response, Status, TOO_LARGE};
use greenlight::net::TcpStream;
use greenlight::{Mutex, blocking, time::Instant};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// At first, and for most connections for ever.
const SMALL: usize = 2 * 1024;
/// Answers are sent when they are so long together.
const FULL: usize = 64 * 1024;
/// So much of a file is in memory.
const CHUNK: u64 = 128 * 1024;
/// How long, and for how many bytes, we listen to a client that we have refused: who is not listened to does not hear.
const LINGER: Duration = Duration::from_secs(1);
const LONGEST_LINGER: u64 = 4 << 20;

/// Why a connection ends.
enum End {
    /// The client is gone, or was too slow, or there is nothing more to say.
    Gone,
    /// After this answer.
    Refused(Status),
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl From<Status> for End {
    fn from(status: Status) -> Self {
        Self::Refused(status)
    }
}

/// Serves a connection to its end.
pub fn serve(stream: TcpStream, server: &Server) {
    // It fails only if the client is gone, which will show.
    let _ = stream.set_nodelay(true);
    let Ok(door) = stream.try_clone() else { return };
    let idle = Arc::new(Mutex::new(false));
    let is_idle = idle.clone();
    let _on_stop = server.stop.after_func(move || {
        if *is_idle.lock() {
            door.set_read_deadline(Some(Instant::now()));
        }
    });
    let bytes = vec![0; SMALL];
    let mut connection =
        Connection { server, stream: &stream, idle: &idle, bytes, start: 0, end: 0, is_full: false, out: Vec::new() };
    let end = connection.serve();
    if let Err(End::Refused(status)) = end {
        Response::error(status).write(&mut connection.out, Method::Other, After::Close);
        if connection.flush().is_ok() {
            connection.linger();
        }
    }
}

struct Connection<'a> {
    server: &'a Server,
    stream: &'a TcpStream,
    /// C1.
    idle: &'a Mutex<bool>,
    /// What has come and is not yet used: `bytes[start..end]`.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// The last read has filled all there was.
    is_full: bool,
    /// C2.
    out: Vec<u8>,
}

impl Connection<'_> {
    fn serve(&mut self) -> Result<(), End> {
        loop {
            let head = self.head()?;
            let body = self.body(&head)?;
            let response = self.server.routes.answer(self.server, &head, body);
            self.server.answered.fetch_add(1, Relaxed);
            let after = match (head.keep_alive && !self.server.stop.is_done(), head.is_old) {
                (false, _) => After::Close,
                (true, false) => After::KeepAlive,
                (true, true) => After::KeepAliveAndSaySo,
            };
            response.write(&mut self.out, head.method, after);
            match response.body {
                Body::File(file, length) if head.method != Method::Head => self.send_file(file, length)?,
                _ if self.out.len() >= FULL => self.flush()?,
                _ => {}
            }
            if after == After::Close {
                self.flush()?;
                return Ok(());
            }
        }
    }

    /// Waits for a request to begin, and for its head.
    fn head(&mut self) -> Result<Head, End> {
        if self.start == self.end {
            self.flush()?;
            self.stream.set_read_deadline(Some(Instant::now() + self.server.limits.idle));
            *self.idle.lock() = true;
            // The stop may have looked just before.
            if self.server.stop.is_done() {
                return Err(End::Gone);
            }
            let filled = self.fill();
            *self.idle.lock() = false;
            filled?;
        }
        let mut timed = false;
        loop {
            if let Some((length, head)) = parse_head(&self.bytes[self.start..self.end])? {
                self.start += length;
                return Ok(head);
            }
            self.wait(&mut timed)?;
        }
    }

    fn body(&mut self, head: &Head) -> Result<Vec<u8>, End> {
        let limit = self.server.limits.body;
        match head.body {
            Framing::Length(0) => return Ok(Vec::new()),
            Framing::Length(length) if length > limit => return Err(TOO_LARGE.into()),
            _ => {}
        }
        if head.expects_continue && self.start == self.end {
            self.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let (mut body, mut timed) = (Vec::new(), false);
        match head.body {
            Framing::Length(length) => self.take(length, &mut body, &mut timed)?,
            Framing::Chunked => loop {
                match parse_chunk(&self.bytes[self.start..self.end])? {
                    Piece::Partial => self.wait(&mut timed)?,
                    Piece::Chunk { size, .. } if size > limit - body.len() => return Err(TOO_LARGE.into()),
                    Piece::Chunk { line, size } => {
                        self.start += line;
                        self.take(size, &mut body, &mut timed)?;
                        while self.end - self.start < 2 {
                            self.wait(&mut timed)?;
                        }
                        if !self.bytes[self.start..].starts_with(b"\r\n") {
                            return Err(BAD_REQUEST.into());
                        }
                        self.start += 2;
                    }
                    Piece::End(length) => {
                        self.start += length;
                        break;
                    }
                }
            },
        }
        Ok(body)
    }

    /// Moves the next `length` bytes into `body`.
    fn take(&mut self, length: usize, body: &mut Vec<u8>, timed: &mut bool) -> Result<(), End> {
        let mut left = length;
        loop {
            let there = left.min(self.end - self.start);
            body.extend_from_slice(&self.bytes[self.start..self.start + there]);
            self.start += there;
            left -= there;
            if left == 0 {
                return Ok(());
            }
            self.wait(timed)?;
        }
    }

    /// Waits for more of a request. The first wait of each of its parts, as `timed` remembers, sets the deadline for all of it.
    fn wait(&mut self, timed: &mut bool) -> Result<(), End> {
        self.flush()?;
        if !*timed {
            *timed = true;
            self.stream.set_read_deadline(Some(Instant::now() + self.server.limits.timeout));
        }
        self.fill().map_err(|error| match error.kind() {
            ErrorKind::TimedOut => End::Refused(REQUEST_TIMEOUT),
            _ => End::Gone,
        })
    }

    /// Reads what is there, one byte at least.
    fn fill(&mut self) -> io::Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.bytes.len() {
            self.bytes.copy_within(self.start.., 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        // More comes at a time than there is room for. Whoever waits for more knows when it is too much.
        if self.is_full && (self.bytes.len() < LONGEST_HEAD || self.end == self.bytes.len()) {
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
        let read = self.stream.read(&mut self.bytes[self.end..])?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.end += read;
        self.is_full = self.end == self.bytes.len();
        Ok(())
    }

    /// Sends the answers that have come together. Each has so much time.
    fn flush(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            self.stream.set_write_deadline(Some(Instant::now() + self.server.limits.timeout));
            self.stream.write_all(&self.out)?;
            self.out.clear();
        }
        Ok(())
    }

    /// Sends `length` bytes of a file, a piece at a time. Reading is done where it may block.
    fn send_file(&mut self, mut file: File, length: u64) -> io::Result<()> {
        let mut left = length;
        while left > 0 {
            self.flush()?;
            let mut out = std::mem::take(&mut self.out);
            let reading = blocking(move || {
                let read = Read::by_ref(&mut file).take(left.min(CHUNK)).read_to_end(&mut out);
                (read, file, out)
            });
            let read;
            (read, file, self.out) = reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            match read? {
                // It has become shorter than we said.
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                read => left -= read as u64,
            }
        }
        self.flush()
    }

    /// Hears a client out that was refused while it was talking: a connection that is closed with something unread is reset, and
    /// the answer may be lost.
    fn linger(&self) {
        if self.stream.shutdown(Shutdown::Write).is_ok() {
            self.stream.set_read_deadline(Some(Instant::now() + LINGER));
            let _ = io::copy(&mut self.stream.take(LONGEST_LINGER), &mut io::sink());
        }
    }
}
