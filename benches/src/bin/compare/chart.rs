//! The report to look at: for each group of workloads a chart of bars, each as long as its peer is better or worse than Go.

use crate::{
    contender::GO,
    goals,
    machine::About,
    rounds::{Row, Run},
    workload::Group,
};
use greenlight_benches::chart::text;
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use std::{io, path::Path};

const BAR: i32 = 11;
const GAP: i32 = 10;
const LEFT: u32 = 190;
const WIDTH: u32 = 960;
const TOP: i32 = 72;

/// Ours in greens and blue, Go in black, the others in warm colours.
const COLORS: &[(&str, RGBColor)] = &[
    ("greenlight", RGBColor(22, 130, 60)),
    ("greenlight-roaming", RGBColor(70, 160, 90)),
    ("greenlight-async", RGBColor(120, 190, 120)),
    ("threads+greenlight", RGBColor(60, 130, 190)),
    (GO, RGBColor(30, 30, 30)),
    ("tokio", RGBColor(205, 75, 50)),
    ("tokio+kanal", RGBColor(235, 150, 110)),
    ("may", RGBColor(150, 90, 170)),
    ("smol", RGBColor(225, 175, 40)),
    ("threads+crossbeam", RGBColor(120, 120, 120)),
    ("threads+flume", RGBColor(150, 150, 150)),
    ("threads+kanal", RGBColor(175, 175, 175)),
    ("threads+std", RGBColor(200, 200, 200)),
];

/// One bar: a contender, and how many times as good as Go it is.
type Bar = (&'static str, f64);

/// One file for each group that was measured beside Go.
pub(crate) fn write(out: &Path, run: &Run, about: &About) -> io::Result<()> {
    for group in Group::ALL {
        let rows: Vec<_> =
            run.rows.iter().filter(|row| row.workload.group == group).filter_map(|row| bars(run, row)).collect();
        if !rows.is_empty() {
            let path = out.join(format!("{}.svg", group.name()));
            draw(&path, group, &rows, about).map_err(|error| io::Error::other(error.to_string()))?;
        }
    }
    Ok(())
}

/// A row's bars, by its first metric. None if Go has none.
fn bars(run: &Run, row: &Row) -> Option<(String, Vec<Bar>)> {
    let metric = *run.metrics(row).first()?;
    let go = run.spread(row, metric, GO)?.median;
    let bar = |(name, _): &(&'static str, RGBColor)| {
        Some((*name, goals::times(metric, run.spread(row, metric, name)?.median, go)))
    };
    Some((format!("{} {metric}", row.name), COLORS.iter().filter_map(bar).collect()))
}

fn draw(
    path: &Path,
    group: Group,
    rows: &[(String, Vec<Bar>)],
    about: &About,
) -> Result<(), Box<dyn std::error::Error>> {
    let height: i32 = rows.iter().map(|(_, bars)| bars.len() as i32 * BAR + GAP).sum();
    let area = SVGBackend::new(path, (WIDTH, (TOP + height + 40) as u32)).into_drawing_area();
    area.fill(&WHITE)?;
    let fact = |name: &str| about.0.iter().find(|(other, _)| *other == name).map_or("", |(_, value)| value.as_str());
    let title = format!("{}: how many times as good as Go", group.name());
    area.draw_text(&title, &text(18, BLACK), (12, 10))?;
    let place = format!("{}; {}; commit {}; log scale", fact("machine"), fact("date"), fact("commit"));
    area.draw_text(&place, &text(12, RGBColor(90, 90, 90)), (12, 32))?;
    legend(&area, rows)?;

    // A bar that is too long for the chart is cut, and its number says how long it is.
    let ranges = || rows.iter().flat_map(|(_, bars)| bars.iter().map(|(_, times)| *times));
    let (least, most) = (ranges().fold(0.5, f64::min).max(0.02), ranges().fold(2.0, f64::max).min(50.0));
    let scale = (least * 0.9..most * 1.6).log_scale();
    let mut chart = ChartBuilder::on(&area)
        .margin_top(TOP)
        .margin_right(16)
        .x_label_area_size(28)
        .set_label_area_size(LabelAreaPosition::Left, LEFT)
        .build_cartesian_2d(scale, height..0)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .y_labels(0)
        .x_label_formatter(&|times| format!("{times}×"))
        .light_line_style(TRANSPARENT)
        .draw()?;
    let mut y = GAP / 2;
    for (name, bars) in rows {
        let middle = chart.backend_coord(&(least * 0.9, y + bars.len() as i32 * BAR / 2));
        let style = text(13, BLACK).pos(Pos::new(HPos::Right, VPos::Center));
        area.draw_text(name, &style, (LEFT as i32 - 8, middle.1))?;
        for (contender, times) in bars {
            let shown = times.clamp(least, most);
            chart.draw_series([Rectangle::new([(1.0, y + 1), (shown, y + BAR)], color(contender).filled())])?;
            let (x, y_pixel) = chart.backend_coord(&(shown.max(1.0), y + BAR / 2 + 1));
            let label = text(10, RGBColor(60, 60, 60)).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw_text(&format!("{times:.2}"), &label, (x + 4, y_pixel))?;
            y += BAR;
        }
        y += GAP;
    }
    area.present()?;
    Ok(())
}

fn legend(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    rows: &[(String, Vec<Bar>)],
) -> Result<(), Box<dyn std::error::Error>> {
    let mut x = 12;
    for (name, color) in COLORS {
        if rows.iter().any(|(_, bars)| bars.iter().any(|(other, _)| other == name)) {
            area.draw(&Rectangle::new([(x, 54), (x + 9, 63)], color.filled()))?;
            area.draw_text(name, &text(11, BLACK), (x + 13, 53))?;
            x += 24 + 6 * name.len() as i32;
        }
    }
    Ok(())
}

fn color(contender: &str) -> RGBColor {
    COLORS.iter().find(|(name, _)| *name == contender).map_or(BLACK, |(_, color)| *color)
}
