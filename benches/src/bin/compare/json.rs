//! The report for programs: every sample.

use crate::{goals::GOALS, machine::About, rounds::Run};
use serde_json::{Map, Value, json};

/// All of it.
pub(crate) fn report(run: &Run, about: &About) -> String {
    let about: Map<_, _> = about.0.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let rows: Vec<_> = run.rows.iter().map(|row| {
        let cells: Map<_, _> = row.cells.iter().zip(&run.contenders).filter(|(cell, _)| !cell.samples.is_empty() || cell.failure.is_some())
            .map(|(cell, contender)| {
                let samples: Vec<Value> = cell.samples.iter().map(|sample| {
                    let figures: Map<_, _> = sample.figures.iter().map(|(metric, value)| (metric.clone(), json!(value))).collect();
                    json!({ "figures": figures, "seconds": sample.seconds, "others_cpus": sample.others.cpus, "disturbed": sample.others.disturb })
                }).collect();
                let cell = json!({
                    "samples": samples,
                    "failure": cell.failure,
                    "lighter": contender.lighter(row.workload.name),
                });
                (contender.name.to_owned(), cell)
            })
            .collect();
        json!({ "workload": row.name, "what": row.workload.what, "group": row.workload.group.name(), "cells": cells })
    }).collect();
    let goals: Vec<_> = GOALS.iter().filter_map(|goal| {
        let reached = goal.reached(run)?;
        Some(json!({ "workload": goal.row, "metric": goal.metric, "of": goal.who, "reached": reached, "met": goal.is_met(reached) }))
    }).collect();
    let report = json!({ "about": about, "rounds": run.rounds, "goals": goals, "rows": rows });
    format!("{report:#}\n")
}
