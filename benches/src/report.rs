//! The table.

use crate::{Column, Spread, Whose::*, clock, measure::Row};
use std::{fs, thread};

pub(crate) fn head<S>(columns: &[Column<S>], rounds: usize, what: &str) {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    println!("\n{} per {what}, median (least) of {rounds} rounds; {cpus} CPUs; load {}\n", clock::name(), load());
    let names: Vec<_> = columns.iter().map(|column| column.name).collect();
    println!("| workload | {} | ours (on OS threads) / best peer |", names.join(" | "));
    println!("|---|{}---|", "---:|".repeat(columns.len()));
}

pub(crate) fn row<S>(name: &str, columns: &[Column<S>], row: &Row) {
    let cells: Vec<_> = row.iter().map(|times| cell(times)).collect();
    println!("| {name} | {} | {} |", cells.join(" | "), verdict(columns, row));
}

/// The last line of a run.
pub fn foot() {
    println!("\nload at the end: {}", load());
}

/// A neighbour's work falsifies everything above: how much of it there was.
fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown").to_owned()
}

fn cell(times: &[f64]) -> String {
    let spread = Spread::of(times.iter().copied());
    spread.map_or_else(String::new, |Spread { median, least, .. }| format!("{} ({})", short(median), short(least)))
}

/// Three digits are more than a run repeats.
fn short(ns: f64) -> String {
    format!("{ns:.*}", if ns < 100.0 { 1 } else { 0 })
}

/// Our best column beside the best peer, and behind it our column on OS threads, which is where the peers run.
fn verdict<S>(columns: &[Column<S>], row: &Row) -> String {
    let median = |times: &Vec<f64>| Some(Spread::of(times.iter().copied())?.median);
    let mut cells: Vec<_> =
        columns.iter().zip(row).filter_map(|(column, times)| Some((column, median(times)?))).collect();
    cells.sort_by(|a, b| a.1.total_cmp(&b.1));
    let find = |wanted: fn(&Column<S>) -> bool| cells.iter().find(|(column, _)| wanted(column));
    let (Some((_, ours)), Some((_, threads)), Some((peer, theirs))) = (
        find(|column| matches!(column.whose, Ours | OursGreen)),
        find(|column| column.whose == Ours),
        find(|column| column.whose == Peers),
    ) else {
        return String::new();
    };
    format!("{:.2} ({:.2}) × {}", ours / theirs, threads / theirs, peer.name)
}
