//! The report to look at: a chart of lines for each group, both of whose scales are logarithmic.

use crate::run::{Chart, Run};
use greenlight_benches::chart::text;
use plotters::prelude::*;
use std::{io, path::Path};

const WIDTH: u32 = 960;
const HEIGHT: u32 = 540;
/// Between the top and the chart: title and place.
const TOP: u32 = 56;
const LEGEND: i32 = 16;

const COLORS: &[RGBColor] = &[
    RGBColor(22, 130, 60),
    RGBColor(60, 130, 190),
    RGBColor(205, 75, 50),
    RGBColor(150, 90, 170),
    RGBColor(225, 175, 40),
    RGBColor(30, 30, 30),
    RGBColor(120, 190, 120),
    RGBColor(235, 150, 110),
    RGBColor(130, 130, 130),
];

/// One file for each group.
pub(crate) fn write(out: &Path, run: &Run) -> io::Result<()> {
    for chart in run.charts.iter().filter(|chart| !chart.sizes.is_empty()) {
        let path = out.join(format!("{}.svg", chart.group.name));
        draw(&path, chart, run).map_err(|error| io::Error::other(error.to_string()))?;
    }
    Ok(())
}

fn draw(path: &Path, chart: &Chart, run: &Run) -> Result<(), Box<dyn std::error::Error>> {
    let group = chart.group;
    let lines: Vec<_> = group.lines.iter().map(|line| (line, chart.best(line))).collect();
    let below = LEGEND * lines.len() as i32 + 8;
    let area = SVGBackend::new(path, (WIDTH, HEIGHT + below as u32)).into_drawing_area();
    area.fill(&WHITE)?;
    let title = format!("{}: ns for an operation, by the number of {}", group.name, group.of);
    area.draw_text(&title, &text(18, BLACK), (12, 10))?;
    let fact = |name: &str| run.about.iter().find(|(other, _)| *other == name).map_or("", |(_, value)| value.as_str());
    let place = format!("{}; {}; commit {}; the best repeat", fact("machine"), fact("date"), fact("commit"));
    area.draw_text(&place, &text(12, RGBColor(90, 90, 90)), (12, 32))?;

    let (upper, lower) = area.split_vertically(HEIGHT);
    let values = || lines.iter().flat_map(|(_, points)| points.iter().map(|(_, value)| *value));
    let (least, most) = (values().fold(f64::MAX, f64::min), values().fold(f64::MIN, f64::max));
    let sizes = chart.sizes.first().map_or(1, |size| size.size)..chart.sizes.last().map_or(2, |size| size.size).max(2);
    let mut canvas = ChartBuilder::on(&upper)
        .margin_top(TOP)
        .margin_right(24)
        .x_label_area_size(28)
        .y_label_area_size(70)
        .build_cartesian_2d(
            (sizes.start as f64..sizes.end as f64).log_scale(),
            (least / 1.5..most * 1.5).log_scale(),
        )?;
    let label = |number: &f64| number.to_string();
    canvas
        .configure_mesh()
        .light_line_style(RGBColor(240, 240, 240))
        .x_label_formatter(&label)
        .y_label_formatter(&label)
        .draw()?;
    for (index, ((line, points), color)) in lines.iter().zip(COLORS.iter().cycle()).enumerate() {
        let points: Vec<_> = points.iter().map(|(size, value)| (*size as f64, *value)).collect();
        canvas.draw_series([PathElement::new(points.clone(), color.stroke_width(2))])?;
        canvas.draw_series(points.iter().map(|point| Circle::new(*point, 3, color.filled())))?;
        let y = LEGEND * index as i32;
        lower.draw(&Rectangle::new([(70, y + 2), (82, y + 12)], color.filled()))?;
        let grows = if line.must_grow { " ↗" } else { "" };
        lower.draw_text(&format!("{}{grows}: {}", line.name, line.what), &text(11, BLACK), (88, y + 1))?;
    }
    area.present()?;
    Ok(())
}
