//! What a client gets.

use super::request::Method;
use std::borrow::Cow;
use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// The number, and what people call it.
pub type Status = (u16, &'static str);

pub const OK: Status = (200, "OK");
pub const BAD_REQUEST: Status = (400, "Bad Request");
pub const NOT_FOUND: Status = (404, "Not Found");
pub const METHOD_NOT_ALLOWED: Status = (405, "Method Not Allowed");
pub const REQUEST_TIMEOUT: Status = (408, "Request Timeout");
pub const TOO_LARGE: Status = (413, "Content Too Large");
pub const HEAD_TOO_LARGE: Status = (431, "Request Header Fields Too Large");
pub const INTERNAL_ERROR: Status = (500, "Internal Server Error");
pub const NOT_IMPLEMENTED: Status = (501, "Not Implemented");
pub const VERSION_NOT_SUPPORTED: Status = (505, "HTTP Version Not Supported");

pub struct Response {
    pub status: Status,
    pub content_type: Cow<'static, str>,
    pub body: Body,
    /// With `METHOD_NOT_ALLOWED`: those that are.
    pub allow: &'static str,
}

pub enum Body {
    Bytes(Cow<'static, [u8]>),
    /// So many bytes of it.
    File(File, u64),
}

impl Body {
    fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, length) => *length,
        }
    }
}

/// What becomes of the connection after an answer.
#[derive(Clone, Copy, PartialEq)]
pub enum After {
    Close,
    KeepAlive,
    /// As an HTTP/1.0 client has to be told.
    KeepAliveAndSaySo,
}

impl Response {
    pub fn text(body: impl Into<Cow<'static, str>>) -> Self {
        let body = match body.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Self { status: OK, content_type: "text/plain; charset=utf-8".into(), body: Body::Bytes(body), allow: "" }
    }

    /// Says what went wrong, and nothing else.
    pub fn error(status: Status) -> Self {
        Self { status, ..Self::text(format!("{} {}\n", status.0, status.1)) }
    }

    /// Adds the head to `out`, and the body if it is one of bytes and wanted. What is in a file is for the caller to send.
    pub fn write(&self, out: &mut Vec<u8>, method: Method, after: After) {
        let (number, words) = self.status;
        // Writing to memory does not fail.
        let _ = write!(out, "HTTP/1.1 {number} {words}\r\nDate: ");
        write_date(out);
        let (content_type, length) = (&self.content_type, self.body.len());
        let _ = write!(out, "\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n");
        if !self.allow.is_empty() {
            let _ = write!(out, "Allow: {}\r\n", self.allow);
        }
        out.extend_from_slice(match after {
            After::Close => b"Connection: close\r\n\r\n",
            After::KeepAlive => b"\r\n",
            After::KeepAliveAndSaySo => b"Connection: keep-alive\r\n\r\n",
        });
        if let (Body::Bytes(bytes), false) = (&self.body, method == Method::Head) {
            out.extend_from_slice(bytes);
        }
    }
}

/// The date as HTTP wants it. Written once a second, on each worker: nothing here waits, so no other green thread comes between.
fn write_date(out: &mut Vec<u8>) {
    thread_local! {
        static DATE: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    DATE.with_borrow_mut(|(written, date)| {
        if *written != second {
            (*written, *date) = (second, httpdate::fmt_http_date(now));
        }
        out.extend_from_slice(date.as_bytes());
    });
}
