//! Each workload of each peer checks its own result: here all of them, at a size that takes no time. Not may's, which can crash
//! by itself, and not Go's, which needs Go.

use std::process::Command;

fn all(peer: &str) {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_compare")).args(arguments).output().expect("the program");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let list = run(&["peer", peer, "list"]);
    let figures = run(&["peer", peer, "all", "--scale", "0.0005", "--enough", "0"]);
    for workload in list.lines() {
        let line = figures.lines().find(|line| line.split('\t').next() == Some(workload));
        let value = line.and_then(|line| line.split('\t').nth(2)).and_then(|value| value.parse::<f64>().ok());
        assert!(value.is_some_and(|value| value >= 0.0), "{peer}, {workload}: {line:?}");
    }
    assert!(list.lines().count() > 5, "{peer} has {list}");
}

#[test]
fn greenlight() {
    all("greenlight");
}

#[test]
fn greenlight_roaming() {
    all("greenlight-roaming");
}

#[test]
fn greenlight_async() {
    all("greenlight-async");
}

#[test]
fn greenlight_on_threads() {
    all("threads+greenlight");
}

#[test]
fn tokio() {
    all("tokio");
    all("tokio+kanal");
}

#[test]
fn smol() {
    all("smol");
}

#[test]
fn threads() {
    all("threads+crossbeam");
    all("threads+flume");
    all("threads+kanal");
    all("threads+std");
}

#[test]
fn a_workload_that_a_peer_cannot_do_is_told_why() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_compare")).args(["peer", "tokio", "mpmc"]).output().expect("the program");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("one receiver"));
}
