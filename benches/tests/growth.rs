//! `growth` at a size that takes no time: it measures every line, and its reports are there and can be read.

use serde_json::Value;
use std::{fs, path::PathBuf, process::Command};

const GROUPS: [&str; 4] = ["tasks", "select", "timers", "workers"];

/// Runs it and returns where its reports are.
fn run(name: &str, arguments: &[&str]) -> PathBuf {
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    // What an earlier run has left proves nothing.
    _ = fs::remove_dir_all(&out);
    let output = Command::new(env!("CARGO_BIN_EXE_growth"))
        .args(["--enough", "0", "--out"])
        .arg(&out)
        .args(arguments)
        .output()
        .expect("the program");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    out
}

/// Each `<a …>` has its `</a>` at the right place, or ends by `/>`: how many there are of each.
fn elements(svg: &str) -> Vec<&str> {
    let (mut open, mut all) = (Vec::new(), Vec::new());
    for tag in svg.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("an end of each tag");
        let name = tag.split(|c: char| c.is_whitespace() || c == '/').next().expect("a name");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else {
            all.push(name);
            if !tag.ends_with('/') {
                open.push(name);
            }
        }
    }
    assert!(open.is_empty(), "{open:?} have no end");
    all
}

#[test]
fn each_group_has_its_lines_in_every_report() {
    let out = run("growth", &["--most", "10"]);
    let read = |name: &str| fs::read_to_string(out.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let report: Value = serde_json::from_str(&read("growth.json")).expect("JSON");
    let markdown = read("growth.md");
    let groups = report["groups"].as_array().expect("groups");
    assert_eq!(groups.iter().map(|group| group["name"].as_str().unwrap()).collect::<Vec<_>>(), GROUPS);
    for group in groups {
        let name = group["name"].as_str().expect("a name");
        assert!(markdown.contains(&format!("\n## {name}\n")), "{name}");
        let svg = read(&format!("{name}.svg"));
        let lines = group["lines"].as_array().expect("lines");
        // A line with many points is a polyline, and each point is a circle.
        let (mut curves, mut points) = (0, 0);
        for line in lines {
            let line_name = line["name"].as_str().expect("a name");
            assert!(markdown.contains(&format!("\n| {line_name}")) && svg.contains(line_name), "{name}, {line_name}");
            let of_line = line["points"].as_array().expect("points");
            (curves, points) = (curves + usize::from(of_line.len() > 1), points + of_line.len());
            for point in of_line {
                let ns = point["ns"].as_array().expect("samples");
                assert!(!ns.is_empty() && ns.iter().all(|ns| ns.as_f64().is_some_and(|ns| ns >= 0.0)), "{point}");
            }
            // Those that begin at a size beyond this one.
            let late = ["green, stacks never used", "sleep of a future, to its end"].contains(&line_name);
            assert_eq!(of_line.is_empty(), late, "{name}, {line_name}");
        }
        let elements = elements(&svg);
        let count = |name| elements.iter().filter(|element| **element == name).count();
        assert!(count("svg") == 1 && count("polyline") >= curves && count("circle") == points, "{name}: {elements:?}");
    }
}

#[test]
fn one_size_is_no_chart_without_points() {
    let out = run("growth-1", &["--only", "select", "--most", "1"]);
    assert!(!elements(&fs::read_to_string(out.join("select.svg")).expect("a chart")).is_empty());
    assert!(!out.join("tasks.svg").exists(), "it was not asked for");
}

#[test]
fn what_it_does_not_know_it_refuses() {
    for arguments in [["--only", "stacks"], ["--most", "0"], ["--enough", "soon"], ["point", "tasks"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_growth")).args(arguments).output().expect("the program");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("growth [OPTIONS]"), "{arguments:?}");
    }
}

#[test]
fn the_late_lines_are_measured_where_they_begin() {
    for (group, line) in [("tasks", "green, stacks never used"), ("timers", "sleep of a future, to its end")] {
        let output = Command::new(env!("CARGO_BIN_EXE_growth"))
            .args(["point", group, "1000", "0"])
            .output()
            .expect("the program");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains(&format!("growth\t{line}\t")), "{group}");
    }
}
