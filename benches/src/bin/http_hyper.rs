//! The peer of the example `http_server` for `benches/http/run`: hyper 1.x on tokio's workers, as its own examples have it.
//!
//! What both set is the same: the queue of the listener, `TCP_NODELAY`, a limit for the head of a request. Ours has one for a
//! piece of an answer, too.

use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode, body::Bytes, body::Incoming, header, server::conn::http1, service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, io, net::SocketAddr};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// As in the example: `GREETING` and `BACKLOG`.
const GREETING: &[u8] = b"Hello from a green thread!\n";
const BACKLOG: u32 = 4096;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let listener = socket.listen(BACKLOG)?;
    println!("listening on http://{}/", listener.local_addr()?);
    // On a task, so that it runs on a worker: `main` is polled by a thread of its own.
    tokio::spawn(accept_all(listener)).await?
}

async fn accept_all(listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream));
    }
}

async fn serve(stream: TcpStream) {
    let mut builder = http1::Builder::new();
    // It fails when the client goes in the middle of something, as they do at the end of a measurement.
    let _ = builder.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service_fn(answer)).await;
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = match request.uri().path() {
        "/" => (StatusCode::OK, Bytes::from_static(GREETING)),
        _ => (StatusCode::NOT_FOUND, Bytes::from_static(b"404 Not Found\n")),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let text = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    Ok(response)
}
