//! One page: a connection, a request, an answer.

use super::url::Url;
use greenlight::net::TcpStream;
use greenlight::time::Instant;
use httparse::{EMPTY_HEADER, Status::*};
use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

/// For all of it: who sends a byte now and then gets no more.
const TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST_PAGE: u64 = 8 << 20;
const MOST_HEADERS: usize = 100;

pub struct Page {
    pub status: u16,
    pub is_html: bool,
    /// Where it has moved.
    pub location: Option<String>,
    pub body: Vec<u8>,
}

pub fn fetch(url: &Url) -> io::Result<Page> {
    let mut stream = TcpStream::connect_timeout(&url.site, TIMEOUT)?;
    stream.set_deadline(Some(Instant::now() + TIMEOUT));
    // HTTP/1.0: the body ends with the connection, and does not come in chunks.
    let request = format!("GET {} HTTP/1.0\r\nHost: {}\r\nUser-Agent: greenlight-crawler\r\n\r\n", url.path, url.site);
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LONGEST_PAGE).read_to_end(&mut answer)?;
    parse(answer)
}

fn parse(mut answer: Vec<u8>) -> io::Result<Page> {
    let invalid = |what: &str| io::Error::new(ErrorKind::InvalidData, what);
    let mut headers = [EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let length = match head.parse(&answer) {
        Ok(Complete(length)) => length,
        Ok(Partial) => return Err(ErrorKind::UnexpectedEof.into()),
        Err(error) => return Err(invalid(&error.to_string())),
    };
    let header = |name: &str| {
        let mut headers = head.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        headers.next().map(|header| String::from_utf8_lossy(header.value).trim().to_owned())
    };
    let told = header("content-length").map(|length| length.parse::<usize>().map_err(|_| invalid("no length")));
    if told.transpose()?.is_some_and(|told| told > answer.len() - length) {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let status = head.code.unwrap_or_default();
    let page = Page {
        status,
        is_html: header("content-type").is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html")),
        location: header("location").filter(|_| (300..400).contains(&status)),
        body: Vec::new(),
    };
    answer.drain(..length);
    Ok(Page { body: answer, ..page })
}
