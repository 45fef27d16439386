//! The chat example: a server, and members that are OS threads with std's sockets, among them some that do not read.

use greenlight_tests::programs::{Server, assert_usage, command, finish, run};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Stdio;
use std::thread;

fn server<const N: usize>(args: [&str; N]) -> Server {
    Server::start("chat", &std::env::temp_dir(), ["--listen=127.0.0.1:0"].into_iter().chain(args))
}

struct Member(BufReader<TcpStream>);

impl Member {
    /// Comes, and is in.
    fn come(address: SocketAddr, nick: &str) -> Self {
        let mut member = Self(BufReader::new(TcpStream::connect(address).expect("it listens")));
        member.say(nick);
        member.hear(&format!("* you are {nick}, in lobby"));
        member
    }

    fn say(&mut self, line: &str) {
        self.0.get_ref().write_all(format!("{line}\n").as_bytes()).expect("it reads");
    }

    fn next(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        line.trim_end_matches('\n').to_owned()
    }

    #[track_caller]
    fn hear(&mut self, line: &str) {
        assert_eq!(self.next(), line);
    }

    #[track_caller]
    fn hear_the_end(mut self) {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).expect("the end");
        assert_eq!(rest, "");
    }
}

#[test]
fn rooms_names_and_farewells() {
    let server = server([]);
    let mut ann = Member::come(server.address(), "ann");
    let mut bob = Member::come(server.address(), "bob");
    ann.hear("* bob came");
    ann.say("hello");
    ann.hear("ann: hello");
    bob.hear("ann: hello");

    bob.say("/join tea room");
    bob.hear("* /join ROOM, /nick NAME, /who, /rooms, /quit");
    bob.say("/join tearoom");
    bob.hear("* you are in tearoom");
    ann.hear("* bob went to tearoom");
    bob.say("alone\x1b[2J \u{7}");
    bob.hear("bob: alone[2J");
    ann.say("/rooms");
    ann.hear("* rooms: lobby, tearoom");
    ann.say("/join tearoom");
    ann.hear("* you are in tearoom");
    bob.hear("* ann came");

    ann.say("/nick bob");
    ann.hear("* you are bob2");
    bob.hear("* ann is now bob2");
    bob.say("/who");
    bob.hear("* in tearoom: bob, bob2");
    bob.say("");
    bob.say("/quit");
    bob.hear_the_end();
    ann.hear("* bob left");

    // Half a line is none; a name that is taken, or is none, becomes another.
    let mut odd = Member(BufReader::new(TcpStream::connect(server.address()).expect("it listens")));
    odd.say("two words");
    odd.hear("* you are somebody, in lobby");
    odd.0.get_ref().write_all(b"never said").expect("it reads");
    odd.0.get_ref().shutdown(Shutdown::Write).expect("a half");
    odd.hear_the_end();
    ann.say("/join lobby");
    ann.hear("* you are in lobby");

    let mut long = Member::come(server.address(), "long");
    ann.hear("* long came");
    long.say(&"x".repeat(998));
    long.hear(&format!("long: {}", "x".repeat(998)));
    ann.hear(&format!("long: {}", "x".repeat(998)));
    long.0.get_ref().write_all("x".repeat(1_000).as_bytes()).expect("it reads");
    ann.hear("* long said more than fits into a line");
    long.hear_the_end();

    server.interrupt();
    ann.hear("* the server stops");
    ann.hear_the_end();
    assert_eq!(server.wait(), Some(0));
}

/// All hear all, each in the same order.
#[test]
fn everybody_hears_the_same() {
    const MEMBERS: usize = 20;
    const LINES: usize = 50;
    let server = server(["--outbox=2000"]);
    let mut members = Vec::new();
    for index in 0..MEMBERS {
        members.push(Member::come(server.address(), &format!("m{index}")));
        for member in &mut members[..index] {
            member.hear(&format!("* m{index} came"));
        }
    }
    let members = members.into_iter().enumerate().map(|(index, mut member)| {
        thread::spawn(move || {
            (0..LINES).for_each(|line| member.say(&format!("{index} {line}")));
            (0..MEMBERS * LINES).map(|_| member.next()).collect::<Vec<_>>()
        })
    });
    let heard: Vec<_> =
        members.collect::<Vec<_>>().into_iter().map(|member| member.join().expect("no panic")).collect();
    assert!(heard.iter().all(|lines| *lines == heard[0]));
    for index in 0..MEMBERS {
        let prefix = format!("m{index}: {index} ");
        let own: Vec<usize> = heard[0]
            .iter()
            .filter_map(|line| line.strip_prefix(&prefix))
            .map(|line| line.parse().expect("a number"))
            .collect();
        assert_eq!(own, (0..LINES).collect::<Vec<_>>());
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn who_does_not_read_is_dropped_and_the_others_go_on() {
    let server = server(["--outbox=64"]);
    let mut ann = Member::come(server.address(), "ann");
    let mut deaf = Member::come(server.address(), "deaf");
    ann.hear("* deaf came");
    // More than its socket and its outbox hold, in the end. Each line is heard before the next is said, so ann keeps up.
    let line = "x".repeat(900);
    let mut said = 0;
    loop {
        ann.say(&line);
        said += 1;
        match ann.next() {
            own if own.starts_with("ann: x") => {}
            other => break assert_eq!(other, "* deaf was too slow, and is dropped"),
        }
    }
    assert!(said > 64, "{said}");
    // What it had got, and then no end in peace.
    let mut rest = Vec::new();
    let _ = deaf.0.read_to_end(&mut rest);
    assert!(rest.len() < said * 910);
    // The line was on its way to ann as well.
    ann.hear(&format!("ann: {line}"));
    ann.say("/who");
    ann.hear("* in lobby: ann");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn the_client_sends_its_input_and_prints_what_comes() {
    let server = server([]);
    let mut ann = Member::come(server.address(), "ann");
    let address = server.address().to_string();
    let mut client = command("chat", &std::env::temp_dir(), ["--connect", &address, "--nick", "cli"]);
    let mut client = client.stdin(Stdio::piped()).spawn().expect("the example starts");
    ann.hear("* cli came");
    let mut input = client.stdin.take().expect("a pipe");
    input.write_all(b"hello\n").expect("it reads");
    ann.hear("cli: hello");
    drop(input);
    let output = finish(client);
    ann.hear("* cli left");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "* you are cli, in lobby\ncli: hello\n");
    assert_eq!(output.status.code(), Some(0));

    // It ends with the server, though nobody has closed its input.
    let mut client = command("chat", &std::env::temp_dir(), ["--connect", &address, "--nick", "cli"]);
    let client = client.stdin(Stdio::piped()).spawn().expect("the example starts");
    ann.hear("* cli came");
    server.interrupt();
    let mut client = client;
    let input = client.stdin.take();
    let output = finish(client);
    drop(input);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "* you are cli, in lobby\n* the server stops\n");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn arguments_that_make_no_sense_are_refused_with_the_usage() {
    let refused: &[&[&str]] =
        &[&["--listen", "x"], &["--outbox=-1"], &["--connect=1.1.1.1:1", "--listen=1.1.1.1:1"], &["--nick=x"], &["x"]];
    assert_usage("chat", refused);
    let output = run("chat", &std::env::temp_dir(), ["--connect=127.0.0.1:1"]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "chat: 127.0.0.1:1: Connection refused (os error 111)\n");
    assert_eq!(output.status.code(), Some(1));
}
