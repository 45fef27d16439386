//! What there is to ask for.

use super::Server;
use super::request::{Head, Method};
use super::response::{BAD_REQUEST, Body, INTERNAL_ERROR, METHOD_NOT_ALLOWED, NOT_FOUND, OK, Response};
use greenlight::{blocking, sleep};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const GREETING: &str = "Hello from a green thread!\n";
const LONGEST_DELAY: u64 = 60_000;

pub struct Routes {
    /// Without links and dots.
    root: Option<Arc<Path>>,
}

impl Routes {
    pub fn new(root: Option<PathBuf>) -> io::Result<Self> {
        let root = root.map(|root| {
            let named = |error| io::Error::other(format!("{}: {error}", root.display()));
            greenlight::fs::canonicalize(&root).map(Arc::from).map_err(named)
        });
        Ok(Self { root: root.transpose()? })
    }

    pub fn answer(&self, server: &Server, head: &Head, body: Vec<u8>) -> Response {
        let path = head.target.split('?').next().unwrap_or_default();
        let get = matches!(head.method, Method::Get | Method::Head);
        match path {
            "/echo" if head.method == Method::Post => {
                let content_type = head.content_type.clone().unwrap_or_else(|| "application/octet-stream".into());
                Response { status: OK, content_type: content_type.into(), body: Body::Bytes(body.into()), allow: "" }
            }
            "/echo" => Response { allow: "POST", ..Response::error(METHOD_NOT_ALLOWED) },
            _ if !get => Response { allow: "GET, HEAD", ..Response::error(METHOD_NOT_ALLOWED) },
            "/status" => {
                let (connections, answered) = (server.connections.count(), server.answered.load(Relaxed));
                let status = format!("{{\"connections\": {connections}, \"answered\": {answered}}}\n");
                Response { content_type: "application/json".into(), ..Response::text(status) }
            }
            _ => match path.strip_prefix("/delay/").map(str::parse) {
                Some(Ok(time @ 0..=LONGEST_DELAY)) => {
                    sleep(Duration::from_millis(time));
                    Response::text("done\n")
                }
                Some(_) => Response::error(BAD_REQUEST),
                None => self.file(path),
            },
        }
    }

    fn file(&self, path: &str) -> Response {
        let Some(root) = &self.root else {
            return if path == "/" { Response::text(GREETING) } else { Response::error(NOT_FOUND) };
        };
        let Some(name) = decode(path) else { return Response::error(BAD_REQUEST) };
        let root = root.clone();
        let opened = blocking(move || open(&root, name.trim_start_matches('/'))).join();
        match opened.unwrap_or_else(|panic| std::panic::resume_unwind(panic)) {
            Ok((file, length, content_type)) => {
                Response { status: OK, content_type: content_type.into(), body: Body::File(file, length), allow: "" }
            }
            Err(error) if error.kind() == ErrorKind::NotFound && path == "/" => Response::text(GREETING),
            Err(error) => match error.kind() {
                // What must not be read is nobody's business.
                ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied => {
                    Response::error(NOT_FOUND)
                }
                ErrorKind::InvalidInput | ErrorKind::InvalidFilename => Response::error(BAD_REQUEST),
                _ => Response::error(INTERNAL_ERROR),
            },
        }
    }
}

/// A regular file below `root`, whatever dots and links are on the way. Blocks.
fn open(root: &Path, name: &str) -> io::Result<(File, u64, &'static str)> {
    let mut path = root.join(name).canonicalize()?;
    if path.is_dir() {
        path = path.join("index.html").canonicalize()?;
    }
    if !path.starts_with(root) || !path.is_file() {
        return Err(ErrorKind::NotFound.into());
    }
    let file = File::open(&path)?;
    let length = file.metadata()?.len();
    let content_type = match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css",
        Some("js") => "text/javascript",
        Some("json") => "application/json",
        Some("txt" | "md" | "rs" | "toml") => "text/plain; charset=utf-8",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    Ok((file, length, content_type))
}

/// Takes the percent signs out of a path. None if they make no sense, or what comes out is no text.
fn decode(path: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}
