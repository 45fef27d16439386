//! The report for programs: every repeat.

use crate::run::{Chart, Run};
use serde_json::{Map, Value, json};

/// All of it.
pub(crate) fn report(run: &Run) -> String {
    let about: Map<_, _> = run.about.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let groups: Vec<_> = run.charts.iter().map(group).collect();
    let report = json!({ "about": about, "failures": run.failures, "groups": groups });
    format!("{report:#}\n")
}

fn group(chart: &Chart) -> Value {
    let load: Vec<_> = chart
        .sizes
        .iter()
        .map(|size| json!({ "size": size.size, "others_cpus": size.others.cpus, "disturbed": size.others.disturb }))
        .collect();
    let lines: Vec<_> = chart
        .group
        .lines
        .iter()
        .map(|line| {
            let points: Vec<_> = chart
                .sizes
                .iter()
                .filter(|size| size.spread(line).is_some())
                .map(|size| json!({ "size": size.size, "ns": size.samples(line).collect::<Vec<_>>() }))
                .collect();
            json!({ "name": line.name, "what": line.what, "must_grow": line.must_grow, "points": points })
        })
        .collect();
    json!({ "name": chart.group.name, "of": chart.group.of, "sizes": load, "lines": lines })
}
