//! What a client sends: a head, as httparse reads it, and a body of a length that is told before, or in chunks.

use super::response::{BAD_REQUEST, HEAD_TOO_LARGE, NOT_IMPLEMENTED, Status, TOO_LARGE, VERSION_NOT_SUPPORTED};
use httparse::{EMPTY_HEADER, Status::*};

/// The longest head, and the longest trailer.
pub const LONGEST_HEAD: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;
/// The longest line that tells the size of a chunk.
const LONGEST_SIZE: usize = 1024;

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Method {
    Get,
    Head,
    Post,
    Other,
}

#[derive(Debug)]
pub struct Head {
    pub method: Method,
    /// Path and query.
    pub target: String,
    pub content_type: Option<String>,
    pub keep_alive: bool,
    /// HTTP/1.0, where keeping the connection must be said.
    pub is_old: bool,
    /// It waits for a word before it sends the body.
    pub expects_continue: bool,
    pub body: Framing,
}

/// How to find the end of a body.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Framing {
    Length(usize),
    Chunked,
}

/// The head at the beginning of `bytes` and how long it is, or None if there is more to come.
///
/// # Errors
///
/// With what to answer before closing: from here on, nobody knows where the next request begins.
pub fn parse_head(bytes: &[u8]) -> Result<Option<(usize, Head)>, Status> {
    let mut headers = [EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(Complete(length)) => length,
        Ok(Partial) if bytes.len() >= LONGEST_HEAD => return Err(HEAD_TOO_LARGE),
        Ok(Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(HEAD_TOO_LARGE),
        Err(httparse::Error::Version) => return Err(VERSION_NOT_SUPPORTED),
        Err(_) => return Err(BAD_REQUEST),
    };
    if length > LONGEST_HEAD {
        return Err(HEAD_TOO_LARGE);
    }
    let is_old = request.version == Some(0);
    let mut head = Head {
        method: match request.method {
            Some("GET") => Method::Get,
            Some("HEAD") => Method::Head,
            Some("POST") => Method::Post,
            _ => Method::Other,
        },
        target: request.path.unwrap_or_default().to_owned(),
        content_type: None,
        keep_alive: !is_old,
        is_old,
        expects_continue: false,
        body: Framing::Length(0),
    };
    let (mut length_told, mut hosts) = (None, 0);
    for header in request.headers.iter() {
        let value = header.value.trim_ascii();
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            let number = parse_length(value).ok_or(BAD_REQUEST)?;
            // Two that differ are an attack on whoever reads the other one.
            if length_told.is_some_and(|before| before != number) {
                return Err(BAD_REQUEST);
            }
            length_told = Some(number);
        } else if is("transfer-encoding") {
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(NOT_IMPLEMENTED);
            }
            if head.body == Framing::Chunked || is_old {
                return Err(BAD_REQUEST);
            }
            head.body = Framing::Chunked;
        } else if is("connection") {
            for word in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                head.keep_alive &= !word.eq_ignore_ascii_case(b"close");
                head.keep_alive |= is_old && word.eq_ignore_ascii_case(b"keep-alive");
            }
        } else if is("expect") {
            head.expects_continue = !is_old && value.eq_ignore_ascii_case(b"100-continue");
        } else if is("content-type") {
            head.content_type = str::from_utf8(value).ok().map(str::to_owned);
        } else if is("host") {
            hosts += 1;
        }
    }
    match (head.body, length_told) {
        // Either might be believed by somebody on the way: the same attack.
        (Framing::Chunked, Some(_)) => return Err(BAD_REQUEST),
        (Framing::Length(_), Some(number)) => head.body = Framing::Length(number),
        _ => {}
    }
    if hosts != 1 && !(is_old && hosts == 0) {
        return Err(BAD_REQUEST);
    }
    Ok(Some((length, head)))
}

/// Digits and nothing else. (Rust's own `parse` takes a plus sign.)
fn parse_length(value: &[u8]) -> Option<usize> {
    let digits = value.iter().all(u8::is_ascii_digit);
    str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

/// What stands at the beginning of `bytes` in a body that comes in chunks.
#[derive(PartialEq, Debug)]
pub enum Piece {
    /// Not enough to tell.
    Partial,
    /// So many bytes of the line that tells the size, and that size, over which a line end follows.
    Chunk { line: usize, size: usize },
    /// The end, so many bytes long: the last chunk, and the trailer.
    End(usize),
}

/// # Errors
///
/// As [`parse_head`].
pub fn parse_chunk(bytes: &[u8]) -> Result<Piece, Status> {
    let (line, size) = match httparse::parse_chunk_size(bytes) {
        Ok(Complete(found)) => found,
        Ok(Partial) if bytes.len() < LONGEST_SIZE => return Ok(Piece::Partial),
        _ => return Err(BAD_REQUEST),
    };
    if size > 0 {
        let size = usize::try_from(size).map_err(|_| TOO_LARGE)?;
        return Ok(Piece::Chunk { line, size });
    }
    let mut trailer = [EMPTY_HEADER; MOST_HEADERS];
    match httparse::parse_headers(&bytes[line..], &mut trailer) {
        Ok(Complete((length, _))) => Ok(Piece::End(line + length)),
        Ok(Partial) if bytes.len() < LONGEST_HEAD => Ok(Piece::Partial),
        Ok(Partial) | Err(httparse::Error::TooManyHeaders) => Err(HEAD_TOO_LARGE),
        Err(_) => Err(BAD_REQUEST),
    }
}
