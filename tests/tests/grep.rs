//! The grep example beside a sequential run of itself, and beside GNU grep where that is installed.

use greenlight_tests::programs::{Tree, assert_output, assert_usage, command, finish, run};
use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::process::Command;

/// Text of every size around the end of a chunk, in more files than there are places in the pipeline, and odd ones.
fn forest() -> Tree {
    let tree = Tree::new();
    for index in 0_u32..600 {
        let lines = (0..index % 41).map(|line| match (line + index) % 7 {
            0 => format!("the Quick brown fox {line}\n"),
            1 => "\n".to_owned(),
            _ => format!("line {line} of file {index}: jumps:0\n"),
        });
        tree.file(format!("{}/{}/{index}", index % 5, index % 11), lines.collect::<String>());
    }
    for length in [131_070, 131_071, 131_072, 131_073, 262_144, 600_000] {
        let mut text: Vec<u8> =
            (0..length).map(|at| if at % 61 == 60 { b'\n' } else { b'a' + (at % 23) as u8 }).collect();
        text.extend(b"\nquick, at the end");
        tree.file(format!("lengths/{length}"), text);
    }
    // One line of 300 kB, and fifty thousand that match: the answer is far longer than the channels hold.
    tree.file("long line", [vec![b'x'; 300_000], b" quick".to_vec()].concat());
    tree.file("many", "quick\n".repeat(50_000));
    tree.file("no end", "not the last\nquick");
    tree.file("empty", "");
    tree.file("binary", b"\0 quick\nquick\n");
    tree.file("not UTF-8", b"\xff\xfe quick \xff\n");
    tree
}

#[test]
fn it_prints_what_a_sequential_run_prints() {
    let tree = forest();
    for options in [
        &["quick"][..],
        &["-i", "quick"],
        &["-n", "^$"],
        &["-l", "Quick"],
        &["-c", "jumps:0$"],
        &["-in", r"f\w+\s1\d?$"],
    ] {
        let sequential = run("grep", tree.root(), [&["--sequential"], options].concat());
        assert_eq!(sequential.status.code(), Some(0));
        assert!(!sequential.stdout.is_empty() && sequential.stderr.is_empty());
        for how in [&["--workers=1"][..], &["--workers", "2"], &["--workers", "5"], &[]] {
            assert_output(&run("grep", tree.root(), [how, options].concat()), 0, &sequential.stdout, "");
        }
        let unordered = run("grep", tree.root(), [&["--unordered"], options].concat());
        assert_eq!(sorted(&unordered.stdout), sorted(&sequential.stdout));

        let gnu = Command::new("grep")
            .env("LC_ALL", "C")
            .args(["-r", "-P"])
            .args(options)
            .arg(".")
            .current_dir(tree.root())
            .output();
        match gnu {
            Ok(gnu) if gnu.status.success() => {
                // The hint at a binary file is worded in many ways, over the years.
                let plain = |output: &[u8]| {
                    let mut lines = sorted(output).into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>();
                    lines.retain(|line| {
                        !line.to_ascii_lowercase().starts_with(b"binary file") && !line.starts_with(b"grep: ")
                    });
                    lines
                };
                assert_eq!(plain(&sequential.stdout), plain(&gnu.stdout), "{options:?}");
            }
            _ => eprintln!("NOT CHECKED against grep -P, which is not installed"),
        }
    }
}

fn sorted(output: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<_> = output.split_inclusive(|&byte| byte == b'\n').collect();
    lines.sort_unstable();
    lines
}

/// The order of the paths, whatever takes how long; and in each file that of the lines.
#[test]
fn answers_come_in_the_order_of_the_walk() {
    let tree = forest();
    let output = run("grep", tree.root(), ["-n", "quick|Quick", "."]);
    let text = String::from_utf8_lossy(&output.stdout);
    let mut last = BTreeMap::new();
    let mut paths = Vec::new();
    for line in text.lines().filter(|line| !line.contains("binary file matches")) {
        let (path, rest) = line.split_once(':').expect("a path");
        let number: u32 = rest.split_once(':').and_then(|(number, _)| number.parse().ok()).expect("a number");
        if paths.last() != Some(&path) {
            paths.push(path);
        }
        assert!(last.insert(path, number).is_none_or(|before| before < number), "{line}");
    }
    assert!(paths.is_sorted_by_key(|path| path.split('/').collect::<Vec<_>>()), "{paths:?}");
    assert!(paths.is_sorted_by(|a, b| a.split('/').lt(b.split('/'))), "each path once");
}

#[test]
fn what_it_says_of_each_kind_of_file() {
    let tree = Tree::new();
    tree.file("a", "needle\nhay\nneedle: 2");
    tree.file("b/binary", b"needle\0");
    tree.file("b/c", "hay\n");
    symlink("a", tree.path("link")).expect("a link");

    let lines = "./a:needle\n./a:needle: 2\ngrep: ./b/binary: binary file matches\n";
    assert_output(&run("grep", tree.root(), ["needle"]), 0, lines, "");
    assert_output(&run("grep", tree.root(), ["-n", "needle", "a"]), 0, "a:1:needle\na:3:needle: 2\n", "");
    assert_output(&run("grep", tree.root(), ["-l", "NEEDLE", "-i"]), 0, "./a\n./b/binary\n", "");
    assert_output(&run("grep", tree.root(), ["-c", "needle"]), 0, "./a:2\n./b/binary:1\n./b/c:0\n", "");
    assert_output(&run("grep", tree.root(), ["--", "needle", "b/c"]), 1, "", "");
    assert_output(&run("grep", tree.root(), ["-c", "needle", "b/c"]), 1, "b/c:0\n", "");
    // A colon and a zero at the end of a line are no count.
    tree.file("d", "needle:0");
    assert_output(&run("grep", tree.root(), ["needle", "d"]), 0, "d:needle:0\n", "");
    for how in ["--sequential", "--unordered", "--workers=2"] {
        let complaint = "grep: missing: No such file or directory (os error 2)\n";
        assert_output(
            &run("grep", tree.root(), [how, "needle", "missing", "a"]),
            2,
            "a:needle\na:needle: 2\n",
            complaint,
        );
        let complaint = "grep: link: a symbolic link: append / to follow it\n";
        assert_output(&run("grep", tree.root(), [how, "needle", "link"]), 2, "", complaint);
    }
}

#[test]
fn arguments_that_make_no_sense_are_refused_with_the_usage() {
    assert_usage("grep", &[&[], &["("], &["--workers", "0", "x"], &["--workers", "many", "x"], &["-z", "x"], &["-c"]]);
}

#[test]
fn a_reader_who_goes_away_ends_it_quietly() {
    let tree = forest();
    for how in ["--workers=1", "--workers=2", "--unordered", "--sequential"] {
        let mut child = command("grep", tree.root(), [how, "."]).spawn().expect("the example starts");
        let mut stdout = child.stdout.take().expect("a pipe");
        stdout.read_exact(&mut [0]).expect("the first byte");
        drop(stdout);
        let output = finish(child);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(output.status.code(), Some(141), "{how}");
    }
}
