//! The report to read.

use crate::{
    group::Line,
    run::{Chart, Run},
};
use greenlight_benches::short;
use std::fmt::Write;

const HEAD: &str = "\
Nanoseconds for an operation: the median of the repeats, and in parentheses the least and the greatest. *Grows*: how many times as \
much the greatest size takes as the smallest, by the least of each; and the steepest step, if that is over 1.5. A line must not grow, but for \
those that are marked with ↗. `~`: others kept the machine busy meanwhile.
";

/// A step that is less steep than this is not worth a word.
const STEEP: f64 = 1.5;

/// All of it.
pub(crate) fn report(run: &Run) -> String {
    let mut text = String::from("# Growth\n\n");
    for (name, value) in &run.about {
        let _ = writeln!(text, "- {name}: {value}");
    }
    let _ = writeln!(text, "\n{HEAD}");
    run.charts.iter().for_each(|chart| table(&mut text, chart));
    if !run.failures.is_empty() {
        let _ = writeln!(text, "\n## Failures\n\n- {}", run.failures.join("\n- "));
    }
    text
}

fn table(text: &mut String, chart: &Chart) {
    let group = chart.group;
    let _ = writeln!(text, "\n## {}\n\n{}\n", group.name, group.how);
    let heads = chart.sizes.iter().map(|size| format!("{}{}", if size.others.disturb { "~" } else { "" }, size.size));
    let _ = writeln!(text, "| {} | {} | grows |", group.of, heads.collect::<Vec<_>>().join(" | "));
    let _ = writeln!(text, "|---|{}---|", "---|".repeat(chart.sizes.len()));
    for line in group.lines {
        let cell = |spread: Option<_>| spread.map_or_else(String::new, |spread| format!("{spread}"));
        let cells: Vec<_> = chart.sizes.iter().map(|size| cell(size.spread(line))).collect();
        let mark = if line.must_grow { " ↗" } else { "" };
        let _ = writeln!(text, "| {}{mark} | {} | {} |", line.name, cells.join(" | "), growth(chart, line));
    }
    let _ = writeln!(text);
    for line in group.lines {
        let _ = writeln!(text, "- **{}**: {}", line.name, line.what);
    }
}

/// How much more the last size takes than the first, and which step is to blame.
fn growth(chart: &Chart, line: &Line) -> String {
    let best = chart.best(line);
    let [(_, first), .., (_, last)] = best[..] else { return String::new() };
    let mut text = format!("×{}", short(last / first));
    let step = |pair: &[(usize, f64)]| (pair[1].1 / pair[0].1, pair[0].0, pair[1].0);
    let steepest = best.windows(2).map(step).max_by(|a, b| a.0.total_cmp(&b.0));
    if let Some((times, from, to)) = steepest.filter(|(times, ..)| *times > STEEP) {
        let _ = write!(text, "; ×{} from {from} to {to}", short(times));
    }
    text
}
