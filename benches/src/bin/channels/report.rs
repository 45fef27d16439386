//! The table.

use crate::workloads::{Column, Whose::*};
use std::{fs, thread};

/// For each column the ns per message of its rounds; none where the peer has no such thing.
pub(crate) type Row = Vec<Vec<f64>>;

pub(crate) fn head(columns: &[Column], rounds: usize, bytes: usize) {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    println!("ns per message of {bytes} bytes, median (least) of {rounds} rounds; {cpus} CPUs; load {}\n", load());
    let names: Vec<_> = columns.iter().map(|column| column.name).collect();
    println!("| workload | {} | ours (on OS threads) / best peer |", names.join(" | "));
    println!("|---|{}---|", "---:|".repeat(columns.len()));
}

pub(crate) fn row(name: &str, columns: &[Column], row: &Row) {
    let cells: Vec<_> = row.iter().map(|times| cell(times)).collect();
    println!("| {name} | {} | {} |", cells.join(" | "), verdict(columns, row));
}

pub(crate) fn foot() {
    println!("\nload at the end: {}", load());
}

/// A neighbour's work falsifies everything above: how much of it there was.
fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown").to_owned()
}

fn cell(times: &[f64]) -> String {
    let least = times.iter().copied().reduce(f64::min);
    median(times).zip(least).map_or_else(String::new, |(median, least)| format!("{} ({})", short(median), short(least)))
}

/// Three digits are more than a run repeats.
fn short(ns: f64) -> String {
    format!("{ns:.*}", if ns < 100.0 { 1 } else { 0 })
}

fn median(times: &[f64]) -> Option<f64> {
    let mut times = times.to_vec();
    times.sort_unstable_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

/// Our best column beside the best peer, and behind it our column on OS threads, which is where the peers run.
fn verdict(columns: &[Column], row: &Row) -> String {
    let mut cells: Vec<_> =
        columns.iter().zip(row).filter_map(|(column, times)| Some((column, median(times)?))).collect();
    cells.sort_by(|a, b| a.1.total_cmp(&b.1));
    let find = |wanted: fn(&Column) -> bool| cells.iter().find(|(column, _)| wanted(column));
    let (Some((_, ours)), Some((_, threads)), Some((peer, theirs))) = (
        find(|column| matches!(column.whose, Ours | OursGreen)),
        find(|column| column.whose == Ours),
        find(|column| column.whose == Peers),
    ) else {
        return String::new();
    };
    format!("{:.2} ({:.2}) × {}", ours / theirs, threads / theirs, peer.name)
}
