//! The pipeline example beside a loop that counts the same words, whole and cut short.

use greenlight_tests::programs::{
    Tree, assert_output, assert_usage, catches_sigint, command, finish, run, signal, wait_until,
};
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::process::Command;

/// Words that fall on both sides of every cut between two texts, and some that are no ASCII.
fn texts() -> Vec<String> {
    let mut state = 1_u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut text = |words: usize| -> String {
        let word = |_| match random(50) {
            0 => "Größe, ".to_owned(),
            1 => "日本語。".to_owned(),
            2 => "don't\n".to_owned(),
            n => format!("Word{} ", n * n % 97),
        };
        (0..words).map(word).collect()
    };
    vec![text(0), text(1), text(60_000), "x".repeat(300_000), text(7), text(100_000)]
}

fn table<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut counts = HashMap::<_, u64>::new();
    for word in
        texts.into_iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric())).filter(|word| !word.is_empty())
    {
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|(a, n), (b, m)| (m, a).cmp(&(n, b)));
    counts.into_iter().map(|(word, count)| format!("{count:>8} {word}\n")).collect()
}

fn sum(table: &str) -> u64 {
    table
        .lines()
        .map(|line| line.split_whitespace().next().and_then(|count| count.parse::<u64>().ok()).expect("a count"))
        .sum()
}

fn files(tree: &Tree, texts: &[String]) -> Vec<String> {
    let name = |(index, text)| {
        tree.file(format!("{index}"), text);
        format!("{index}")
    };
    texts.iter().enumerate().map(name).collect()
}

#[test]
fn it_counts_what_a_loop_counts() {
    let (tree, texts) = (Tree::new(), texts());
    let files = files(&tree, &texts);
    let expected = table(texts.iter().map(String::as_str));
    let summary = format!("{} words, {} different, 6 of 6 files read\n", sum(&expected), expected.lines().count());
    for how in [&["--workers=1"][..], &["--workers=2"], &["--workers", "5"], &[]] {
        let args = how.iter().map(|word| (*word).to_owned()).chain(files.clone());
        assert_output(&run("pipeline", tree.root(), args), 0, &expected, &summary);
    }
    let top = expected.split_inclusive('\n').take(3).collect::<String>();
    let args = ["--top=3".to_owned()].into_iter().chain(files);
    assert_output(&run("pipeline", tree.root(), args), 0, top, &summary);
}

#[test]
fn a_limit_is_met_to_the_word_and_what_was_counted_is_printed() {
    let (tree, texts) = (Tree::new(), texts());
    let files = files(&tree, &texts);
    let all: HashMap<_, _> = counts(&table(texts.iter().map(String::as_str)));
    for limit in [0, 1, 999, 30_000, 150_000] {
        for workers in ["1", "3"] {
            let args = [format!("--limit={limit}"), format!("--workers={workers}")].into_iter().chain(files.clone());
            let output = run("pipeline", tree.root(), args);
            let printed = String::from_utf8(output.stdout).expect("text");
            assert_eq!(sum(&printed), limit);
            let too_often = counts(&printed).into_iter().find(|(word, count)| *count > all[word]);
            assert_eq!(too_often, None);
            let summary = String::from_utf8(output.stderr).expect("text");
            let expected = format!("limit reached: {limit} words, {} different, ", printed.lines().count());
            assert!(summary.starts_with(&expected), "{summary}");
            assert_eq!(output.status.code(), Some(0));
        }
    }
}

fn counts(table: &str) -> HashMap<String, u64> {
    let line = |line: &str| {
        let (count, word) = line.trim().split_once(' ').expect("a count and a word");
        (word.to_owned(), count.parse().expect("a number"))
    };
    table.lines().map(line).collect()
}

/// The reader sits in a call that nobody can interrupt: everything that was read before is counted all the same.
#[test]
fn ctrl_c_reports_what_was_read_while_the_reader_is_stuck() {
    let tree = Tree::new();
    tree.file("before", "one two two\n");
    let made = Command::new("mkfifo").arg(tree.path("fifo")).status().expect("mkfifo runs");
    assert!(made.success());
    const PAIRS: u64 = 100_000;
    for workers in ["--workers=1", "--workers=2"] {
        let mut child =
            command("pipeline", tree.root(), [workers, "before", "fifo", "never"]).spawn().expect("it starts");
        wait_until(&mut child, catches_sigint);
        // Opened for both: nobody has to be there, and the reader never sees an end.
        let mut fifo = OpenOptions::new().read(true).write(true).open(tree.path("fifo")).expect("the pipe");
        // Far more than the pipe holds: when it is written, most of it has been read.
        fifo.write_all("ping pong\n".repeat(PAIRS as usize).as_bytes()).expect("somebody reads");
        signal("INT", child.id());
        let output = finish(child);
        drop(fifo);

        let printed = String::from_utf8(output.stdout).expect("text");
        let words = counts(&printed);
        // What fits into the pipe, and into one read, may not have come so far.
        let (ping, pong) = (words["ping"], words["pong"]);
        assert!(ping.abs_diff(pong) <= 1 && (PAIRS - 20_000..=PAIRS).contains(&ping), "{printed}");
        assert_eq!((words["one"], words["two"], words.len()), (1, 2, 4));
        let stderr = format!("SIGINT was received: {} words, 4 different, 1 of 3 files read\n", ping + pong + 3);
        assert_eq!(String::from_utf8_lossy(&output.stderr), stderr);
        assert_eq!(output.status.code(), Some(130));
    }
}

#[test]
fn unreadable_files_are_error_lines_and_the_rest_is_counted() {
    let tree = Tree::new();
    tree.file("a", "word");
    let complaints = "pipeline: missing: No such file or directory (os error 2)\n\
        pipeline: .: Is a directory (os error 21)\n1 words, 1 different, 1 of 3 files read\n";
    assert_output(&run("pipeline", tree.root(), ["missing", ".", "a"]), 1, "       1 word\n", complaints);
}

#[test]
fn arguments_that_make_no_sense_are_refused_with_the_usage() {
    assert_usage("pipeline", &[&[], &["--top", "few", "x"], &["--limit=-1", "x"], &["--workers=0", "x"], &["-x"]]);
}
