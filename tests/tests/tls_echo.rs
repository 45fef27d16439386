//! The TLS echo example: its server and its client, and clients that do not speak TLS.

use greenlight_tests::programs::{Server, Tree, assert_output, assert_usage, command, finish};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};
use std::thread;

fn server(tree: &Tree) -> Server {
    Server::start("tls_echo", tree.root(), ["--listen=127.0.0.1:0", "--certificate=echo.pem"])
}

fn client(tree: &Tree, address: &str, args: &[&str], input: &str) -> Output {
    let args = ["--connect", address].iter().chain(args).copied().collect::<Vec<_>>();
    let mut child = command("tls_echo", tree.root(), args).stdin(Stdio::piped()).spawn().expect("the example starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_owned();
    let writer = thread::spawn(move || {
        // It fails if the client has ended, which shows.
        let _ = stdin.write_all(input.as_bytes());
    });
    let output = finish(child);
    writer.join().expect("no panic");
    output
}

#[test]
fn lines_come_back_to_many_clients() {
    let tree = Tree::new();
    let server = server(&tree);
    let address = server.address().to_string();
    thread::scope(|scope| {
        for index in 0..8 {
            let (tree, address) = (&tree, &address);
            scope.spawn(move || {
                let input: String = (0..200).map(|line| format!("{index} {}\n", "x".repeat(line * 20))).collect();
                assert_output(&client(tree, address, &["--certificate=echo.pem"], &input), 0, &input, "");
            });
        }
    });
    let output = client(&tree, &address, &["--certificate=echo.pem", "--name=127.0.0.1"], "one\n");
    assert_output(&output, 0, "one\n", "");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn nobody_is_believed_without_the_right_certificate() {
    let tree = Tree::new();
    let server = server(&tree);
    let address = server.address().to_string();
    let other = Server::start("tls_echo", tree.root(), ["--listen=127.0.0.1:0", "--certificate=other.pem"]);
    for args in [&["--certificate=other.pem"][..], &["--certificate=echo.pem", "--name=example.org"]] {
        let output = client(&tree, &address, args, "secret\n");
        assert_eq!((output.stdout.as_slice(), output.status.code()), (&b""[..], Some(1)));
        assert!(String::from_utf8_lossy(&output.stderr).contains("invalid peer certificate"), "{output:?}");
    }
    let output = client(&tree, &address, &["--certificate=missing.pem"], "");
    assert_output(&output, 1, "", "tls_echo: missing.pem: No such file or directory (os error 2)\n");
    assert_eq!(other.stop(), Some(0));

    // No TLS at all: cut off, and the others are served.
    let mut plain = TcpStream::connect(server.address()).expect("it listens");
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("it reads");
    let mut alert = Vec::new();
    let _ = plain.read_to_end(&mut alert);
    assert_eq!(alert.first(), Some(&21), "an alert");
    let output = client(&tree, &address, &["--certificate=echo.pem"], "one\n");
    assert_output(&output, 0, "one\n", "");
    assert_eq!(server.stop(), Some(0));
}

/// OpenSSL, where it is installed: another implementation.
#[test]
fn openssl_understands_it() {
    if !Command::new("openssl").arg("version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("NOT CHECKED with openssl, which is not installed");
        return;
    }
    let tree = Tree::new();
    let server = server(&tree);
    let mut child = Command::new("openssl")
        .args([
            "s_client",
            "-quiet",
            "-verify_return_error",
            "-CAfile",
            "echo.pem",
            "-connect",
            &server.address().to_string(),
        ])
        .current_dir(tree.root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(b"hello\n").expect("it reads");
    let mut line = [0; 6];
    child.stdout.as_mut().expect("a pipe").read_exact(&mut line).expect("it comes back");
    assert_eq!(&line, b"hello\n");
    drop(stdin);
    finish(child);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn arguments_that_make_no_sense_are_refused_with_the_usage() {
    let refused: &[&[&str]] = &[
        &[],
        &["--certificate=x", "--listen=x"],
        &["--certificate=x", "--name=x"],
        &["--certificate=x", "--connect=127.0.0.1:1", "--listen=127.0.0.1:1"],
        &["--certificate=x", "--connect=127.0.0.1:1", "--name=not a name"],
    ];
    assert_usage("tls_echo", refused);
}
