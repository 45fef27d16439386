//! The report to read.

use crate::{
    contender::{Contender, GO},
    goals::{self, GOALS, Want},
    machine::About,
    rounds::{Row, Run},
    workload::{Group, more_is_better},
};
use greenlight_benches::short;
use std::fmt::Write;

const HEAD: &str = "\
Each cell: the median of the rounds, and in parentheses the least and the greatest. Of a round, the median of a few repeats in \
one process. *× Go* and *× best peer*: how many times as good our best column in the row is as that; below 1, it is behind. \
The best peer is any that is not ours, Go among them, but none that does the workload in a lighter form.

Marks: `~` others kept the machine busy in more than half of the cell's rounds; a number: the peer does it in a lighter form, \
told below the table; empty: the peer cannot do it.
";

/// All of it.
pub(crate) fn report(run: &Run, about: &About) -> String {
    let mut text = String::from("# Compared\n\n");
    for (name, value) in &about.0 {
        let _ = writeln!(text, "- {name}: {value}");
    }
    let _ = writeln!(text, "- rounds: {}\n\n{HEAD}\n{}", run.rounds, goals(run));
    for group in Group::ALL {
        let rows: Vec<_> = run.rows.iter().filter(|row| row.workload.group == group).collect();
        if !rows.is_empty() {
            table(&mut text, group, &rows, run);
        }
    }
    behind(&mut text, run);
    absent(&mut text, run);
    let failures: Vec<_> = run.failures().collect();
    if !failures.is_empty() {
        let _ = writeln!(text, "\n## Failures\n\n- {}", failures.join("\n- "));
    }
    text
}

/// The table of the goals.
pub(crate) fn goals(run: &Run) -> String {
    let mut text = String::from(
        "## Goals\n\n| workload | of | wanted | reached | in everybody's best round | |\n|---|---|---|---|---|---|\n",
    );
    for goal in GOALS {
        if !run.rows.iter().any(|row| row.name == goal.row) {
            continue;
        }
        let value = |value: f64| short(value);
        let (wanted, unit) = match goal.want {
            Want::Times(least, peer) => (format!("{}× {peer}", value(least)), "×"),
            Want::AtMost(most) => (format!("at most {}", value(most)), ""),
            Want::AtLeast(least) => (format!("at least {}", value(least)), ""),
        };
        let (reached, verdict) = match goal.reached(run) {
            Some(reached) => {
                (format!("{}{unit}", value(reached)), if goal.is_met(reached) { "met" } else { "**unmet**" })
            }
            None => ("".to_owned(), "not measured"),
        };
        let best = goal.reached_at_best(run).map_or_else(String::new, |best| format!("{}{unit}", value(best)));
        let _ = writeln!(
            text,
            "| {} {} | {} | {wanted} | {reached} | {best} | {verdict} |",
            goal.row, goal.metric, goal.who
        );
    }
    text
}

fn table(text: &mut String, group: Group, rows: &[&Row], run: &Run) {
    // A column in which nothing stands is none of this table's.
    let columns: Vec<usize> = (0..run.contenders.len())
        .filter(|column| rows.iter().any(|row| !row.cells[*column].samples.is_empty()))
        .collect();
    let mut notes: Vec<&str> = Vec::new();
    let names: Vec<_> = columns.iter().map(|column| run.contenders[*column].name).collect();
    let _ = writeln!(text, "\n## {}\n", group.name());
    let _ = writeln!(text, "| workload | {} | × Go | × best peer |", names.join(" | "));
    let _ = writeln!(text, "|---|{}---|---|", "---|".repeat(names.len()));
    for row in rows {
        for metric in run.metrics(row) {
            let cells: Vec<_> = columns
                .iter()
                .map(|column| {
                    let (cell, contender) = (&row.cells[*column], &run.contenders[*column]);
                    let Some(spread) = cell.spread(metric) else { return String::new() };
                    let disturbed = if cell.others().is_some_and(|(_, disturbed)| disturbed) { "~" } else { "" };
                    let note =
                        contender.lighter(row.workload.name).map_or_else(String::new, |note| number(&mut notes, note));
                    format!("{disturbed}{spread}{note}")
                })
                .collect();
            let [go, best] = verdicts(run, row, metric);
            let _ = writeln!(text, "| {} {metric} | {} | {go} | {best} |", row.name, cells.join(" | "));
        }
    }
    let _ = writeln!(text);
    for (index, note) in notes.iter().enumerate() {
        let _ = writeln!(text, "{}. {note}", index + 1);
    }
}

/// The place of a note among the table's.
fn number<'a>(notes: &mut Vec<&'a str>, note: &'a str) -> String {
    let index = notes.iter().position(|other| *other == note).unwrap_or_else(|| {
        notes.push(note);
        notes.len() - 1
    });
    format!(" <sup>{}</sup>", index + 1)
}

/// Our best beside Go, and beside the best of the peers.
fn verdicts(run: &Run, row: &Row, metric: &str) -> [String; 2] {
    let best = |wanted: &dyn Fn(&Contender) -> bool| {
        let better = |a: &(f64, &str), b: &(f64, &str)| {
            if more_is_better(metric) { b.0.total_cmp(&a.0) } else { a.0.total_cmp(&b.0) }
        };
        let cells = row.cells.iter().zip(&run.contenders).filter(|(_, contender)| wanted(contender));
        cells.filter_map(|(cell, contender)| Some((cell.spread(metric)?.median, contender.name))).min_by(better)
    };
    let Some((ours, _)) = best(&Contender::ours) else { return [String::new(), String::new()] };
    let beside = |theirs: f64| format!("{:.2}", goals::times(metric, ours, theirs));
    [
        best(&|contender| contender.name == GO).map_or_else(String::new, |(go, _)| beside(go)),
        best(&|contender| !contender.ours() && contender.lighter(row.workload.name).is_none())
            .map_or_else(String::new, |(peer, name)| format!("{} {name}", beside(peer))),
    ]
}

/// For each of our kinds of task, who is ahead of it among the peers: Go among all, the others among their own kind.
fn behind(text: &mut String, run: &Run) {
    let _ = writeln!(text, "\n## Who is ahead\n");
    let _ = writeln!(text, "How many times as good as our column; in parentheses if in a lighter form.\n");
    for ours in run.contenders.iter().filter(|contender| contender.ours()) {
        let threads = ours.name.starts_with("threads");
        let mut lines = Vec::new();
        for row in &run.rows {
            for metric in run.metrics(row) {
                let Some(own) = run.spread(row, metric, ours.name) else { continue };
                let ahead: Vec<_> = run
                    .contenders
                    .iter()
                    .filter(|peer| !peer.ours() && peer.name.starts_with("threads") == threads)
                    .filter_map(|peer| {
                        let times = goals::times(metric, run.spread(row, metric, peer.name)?.median, own.median);
                        let told = format!("{} {}×", peer.name, short(times));
                        let lighter = peer.lighter(row.workload.name).is_some();
                        (times > 1.0).then(|| if lighter { format!("({told})") } else { told })
                    })
                    .collect();
                if !ahead.is_empty() {
                    lines.push(format!("{} {metric}: {}", row.name, ahead.join(", ")));
                }
            }
        }
        let _ = writeln!(
            text,
            "- of {}: {}",
            ours.name,
            if lines.is_empty() { "nobody".to_owned() } else { lines.join("; ") }
        );
    }
}

fn absent(text: &mut String, run: &Run) {
    let mut lines: Vec<(&str, Vec<String>)> = Vec::new();
    for contender in &run.contenders {
        for (workload, why) in contender.absent {
            if !run.rows.iter().any(|row| row.workload.name == *workload) {
                continue;
            }
            let cell = format!("{} {workload}", contender.name);
            match lines.iter_mut().find(|(other, _)| other == why) {
                Some((_, cells)) => cells.push(cell),
                None => lines.push((why, vec![cell])),
            }
        }
    }
    if !lines.is_empty() {
        let _ = writeln!(text, "\n## Absent\n");
    }
    for (why, cells) in lines {
        let _ = writeln!(text, "- {why}: {}", cells.join(", "));
    }
}
