//! The port scanner example beside listeners of our own.

use greenlight_tests::programs::{assert_usage, command, finish, run, signal, wait_until};
use std::net::{TcpListener, TcpStream};
use std::process::Output;

fn scan(args: &[&str]) -> (Output, String, String) {
    let output = run("port_scanner", &std::env::temp_dir(), args);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    (output, out, err)
}

/// Another program may open or close a port meanwhile: what we have opened is ours.
#[test]
fn it_finds_who_listens_and_nobody_else() {
    let listeners: Vec<_> = (0..20).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
    let mut ports: Vec<u16> = listeners.iter().map(|listener| listener.local_addr().expect("bound").port()).collect();
    ports.sort_unstable();
    let list = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
    let expected: String = ports.iter().map(|port| format!("127.0.0.1:{port}\n")).collect();
    for at_once in ["1", "7", "1000"] {
        let (output, out, err) = scan(&["--ports", &list, "--at-once", at_once]);
        assert_eq!(out, expected);
        assert_eq!(err, "20 of 20 ports of 127.0.0.1: 20 open, 0 closed, 0 silent, 0 failed\n");
        assert_eq!(output.status.code(), Some(0));
    }

    // All ports there are, each of which the system may also give us to connect from.
    let (output, out, err) = scan(&["--ports", "1-65535", "--at-once=512"]);
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert!(err.starts_with("65535 of 65535 ports of 127.0.0.1: "), "{err}");
    let found: Vec<&str> = out.lines().collect();
    assert!(ports.iter().all(|port| found.contains(&&*format!("127.0.0.1:{port}"))), "{out}");
    assert!(found.is_sorted_by_key(|line| line.rsplit(':').next().and_then(|port| port.parse::<u16>().ok())));

    drop(listeners);
    let (output, out, err) = scan(&["--ports", &list, "localhost"]);
    assert!(err.starts_with("20 of 20 ports of "), "{err}");
    assert!(out.lines().count() < 20, "{out}");
    assert_eq!(output.status.code(), Some(0));
}

/// A listener whose queue is full does not answer.
#[test]
fn who_does_not_answer_is_silent() {
    let (first, listener) = two_listeners();
    let address = listener.local_addr().expect("bound");
    let limit = std::time::Duration::from_millis(300);
    let queued: Vec<_> = (0..10_000).map_while(|_| TcpStream::connect_timeout(&address, limit).ok()).collect();
    let (output, out, err) = scan(&["--ports", &address.port().to_string(), "--timeout=100", OURS]);
    assert_eq!((out.as_str(), output.status.code()), ("", Some(0)));
    assert_eq!(err, "1 of 1 ports of 127.0.0.2: 0 open, 0 closed, 1 silent, 0 failed\n");

    // Ctrl-C, once the first port has been tried: those at work end by their time limit, no others begin.
    let list = format!("{},{},65000-65535", first.local_addr().expect("bound").port(), address.port());
    let args = ["--ports", &list, "--timeout=2000", "--at-once=1", OURS];
    let mut child = command("port_scanner", &std::env::temp_dir(), args).spawn().expect("it starts");
    first.set_nonblocking(true).expect("a socket");
    wait_until(&mut child, |_| first.accept().is_ok());
    signal("INT", child.id());
    let output = finish(child);
    let err = String::from_utf8_lossy(&output.stderr);
    let done: usize = err.split(' ').next().and_then(|done| done.parse().ok()).expect("a number");
    assert!(done < 536, "{err}");
    assert_eq!(output.status.code(), Some(130), "{err}");
    drop(queued);
}

/// Where no other test looks for ports: whoever comes to a listener there is our child.
const OURS: &str = "127.0.0.2";

/// The one with the lower port, which is tried first, and the other.
fn two_listeners() -> (TcpListener, TcpListener) {
    let mut both = [(); 2].map(|()| TcpListener::bind((OURS, 0)).expect("a free port"));
    both.sort_by_key(|listener| listener.local_addr().expect("bound").port());
    both.into()
}

#[test]
fn other_machines_are_refused() {
    for host in ["192.0.2.1", "0.0.0.0", "::", "2001:db8::1", "::ffff:192.0.2.1"] {
        let (output, out, err) = scan(&["--ports=1", host]);
        let expected =
            format!("port_scanner: {host} is {host}, which is not this machine: only loopback addresses are scanned\n");
        assert_eq!((out.as_str(), err), ("", expected));
        assert_eq!(output.status.code(), Some(2));
    }
    for host in ["127.0.0.1", "127.1.2.3", "::ffff:127.0.0.1"] {
        let (output, _, err) = scan(&["--ports=1", host]);
        assert!(err.starts_with(&format!("1 of 1 ports of {host}: ")), "{err}");
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn arguments_that_make_no_sense_are_refused_with_the_usage() {
    let refused: &[&[&str]] = &[
        &["--ports", "0"],
        &["--ports=1-"],
        &["--ports=9-1"],
        &["--ports=65536"],
        &["--at-once=0"],
        &["--timeout=soon"],
        &["a", "b"],
    ];
    assert_usage("port_scanner", refused);
}
