//! The HTTP server example, as clients meet it that write byte by byte, hang up in the middle, never stop talking, or come by the
//! thousand. The clients are OS threads with std's sockets, so that nothing of greenlight checks itself.

use greenlight_tests::programs::{Server, Tree, assert_usage, command, finish, run, signal};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

const GREETING: &str = "Hello from a green thread!\n";

fn server<const N: usize>(args: [&str; N]) -> Server {
    let args = ["--listen=127.0.0.1:0"].into_iter().chain(args);
    Server::start("http_server", &std::env::temp_dir(), args)
}

struct Client(BufReader<TcpStream>);

#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("text")
    }

    fn is_the_last(&self) -> bool {
        self.header("connection") == Some("close")
    }
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        Self(BufReader::new(TcpStream::connect(address).expect("it listens")))
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_ref().write_all(bytes.as_ref()).expect("it reads");
    }

    /// The next answer; to a HEAD request, without a body.
    fn answer_to(&mut self, method: &str) -> io::Result<Answer> {
        let mut line = String::new();
        let mut next = |line: &mut String| {
            line.clear();
            if self.0.read_line(line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            assert!(line.ends_with("\r\n"), "{line:?}");
            line.truncate(line.len() - 2);
            io::Result::Ok(())
        };
        next(&mut line)?;
        let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest[..3].parse().ok()).expect(&line);
        let mut headers = Vec::new();
        loop {
            next(&mut line)?;
            let Some((key, value)) = line.split_once(": ") else { break };
            headers.push((key.to_ascii_lowercase(), value.to_owned()));
        }
        assert_eq!(line, "");
        let mut answer = Answer { status, headers, body: Vec::new() };
        if status >= 200 && method != "HEAD" {
            let length = answer.header("content-length").expect("a length").parse().expect("a number");
            answer.body.resize(length, 0);
            self.0.read_exact(&mut answer.body)?;
        }
        Ok(answer)
    }

    fn answer(&mut self) -> Answer {
        self.answer_to("GET").expect("an answer")
    }

    fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: us\r\n\r\n"));
        self.answer()
    }

    /// The server closes, and says nothing more.
    fn expect_end(mut self) {
        let mut rest = Vec::new();
        let end = self.0.read_to_end(&mut rest);
        assert!(end.is_ok() && rest.is_empty(), "{end:?}: {}", String::from_utf8_lossy(&rest));
    }
}

/// How many sockets, pipes and files the server has open. Not the pollers: each worker has its own, once it needs one.
fn descriptors(server: &Server) -> usize {
    let links = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("it runs").flatten();
    let targets = links.filter_map(|link| std::fs::read_link(link.path()).ok());
    targets.filter(|target| !target.to_string_lossy().starts_with("anon_inode:")).count()
}

/// Waits until nobody but the asker is connected, and returns what is open then.
fn descriptors_when_alone(server: &Server) -> usize {
    let mut client = Client::connect(server.address());
    while !client.get("/status").text().starts_with("{\"connections\": 1,") {
        thread::sleep(Duration::from_millis(1));
    }
    descriptors(server)
}

#[test]
fn routes_methods_and_keep_alive() {
    let server = server([]);
    let mut client = Client::connect(server.address());
    for _ in 0..3 {
        let answer = client.get("/");
        assert_eq!((answer.status, answer.text(), answer.header("connection")), (200, GREETING, None));
        assert!(answer.header("date").is_some_and(|date| date.ends_with(" GMT")));
    }
    client.send("HEAD / HTTP/1.1\r\nHost: us\r\n\r\n");
    let head = client.answer_to("HEAD").expect("an answer");
    assert_eq!((head.status, head.header("content-length")), (200, Some("27")));

    client.send("POST /echo HTTP/1.1\r\nHost: us\r\nContent-Type: a/b\r\nContent-Length: 4\r\n\r\n1234");
    let echo = client.answer();
    assert_eq!((echo.status, echo.text(), echo.header("content-type")), (200, "1234", Some("a/b")));

    for (request, status, allow) in [
        ("GET /nothing", 404, None),
        ("GET /../../etc/passwd", 404, None),
        ("POST /", 405, Some("GET, HEAD")),
        ("DELETE /status", 405, Some("GET, HEAD")),
        ("GET /echo", 405, Some("POST")),
        ("GET /delay/soon", 400, None),
        ("GET /delay/60001", 400, None),
        ("GET /delay/1", 200, None),
    ] {
        client.send(format!("{request} HTTP/1.1\r\nHost: us\r\n\r\n"));
        let answer = client.answer();
        assert_eq!((answer.status, answer.header("allow"), answer.is_the_last()), (status, allow, false), "{request}");
    }
    assert_eq!(client.get("/status?x").text(), "{\"connections\": 1, \"answered\": 13}\n");

    client.send("GET / HTTP/1.1\r\nHost: us\r\nConnection: Close\r\n\r\n");
    assert!(client.answer().is_the_last());
    client.expect_end();
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn http_1_0_is_closed_unless_it_asks_not_to_be() {
    let server = server([]);
    let mut client = Client::connect(server.address());
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(client.answer().header("connection"), Some("keep-alive"));
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert!(client.answer().is_the_last());
    client.expect_end();
}

#[test]
fn bodies_in_chunks_and_after_a_word() {
    let server = server([]);
    let mut client = Client::connect(server.address());
    const POST: &str = "POST /echo HTTP/1.1\r\nHost: us\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (chunks, body) in [
        ("0\r\n\r\n", String::new()),
        ("5\r\nhello\r\n0\r\n\r\n", "hello".into()),
        ("1;name=value\r\na\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\n", "a0123456789".into()),
        (&format!("{:x}\r\n{}\r\n00\r\n\r\n", 100_000, "z".repeat(100_000)), "z".repeat(100_000)),
    ] {
        client.send([POST, chunks].concat());
        assert_eq!(client.answer().text(), body);
        if chunks.len() < 200 {
            for byte in [POST, chunks].concat().bytes() {
                client.send([byte]);
            }
            assert_eq!(client.answer().text(), body);
        }
    }
    client.send("POST /echo HTTP/1.1\r\nHost: us\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_eq!(client.answer().status, 100);
    client.send("abc");
    assert_eq!(client.answer().text(), "abc");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = server([]);
    let mut client = Client::connect(server.address());
    let bodies: Vec<String> = (0..3_000).map(|index| format!("{index}").repeat(index % 50)).collect();
    let requests: String = bodies
        .iter()
        .map(|body| format!("POST /echo HTTP/1.1\r\nHost: us\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
        .collect();
    // More than the sockets hold: who does not read while he writes would wait for ever, and so would the server.
    let mut writer = client.0.get_ref().try_clone().expect("a second handle");
    let writer = thread::spawn(move || writer.write_all(requests.as_bytes()));
    for body in &bodies {
        assert_eq!(client.answer().text(), body);
    }
    writer.join().expect("no panic").expect("all was read");
    drop(client);
    assert_eq!(server.stop(), Some(0));
}

/// Each is answered, and nothing that comes after it is believed.
#[test]
fn what_makes_no_sense_is_refused_and_the_connection_closed() {
    let server = server(["--max-body=1000"]);
    let many_headers: String = (0..65).map(|index| format!("X-{index}: y\r\n")).collect();
    let long_header = format!("X: {}\r\n", "y".repeat(20_000));
    for (request, status) in [
        ("nonsense\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: us\r\nbad header\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/2.0\r\nHost: us\r\n\r\n".to_owned(), 505),
        (format!("GET / HTTP/1.1\r\nHost: us\r\n{many_headers}\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: us\r\n{long_header}\r\n"), 431),
        (format!("GET /{} HTTP/1.1\r\n", "y".repeat(20_000)), 431),
        ("POST /echo HTTP/1.1\r\nHost: us\r\nContent-Length: 1001\r\n\r\n".to_owned(), 413),
        (format!("POST /echo HTTP/1.1\r\nHost: us\r\nContent-Length: 99999\r\n\r\n{}", "y".repeat(99_999)), 413),
        ("POST /echo HTTP/1.1\r\nHost: us\r\nContent-Length: 99999999999999999999\r\n\r\n".to_owned(), 400),
        ("POST /echo HTTP/1.1\r\nHost: us\r\nContent-Length: +4\r\n\r\n1234".to_owned(), 400),
        ("POST /echo HTTP/1.1\r\nHost: us\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n12345".to_owned(), 400),
        ("POST /echo HTTP/1.1\r\nHost: us\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n".to_owned(), 501),
    ] {
        expect_refusal(&server, &request, status);
    }
    const POST: &str = "POST /echo HTTP/1.1\r\nHost: us\r\nTransfer-Encoding: chunked\r\n";
    for (rest, status) in [
        ("Content-Length: 5\r\n\r\n0\r\n\r\n".to_owned(), 400),
        ("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), 400),
        ("\r\nxyz\r\n".to_owned(), 400),
        ("\r\n3\r\nabcd\r\n0\r\n\r\n".to_owned(), 400),
        ("\r\nfffffffffffffffff\r\n".to_owned(), 400),
        (format!("\r\n1{}", ";".repeat(2_000)), 400),
        ("\r\n3E9\r\n".to_owned(), 413),
        ("\r\n3E8\r\n".to_owned() + &"y".repeat(1_000) + "\r\n1\r\n", 413),
        ("\r\nffffffffffffffff\r\n".to_owned(), 413),
        (format!("\r\n0\r\n{long_header}"), 431),
    ] {
        expect_refusal(&server, &[POST, &rest].concat(), status);
    }
    assert_eq!(server.stop(), Some(0));
}

fn expect_refusal(server: &Server, request: &str, status: u16) {
    let mut client = Client::connect(server.address());
    client.send(request);
    client.send("GET /must-not-be-answered HTTP/1.1\r\nHost: us\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.status, answer.is_the_last()), (status, true), "{:.200}", request);
    client.expect_end();
}

#[test]
fn files_below_the_root_and_none_above_it() {
    let tree = Tree::new();
    let large: Vec<u8> = (0..1_000_000_u32).map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    tree.file("site/index.html", "<p>home");
    tree.file("site/large.bin", &large);
    tree.file("site/sub/with space.txt", "text");
    tree.file("secret", "no");
    std::os::unix::fs::symlink("../secret", tree.path("site/link")).expect("a link");
    let root = tree.path("site");
    let server = server(["--root", root.to_str().expect("a plain name")]);
    let mut client = Client::connect(server.address());

    let home = client.get("/");
    assert_eq!((home.text(), home.header("content-type")), ("<p>home", Some("text/html; charset=utf-8")));
    assert_eq!(client.get("/large.bin").body, large);
    client.send("HEAD /large.bin HTTP/1.1\r\nHost: us\r\n\r\n");
    assert_eq!(client.answer_to("HEAD").expect("an answer").header("content-length"), Some("1000000"));
    assert_eq!(client.get("/sub/with%20space.txt?query").text(), "text");
    let outside =
        ["/link", "/../secret", "/%2e%2e/secret", "/sub/../../secret", "//etc/passwd", "/sub", "/site", "/large.bin/x"];
    for path in outside {
        assert_eq!(client.get(path).status, 404, "{path}");
    }
    for path in ["/%", "/%zz", "/%ff", "/%00"] {
        assert_eq!(client.get(path).status, 400, "{path}");
    }
}

#[test]
fn slow_writers_are_cut_off_and_others_served() {
    let server = server(["--timeout=0.5", "--idle=300"]);
    let address = server.address();
    let before = descriptors_when_alone(&server);
    // A byte now and then, each sooner than the time limit: of the head, of a body, of a chunk's size.
    let slow = |begin: &'static str| {
        thread::spawn(move || {
            let mut client = Client::connect(address);
            client.send(begin);
            let writer = client.0.get_ref().try_clone().expect("a second handle");
            thread::spawn(move || {
                while (&writer).write_all(b"1").is_ok() {
                    thread::sleep(Duration::from_millis(20));
                }
            });
            let answer = client.answer();
            assert_eq!((answer.status, answer.is_the_last()), (408, true));
        })
    };
    let slow: Vec<_> = (0..60)
        .map(|index| match index % 3 {
            0 => slow("GET /"),
            1 => slow("POST /echo HTTP/1.1\r\nHost: us\r\nContent-Length: 100000\r\n\r\n"),
            _ => slow("POST /echo HTTP/1.1\r\nHost: us\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n"),
        })
        .collect();
    let mut quick = Client::connect(address);
    while slow.iter().any(|client| !client.is_finished()) {
        assert_eq!(quick.get("/").text(), GREETING);
    }
    slow.into_iter().for_each(|client| client.join().expect("it was cut off"));
    // Idle, for longer than a request may take, is not slow.
    thread::sleep(Duration::from_millis(600));
    assert_eq!(quick.get("/").text(), GREETING);
    drop(quick);
    assert_eq!(descriptors_when_alone(&server), before);
}

#[test]
fn slow_readers_are_cut_off() {
    let tree = Tree::new();
    tree.file("large", vec![0; 64 << 20]);
    let root = tree.root().to_str().expect("a plain name");
    let server = server(["--timeout=0.3", "--root", root]);
    let before = descriptors_when_alone(&server);
    let mut client = Client::connect(server.address());
    client.send("GET /large HTTP/1.1\r\nHost: us\r\n\r\n");
    // Returns when the server has given up.
    assert_eq!(descriptors_when_alone(&server), before);
    let error = client.answer_to("GET").expect_err("cut short");
    assert!(matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset), "{error}");
}

#[test]
fn idle_connections_end() {
    let server = server(["--idle=0.2"]);
    let mut client = Client::connect(server.address());
    assert_eq!(client.get("/").text(), GREETING);
    client.expect_end();
    Client::connect(server.address()).expect_end();
}

#[test]
fn clients_that_hang_up_anywhere_leave_nothing_behind() {
    let server = server([]);
    let before = descriptors_when_alone(&server);
    for index in 0..200 {
        let mut client = Client::connect(server.address());
        match index % 5 {
            0 => client.send("GET / HT"),
            1 => client.send("POST /echo HTTP/1.1\r\nHost: us\r\nContent-Length: 100\r\n\r\nabc"),
            // What is unread when a socket is closed makes it a reset.
            2 => client.send("GET / HTTP/1.1\r\nHost: us\r\n\r\n".repeat(100)),
            3 => {
                client.send("GET /delay/20 HTTP/1.1\r\nHost: us\r\n\r\n");
                client.0.get_ref().shutdown(Shutdown::Write).expect("a half");
                assert_eq!(client.answer().text(), "done\n");
            }
            _ => {}
        }
    }
    assert_eq!(descriptors_when_alone(&server), before);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn stopping_answers_what_runs_and_ends_what_is_idle() {
    let server = server(["--grace=100", "--idle=1000"]);
    let address = server.address();
    let idle: Vec<_> = (0..100)
        .map(|_| {
            let mut client = Client::connect(address);
            assert_eq!(client.get("/").text(), GREETING);
            client
        })
        .collect();
    let mut never_said_a_word = Client::connect(address);
    let mut running = Client::connect(address);
    running.send("GET /delay/700 HTTP/1.1\r\nHost: us\r\n\r\nGET /after HTTP/1.1\r\nHost: us\r\n\r\n");
    let mut half = Client::connect(address);
    half.send("GET /delay/1 HTTP/1.1\r\nHo");
    // All have been accepted, and the delay has begun, when this is answered and the server sees what else has come.
    never_said_a_word.get("/status");
    thread::sleep(Duration::from_millis(100));

    server.interrupt();
    idle.into_iter().for_each(Client::expect_end);
    never_said_a_word.expect_end();
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
    half.send("st: us\r\n\r\n");
    for mut client in [running, half] {
        let answer = client.answer();
        assert_eq!((answer.text(), answer.is_the_last()), ("done\n", true));
    }
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn a_service_manager_may_end_it() {
    let server = server([]);
    let mut client = Client::connect(server.address());
    client.get("/");
    signal("TERM", server.pid());
    client.expect_end();
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn a_second_ctrl_c_ends_it_at_once() {
    let server = server(["--grace=1000", "--timeout=1000"]);
    let mut client = Client::connect(server.address());
    client.send("POST /echo HTTP/1.1\r\nHost: us\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_eq!(client.answer().status, 100, "it waits for the body");
    server.interrupt();
    while TcpStream::connect(server.address()).is_ok() {
        thread::sleep(Duration::from_millis(1));
    }
    server.interrupt();
    assert_eq!(server.wait(), None, "by the signal");
}

#[test]
fn the_time_of_grace_has_an_end() {
    let server = server(["--grace=0.2"]);
    let mut client = Client::connect(server.address());
    client.send("GET /delay/60000 HTTP/1.1\r\nHost: us\r\n\r\n");
    thread::sleep(Duration::from_millis(100));
    server.interrupt();
    assert!(client.answer_to("GET").is_err());
    assert_eq!(server.wait(), Some(1));
}

/// More connections than the server may have descriptors: those that it has are served, and the others when there are some.
#[test]
fn without_descriptors_it_goes_on_with_those_it_has() {
    let started = Starved::start();
    let address = started.0.address();
    let mut clients: Vec<_> = (0..200).map(|_| Client::connect(address)).collect();
    for _ in 0..10 {
        assert_eq!(clients[0].get("/").text(), GREETING);
    }
    // The last one waits in the queue until there is room.
    let mut last = clients.pop().expect("200 of them");
    last.send("GET / HTTP/1.1\r\nHost: us\r\n\r\n");
    drop(clients);
    assert_eq!(last.answer().text(), GREETING);
    drop(last);
    assert_eq!(started.0.stop(), Some(0));
}

/// A server with 60 descriptors, through a shell that allows no more.
struct Starved(Server);

impl Starved {
    fn start() -> Self {
        let target = command("http_server", &std::env::temp_dir(), ["--listen=127.0.0.1:0", "--workers=2"]);
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -n 60 && exec \"$0\" \"$@\""]).arg(target.get_program()).args(target.get_args());
        Self(Server::spawn(shell))
    }
}

/// As many connections as the system lets a process have, 10,000 at most; each is open while all others are, and each is used
/// twice.
#[test]
fn ten_thousand_connections_at_once() {
    let server = server([]);
    let address = server.address();
    let before = descriptors_when_alone(&server);
    let count = 9_900.min(descriptor_limit().saturating_sub(100));
    if count < 9_900 {
        eprintln!("NOT CHECKED with ten thousand: the limit of descriptors allows {count}");
    }
    let mut clients: Vec<_> = (0..count).map(|_| TcpStream::connect(address).expect("room for one more")).collect();
    for _ in 0..2 {
        for client in &mut clients {
            client.write_all(b"GET / HTTP/1.1\r\nHost: us\r\n\r\n").expect("it reads");
        }
        for client in &mut clients {
            let mut answer = [0; 512];
            let length = client.read(&mut answer).expect("an answer");
            assert!(
                answer[..length].starts_with(b"HTTP/1.1 200 OK\r\n") && answer[..length].ends_with(GREETING.as_bytes())
            );
        }
    }
    let status = Client::connect(address).get("/status");
    assert!(status.text().starts_with(&format!("{{\"connections\": {}, ", count + 1)), "{}", status.text());
    drop(clients);
    assert_eq!(descriptors_when_alone(&server), before);
    assert_eq!(server.stop(), Some(0));
}

fn descriptor_limit() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("Linux");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("this limit");
    line.split_whitespace().nth(3).and_then(|soft| soft.parse().ok()).unwrap_or(usize::MAX)
}

/// Runs `program`, or says that it is not installed.
fn foreign_client(program: &str, args: &[&str]) -> Option<String> {
    match Command::new(program).args(args).output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            eprintln!("NOT CHECKED with {program}, which is not installed");
            None
        }
        output => {
            let output = output.expect("it starts");
            let complaints = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{program}: {}: {complaints}", output.status);
            Some(String::from_utf8(output.stdout).expect("text"))
        }
    }
}

/// curl, where it is installed: another implementation. Three requests, by one connection.
#[test]
fn curl_understands_it() {
    let server = server([]);
    let url = format!("http://{}", server.address());
    let (root, echo, missing) = (format!("{url}/"), format!("{url}/echo"), format!("{url}/missing"));
    // curl waits for `100 Continue` before a body of more than 1 MiB, or if it is told to.
    let body = "x".repeat(100_000);
    let every = ["--silent", "--show-error", "--noproxy", "*", "--write-out", "%{http_code} %{num_connects}\n"];
    let post = ["--header", "Expect: 100-continue", "--header", "Transfer-Encoding: chunked", "--data-binary", &body];
    let requests = [&[root.as_str()][..], &["--next"], &every, &post, &[&echo], &["--next"], &every, &[&missing]];
    let args = [&every[..], &requests.concat()].concat();
    if let Some(printed) = foreign_client("curl", &args) {
        let printed = printed.replace(&body, "what came ");
        assert_eq!(printed, format!("{GREETING}200 1\nwhat came 200 0\n404 Not Found\n404 0\n"));
    }
    assert_eq!(server.stop(), Some(0));
}

/// Python's `http.client`, where it is installed: another implementation.
#[test]
fn python_understands_it() {
    const CLIENT: &str = "
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1])
def ask(*request):
    connection.request(*request)
    answer = connection.getresponse()
    print(answer.version, answer.status, answer.reason, answer.getheader('Content-Type'), answer.read())
ask('GET', '/')
socket = connection.sock
ask('HEAD', '/')
ask('POST', '/echo', b'one two', {'Content-Type': 'text/x-ours'})
ask('POST', '/echo', iter([b'in ', b'chunks']))
ask('DELETE', '/')
print(connection.sock is socket)
";
    let server = server([]);
    if let Some(printed) = foreign_client("python3", &["-c", CLIENT, &server.address().to_string()]) {
        let expected = "\
11 200 OK text/plain; charset=utf-8 b'Hello from a green thread!\\n'
11 200 OK text/plain; charset=utf-8 b''
11 200 OK text/x-ours b'one two'
11 200 OK application/octet-stream b'in chunks'
11 405 Method Not Allowed text/plain; charset=utf-8 b'405 Method Not Allowed\\n'
True
";
        assert_eq!(printed, expected);
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn arguments_that_make_no_sense_are_refused_with_the_usage() {
    assert_usage(
        "http_server",
        &[
            &["--listen", "here"],
            &["--timeout=-1"],
            &["--grace=soon"],
            &["--workers", "0"],
            &["x"],
            &["--root"],
            &["-v"],
        ],
    );
}

#[test]
fn a_port_in_use_and_a_missing_root_are_error_lines() {
    let server = server([]);
    let address = server.address().to_string();
    let output = run("http_server", &std::env::temp_dir(), ["--listen", &address]);
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        format!("http_server: {address}: Address already in use (os error 98)\n")
    );
    assert_eq!(output.status.code(), Some(1));
    let args = ["--listen=127.0.0.1:0", "--root", "/missing/root"];
    let output = finish(command("http_server", &std::env::temp_dir(), args).spawn().expect("it starts"));
    let expected = "http_server: /missing/root: No such file or directory (os error 2)\n";
    assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
    assert_eq!(output.status.code(), Some(1));
}
