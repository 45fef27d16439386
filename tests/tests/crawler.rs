//! The crawler example on sites that the HTTP server example serves.

use greenlight_tests::programs::{
    Server, Tree, assert_output, assert_usage, catches_sigint, command, finish, run, signal, wait_until,
};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

fn serve(root: &Path) -> Server {
    Server::start("http_server", root, ["--listen=127.0.0.1:0", "--root=."])
}

/// Pages that lead to each other by all kinds of links.
fn site() -> Tree {
    let tree = Tree::new();
    tree.file(
        "index.html",
        r##"<a href="a.html">a</a> <A HREF = 'sub/b.html#part'>b</A> <img src="/sub/../pixel.png"> <a href="#top">here</a>
        <a href="http://192.0.2.1/never">elsewhere</a> <a href="mailto:us">mail</a> <a href="gone.html">gone</a>
        <a href="/private/x.html">private</a> <a href="/public.html?q=1&amp;r=2">public</a>"##,
    );
    tree.file("a.html", r#"<a href="/">home</a> <a href="a.html">itself</a> <a href="./sub/b.html">b</a>"#);
    tree.file(
        "sub/b.html",
        r#"<a href="../a.html">a</a> <a href="c.html">c</a> <a href="missing page.html">missing</a>"#,
    );
    tree.file("sub/c.html", r#"<a href="d.html">d</a>"#);
    tree.file("sub/d.html", "the end");
    tree.file("pixel.png", r#"href="not-a-link.html""#);
    tree.file("public.html", "");
    tree.file("private/x.html", "");
    tree.file(
        "robots.txt",
        "User-agent: somebody\nDisallow: /\n\nUser-agent: other\nUser-agent: * # all\nDisallow: /private/\nDisallow:\n",
    );
    tree
}

const PAGES: [(&str, u16, usize); 9] = [
    ("/", 200, 0),
    ("/a.html", 200, 1),
    ("/gone.html", 404, 1),
    ("/pixel.png", 200, 1),
    ("/public.html?q=1&r=2", 200, 1),
    ("/sub/b.html", 200, 1),
    ("/sub/c.html", 200, 2),
    ("/sub/d.html", 200, 3),
    ("/sub/missing%20page.html", 404, 2),
];

#[test]
fn it_visits_each_page_once_as_deep_as_it_may() {
    let tree = site();
    let server = serve(tree.root());
    let address = server.address();
    let mut requests = 0;
    for depth in 0..5 {
        for at_once in ["1", "8"] {
            let reached: Vec<_> = PAGES.iter().filter(|(_, _, at)| *at <= depth).collect();
            let expected: String =
                reached.iter().map(|(path, status, _)| format!("{status} http://{address}{path}\n")).collect();
            let broken = reached.iter().filter(|(_, status, _)| *status != 200).count();
            let summary = format!("{} pages visited, {broken} broken\n", reached.len());
            let args =
                ["--rate=10000", "--at-once", at_once, "--depth", &depth.to_string(), &format!("http://{address}/")];
            assert_output(&run("crawler", tree.root(), args), i32::from(broken > 0), expected, &summary);
            requests += reached.len() + 1; // robots.txt, once
        }
    }
    let mut status = String::new();
    let mut stream = std::net::TcpStream::connect(address).expect("it listens");
    stream.write_all(b"GET /status HTTP/1.0\r\n\r\n").expect("it reads");
    stream.read_to_string(&mut status).expect("an answer");
    assert!(status.ends_with(&format!("\"answered\": {requests}}}\n")), "{status}, {requests}");
}

/// A hundred pages, each of which leads to all others.
#[test]
fn it_keeps_to_the_rate_and_meets_nobody_twice() {
    let tree = Tree::new();
    let links: String =
        (0..100).map(|page| format!("<a href={page}.html></a><a href='{page}.html'>{page}</a>")).collect();
    (0..100).for_each(|page| drop(tree.file(format!("{page}.html"), &links)));
    let server = serve(tree.root());
    let start = Instant::now();
    let output = run(
        "crawler",
        tree.root(),
        ["--rate=200", "--at-once=50", &format!("http://localhost:{}/0.html", server.address().port())],
    );
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(err, "100 pages visited, 0 broken\n");
    assert_eq!((out.lines().count(), output.status.code()), (100, Some(0)));
    assert!(start.elapsed() >= Duration::from_millis(5 * 101), "101 fetches, at most 200 a second");
}

/// Ctrl-C while it waits for its next turn, and for a site that says nothing.
#[test]
fn ctrl_c_prints_what_was_visited() {
    let tree = site();
    let server = serve(tree.root());
    let mute = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = server.address();
    tree.file(
        "index.html",
        format!(r#"<a href="http://{}/">mute</a><a href="a.html">a</a>"#, mute.local_addr().expect("bound")),
    );
    let args = ["--rate=20", "--at-once=2", &format!("http://{address}/")];
    let mut child = command("crawler", tree.root(), args).spawn().expect("it starts");
    wait_until(&mut child, catches_sigint);
    let (held, _) = mute.accept().expect("it comes");
    signal("INT", child.id());
    // The fetch that is under way is waited for: until here, or its own time limit.
    let closer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        drop(held);
        drop(mute);
    });
    let output = finish(child);
    closer.join().expect("no panic");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(out.contains(&format!("200 http://{address}/\n")), "{out}");
    assert!(err.ends_with(" broken\n"), "{err}");
    assert_eq!(output.status.code(), Some(130), "{out}{err}");
}

#[test]
fn what_does_not_answer_is_a_line() {
    let tree = Tree::new();
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let expected = format!("--- http://{closed}/ (Connection refused (os error 111))\n");
    assert_output(
        &run("crawler", tree.root(), [format!("http://{closed}")]),
        1,
        expected,
        "1 pages visited, 1 broken\n",
    );
}

#[test]
fn arguments_that_make_no_sense_are_refused_with_the_usage() {
    let refused: &[&[&str]] = &[
        &[],
        &["https://127.0.0.1/"],
        &["http://192.0.2.1/"],
        &["http://example.org/"],
        &["http://127.0.0.1:port/"],
        &["--rate=0", "http://127.0.0.1/"],
        &["--at-once=0", "http://127.0.0.1/"],
        &["http://127.0.0.1/", "http://127.0.0.1/"],
    ];
    assert_usage("crawler", refused);
}
