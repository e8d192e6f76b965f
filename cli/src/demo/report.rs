//! The demo's report: one HTML file that shows a run to somebody who was not there.
//!
//! Why one file: it is mailed, archived and opened from a disk, so it loads nothing. The charts are SVG inside the HTML,
//! drawn by `plotters` without fonts or bitmaps; the letters come from the reader's browser.
//!
//! Failure modes: a chart that cannot be drawn and a file that cannot be written are both an [`io::Error`].

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write;
use std::ops::Range;
use std::path::Path;
use std::{fs, io};

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::baseline::{Column, Step};
use super::data::{Case, LICENCE_LINE, STEP_HOURS};

const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(0x26, 0x2b, 0x33);
const FAINT: RGBColor = RGBColor(0xe3, 0xe6, 0xea);
const GREY: RGBColor = RGBColor(0x6b, 0x72, 0x80);
const LIMIT: RGBColor = RGBColor(0xc0, 0x1c, 0x28);
/// One colour a column of the table; told apart by colour-blind readers too (after Okabe and Ito).
const COLUMNS: [RGBColor; 3] =
    [RGBColor(0x99, 0x99, 0x99), RGBColor(0xe6, 0x9f, 0x00), RGBColor(0x00, 0x72, 0xb2)];
const BATTERIES: [RGBColor; 6] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
];

/// A message of the negotiation that the report shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Simulated time, as it is to be shown.
    pub time: String,
    /// Who sent it.
    pub from: String,
    /// Who received it; the sender itself for something it did alone.
    pub to: String,
    /// What it said.
    pub label: String,
}

/// Something the run checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was checked.
    pub what: String,
    /// Whether it held.
    pub ok: bool,
}

/// Everything the report shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The columns of the table, at most three, worst first.
    pub columns: Vec<Column>,
    /// The names of the days, from the first step on.
    pub days: Vec<String>,
    /// Name and energy in kWh of each battery, in the order of [`Step::soc`].
    pub batteries: Vec<(String, f64)>,
    /// Lowest and highest allowed voltage in per unit.
    pub voltage_limits: (f64, f64),
    /// Heading of the sequence chart.
    pub negotiation: String,
    /// Its messages in order; none leaves the chart out.
    pub exchanges: Vec<Exchange>,
    /// Figures of the run, as pairs of name and value.
    pub facts: Vec<(String, String)>,
    /// What was checked.
    pub checks: Vec<Check>,
}

impl Report {
    /// A report of these columns over a case, with no negotiation, facts or checks yet.
    pub fn new(case: &Case, columns: Vec<Column>) -> Report {
        let steps = columns.iter().map(|column| column.steps.len()).max().unwrap_or(0);
        let low = case.buses.iter().skip(1).map(|bus| bus.vm_min).fold(f64::NEG_INFINITY, f64::max);
        let high = case.buses.iter().skip(1).map(|bus| bus.vm_max).fold(f64::INFINITY, f64::min);
        Report {
            columns,
            days: (0..steps).step_by(STEPS_A_DAY).map(|step| day_name(case.time(step))).collect(),
            batteries: case
                .batteries
                .iter()
                .map(|battery| (battery.name.clone(), battery.energy_kwh))
                .collect(),
            voltage_limits: (low, high),
            negotiation: String::new(),
            exchanges: Vec::new(),
            facts: Vec::new(),
            checks: Vec::new(),
        }
    }
}

const STEPS_A_DAY: usize = (24.0 / STEP_HOURS) as usize;

/// `22.05.2016 00:00` as `22 May`; anything else as it is.
fn day_name(time: &str) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let mut parts = time.split(['.', ' ']);
    let day = parts.next().and_then(|day| day.parse::<u8>().ok());
    let month = parts.next().and_then(|month| month.parse::<usize>().ok());
    match (day, month.and_then(|month| MONTHS.get(month.wrapping_sub(1)))) {
        (Some(day), Some(month)) => format!("{day} {month}"),
        _ => time.to_owned(),
    }
}

/// Writes the report, with the folders above it.
///
/// # Errors
/// An [`io::Error`] if the file cannot be written or a chart cannot be drawn.
pub fn write_report(path: &Path, report: &Report) -> io::Result<()> {
    let html = html(report).map_err(|error| io::Error::other(error.to_string()))?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, html)
}

const STYLE: &str = "
:root { color-scheme: light; }
body { margin: 0 auto; max-width: 66rem; padding: 2rem 1.25rem 3rem; font: 16px/1.5 system-ui, sans-serif; color: #262b33; background: #fff; }
h1 { font-size: 1.7rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .3rem; }
p { margin: .3rem 0 .8rem; max-width: 48rem; } .lead { color: #4b5563; }
table { border-collapse: collapse; margin: .8rem 0; } th, td { padding: .35rem .9rem .35rem 0; text-align: left; border-bottom: 1px solid #e3e6ea; }
td.n, th.n { text-align: right; padding-left: 1.4rem; padding-right: 0; font-variant-numeric: tabular-nums; } tr.over td.bad { color: #c01c28; font-weight: 600; }
th i { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .45em; vertical-align: -.05em; }
svg { display: block; width: 100%; height: auto; } figure { margin: 0 0 .5rem; overflow-x: auto; } figure.wide svg { min-width: 44rem; }
ul.checks { list-style: none; padding: 0; } .ok::before { content: '\\2713\\00a0'; color: #15803d; font-weight: 700; } .failed::before { content: '\\2717\\00a0'; color: #c01c28; font-weight: 700; }
footer { margin-top: 2.5rem; padding-top: .8rem; border-top: 1px solid #e3e6ea; font-size: .85rem; color: #4b5563; }
";

fn html(report: &Report) -> Result<String, Box<dyn Error>> {
    let rating = report.columns.first().map_or(0.0, |column| column.rating_kva);
    let mut page = String::new();
    write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Isochrone demo</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>A {rating:.0} kVA transformer and too much sun</h1>\n\
         <p class=\"lead\">The SimBench grid 1-LV-rural1--2-sw in steps of 15 minutes, {}: different ways to run its batteries, PV \
         plants, charging points and heat pumps.</p>\n",
        match (report.days.first(), report.days.last()) {
            (Some(first), Some(last)) if first != last =>
                format!("{} to {} 2016", escape(first), escape(last)),
            (Some(day), _) => format!("{} 2016", escape(day)),
            _ => "no days".to_owned(),
        },
    )?;
    table(&mut page, report)?;
    if !report.checks.is_empty() {
        page.push_str("<ul class=\"checks\">\n");
        for check in &report.checks {
            let class = if check.ok { "ok" } else { "failed" };
            writeln!(
                page,
                "<li class=\"{class}\">{}{}</li>",
                escape(&check.what),
                if check.ok { "" } else { ": failed" }
            )?;
        }
        page.push_str("</ul>\n");
    }
    section(
        &mut page,
        "Load of the transformer",
        "Above zero the grid draws power, below zero it feeds back. Load in kVA is the larger current of the two sides at rated \
         voltage (pandapower's loading); the dashed lines are the rating.",
        &transformer_chart(report)?,
    )?;
    for column in report.columns.iter().filter(|column| column.steps.iter().any(|step| !step.soc.is_empty()))
    {
        section(
            &mut page,
            &format!("State of charge, {}", column.name),
            "Share of its energy that each battery holds at the end of each step.",
            &soc_chart(report, column)?,
        )?;
    }
    section(
        &mut page,
        "Voltage band",
        "From the lowest to the highest voltage of the low-voltage buses; the dashed lines are the limits.",
        &voltage_chart(report)?,
    )?;
    if !report.exchanges.is_empty() {
        section(
            &mut page,
            if report.negotiation.is_empty() { "One negotiation" } else { &report.negotiation },
            "Messages in the order of simulated time, from the top down.",
            &sequence_chart(&report.exchanges)?,
        )?;
    }
    if !report.facts.is_empty() {
        page.push_str("<h2>The run</h2>\n<table>\n");
        for (name, value) in &report.facts {
            writeln!(page, "<tr><th>{}</th><td class=\"n\">{}</td></tr>", escape(name), escape(value))?;
        }
        page.push_str("</table>\n");
    }
    write!(page, "<footer><p>{}</p></footer>\n</body>\n</html>\n", escape(LICENCE_LINE))?;
    Ok(page)
}

fn section(page: &mut String, heading: &str, words: &str, chart: &str) -> std::fmt::Result {
    write!(
        page,
        "<h2>{}</h2>\n<p>{}</p>\n<figure class=\"wide\">{chart}</figure>\n",
        escape(heading),
        escape(words)
    )
}

fn table(page: &mut String, report: &Report) -> std::fmt::Result {
    let sums = report.columns.iter().map(|column| (column, column.summary())).collect::<Vec<_>>();
    page.push_str("<table>\n<tr><th></th>");
    for (index, (column, _)) in sums.iter().enumerate() {
        let RGBColor(r, g, b) = COLUMNS[index % COLUMNS.len()];
        write!(
            page,
            "<th class=\"n\"><i style=\"background:rgb({r},{g},{b})\"></i>{}</th>",
            escape(&column.name)
        )?;
    }
    page.push_str("</tr>\n");
    let mut row = |name: &str, cells: Vec<(String, bool)>| {
        write!(page, "<tr class=\"over\"><th>{name}</th>")?;
        for (text, bad) in cells {
            write!(page, "<td class=\"n{}\">{text}</td>", if bad { " bad" } else { "" })?;
        }
        writeln!(page, "</tr>")
    };
    row(
        "peak of the transformer",
        sums.iter()
            .map(|(column, sum)| (format!("{:.1} kVA", sum.peak_kva), over(sum.peak_kva, column.rating_kva)))
            .collect(),
    )?;
    row(
        "energy over the rating",
        sums.iter().map(|(_, sum)| (format!("{:.0} kWh", sum.over_kwh), sum.over_kwh > 0.0)).collect(),
    )?;
    row(
        "time over the rating",
        sums.iter()
            .map(|(_, sum)| (format!("{:.2} h", sum.steps_over as f64 * STEP_HOURS), sum.steps_over > 0))
            .collect(),
    )?;
    let (low, high) = report.voltage_limits;
    row(
        "lowest voltage",
        sums.iter().map(|(_, sum)| (format!("{:.4} pu", sum.lowest_vm), sum.lowest_vm < low)).collect(),
    )?;
    row(
        "highest voltage",
        sums.iter().map(|(_, sum)| (format!("{:.4} pu", sum.highest_vm), sum.highest_vm > high)).collect(),
    )?;
    page.push_str("</table>\n");
    Ok(())
}

fn over(value: f64, limit: f64) -> bool {
    value > limit
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Draws an SVG of so many units; the browser scales it to the width of the page.
fn svg(
    size: (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> Result<(), Box<dyn Error>>,
) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        draw(&area)?;
        area.present().map_err(|error| error.to_string())?;
    }
    // inside HTML an svg element needs no namespace, and no size but its view box
    let (width, height) = size;
    let inner =
        text.split_once("<svg").and_then(|(_, rest)| rest.split_once('>')).map_or("", |(_, inner)| inner);
    Ok(format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\">{inner}"))
}

/// The frame of a chart over time: days below, a legend above, the axis of values at the left.
fn over_time(
    report: &Report,
    unit: &str,
    values: Range<f64>,
    ticks: usize,
    digits: usize,
    legend: &[(String, RGBColor)],
    draw: impl FnOnce(&mut Chart<'_, '_>) -> Result<(), Box<dyn Error>>,
) -> Result<String, Box<dyn Error>> {
    let steps = report.columns.iter().map(|column| column.steps.len()).max().unwrap_or(0).max(1);
    let hours = steps as f64 * STEP_HOURS;
    let size = (1000, 330);
    svg(size, |area| {
        let mut left = 70;
        for (name, colour) in legend {
            area.draw(&Rectangle::new([(left, 10), (left + 22, 16)], colour.filled())).map_err(text)?;
            left += 28;
            area.draw(&Text::new(name.clone(), (left, 13), label(16, INK, HPos::Left))).map_err(text)?;
            // plotters has no fonts here: leave room for wide letters
            left += 7 * name.chars().count() as i32 + 18;
        }
        let mut chart = ChartBuilder::on(area)
            .margin_top(30)
            .margin_right(20)
            .x_label_area_size(30)
            .y_label_area_size(66)
            .build_cartesian_2d(0.0..hours, values.clone())
            .map_err(text)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .disable_x_axis()
            .light_line_style(TRANSPARENT)
            .bold_line_style(FAINT)
            .axis_style(GREY)
            .y_labels(ticks)
            .y_desc(unit)
            .axis_desc_style(label(16, INK, HPos::Center))
            .y_label_style((FONT, 16, &INK))
            .y_label_formatter(&|value| format!("{value:.digits$}").replace("-0.0", "0.0"))
            .draw()
            .map_err(text)?;
        for (day, name) in report.days.iter().enumerate() {
            let start = day as f64 * 24.0;
            let end = (start + 24.0).min(hours);
            if day > 0 {
                chart
                    .draw_series([PathElement::new([(start, values.start), (start, values.end)], FAINT)])
                    .map_err(text)?;
            }
            let (x, y) = chart.backend_coord(&((start + end) / 2.0, values.start));
            area.draw(&Text::new(name.clone(), (x, y + 18), label(16, INK, HPos::Center))).map_err(text)?;
        }
        draw(&mut chart)
    })
}

fn label(size: u32, colour: RGBColor, side: HPos) -> TextStyle<'static> {
    let style = TextStyle::from((FONT, size).into_font()).pos(Pos::new(side, VPos::Center));
    TextStyle { color: colour.to_backend_color(), ..style }
}

/// Errors of plotters borrow from the backend; what they say is enough.
fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A limit, as a dashed line over the whole time.
fn limit(chart: &mut Chart<'_, '_>, hours: f64, value: f64) -> Result<(), Box<dyn Error>> {
    let line = DashedLineSeries::new([(0.0, value), (hours, value)], 7, 5, LIMIT.stroke_width(2));
    chart.draw_series(line).map_err(text)?;
    Ok(())
}

/// What holds during each step, as the corners of a staircase.
fn staircase(steps: &[Step], value: impl Fn(&Step) -> f64) -> Vec<(f64, f64)> {
    let corner = |(index, step)| {
        let (start, value) = (index as f64 * STEP_HOURS, value(step));
        [(start, value), (start + STEP_HOURS, value)]
    };
    steps.iter().enumerate().flat_map(corner).collect()
}

fn coloured(report: &Report) -> impl DoubleEndedIterator<Item = (&Column, RGBColor)> + ExactSizeIterator {
    report.columns.iter().enumerate().map(|(index, column)| (column, COLUMNS[index % COLUMNS.len()]))
}

fn column_legend(report: &Report, last: &str) -> Vec<(String, RGBColor)> {
    let columns = coloured(report).map(|(column, colour)| (column.name.clone(), colour));
    columns.chain([(last.to_owned(), LIMIT)]).collect()
}

fn hours(report: &Report) -> f64 {
    report.columns.iter().map(|column| column.steps.len()).max().unwrap_or(0).max(1) as f64 * STEP_HOURS
}

fn transformer_chart(report: &Report) -> Result<String, Box<dyn Error>> {
    let rating = report.columns.first().map_or(1.0, |column| column.rating_kva);
    let loads = || report.columns.iter().flat_map(|column| &column.steps).map(|step| step.load_kva);
    let lowest = (loads().fold(-rating, f64::min) / 50.0 - 0.3).floor() * 50.0;
    let highest = (loads().fold(rating, f64::max) / 50.0 + 0.3).ceil() * 50.0;
    over_time(report, "load in kVA", lowest..highest, 12, 0, &column_legend(report, "rating"), |chart| {
        for (column, colour) in coloured(report) {
            let line = staircase(&column.steps, |step| step.load_kva);
            chart.draw_series(LineSeries::new(line, colour.stroke_width(2))).map_err(text)?;
        }
        limit(chart, hours(report), rating)?;
        limit(chart, hours(report), -rating)
    })
}

fn soc_chart(report: &Report, column: &Column) -> Result<String, Box<dyn Error>> {
    let colour = |battery: usize| BATTERIES[battery % BATTERIES.len()];
    let named = report.batteries.iter().enumerate();
    let legend = named
        .map(|(index, (name, kwh))| (format!("{}, {kwh:.0} kWh", short(name)), colour(index)))
        .collect::<Vec<_>>();
    over_time(report, "state of charge in %", 0.0..100.0, 6, 0, &legend, |chart| {
        for battery in 0..report.batteries.len() {
            let ends = column.steps.iter().enumerate();
            let line = ends.filter_map(|(step, state)| {
                Some(((step + 1) as f64 * STEP_HOURS, 100.0 * state.soc.get(battery)?))
            });
            chart.draw_series(LineSeries::new(line, colour(battery).stroke_width(2))).map_err(text)?;
        }
        Ok(())
    })
}

fn voltage_chart(report: &Report) -> Result<String, Box<dyn Error>> {
    let (low, high) = report.voltage_limits;
    let steps = || report.columns.iter().flat_map(|column| &column.steps);
    let lowest = steps().map(|step| step.lowest_vm).fold(low, f64::min) - 0.01;
    let highest = steps().map(|step| step.highest_vm).fold(high, f64::max) + 0.01;
    over_time(report, "voltage in pu", lowest..highest, 10, 2, &column_legend(report, "limits"), |chart| {
        for (column, colour) in coloured(report) {
            let mut band = staircase(&column.steps, |step| step.highest_vm);
            band.extend(staircase(&column.steps, |step| step.lowest_vm).into_iter().rev());
            chart.draw_series([Polygon::new(band, colour.mix(0.3).filled())]).map_err(text)?;
            for edge in [
                staircase(&column.steps, |step| step.highest_vm),
                staircase(&column.steps, |step| step.lowest_vm),
            ] {
                chart.draw_series(LineSeries::new(edge, colour.stroke_width(1))).map_err(text)?;
            }
        }
        limit(chart, hours(report), low)?;
        limit(chart, hours(report), high)
    })
}

/// `LV1.101 Storage 3` as `Storage 3`: in this grid every name begins alike.
fn short(name: &str) -> &str {
    name.strip_prefix("LV1.101 ").unwrap_or(name)
}

/// Lifelines from left to right in the order in which agents first speak or hear, messages from the top down.
fn sequence_chart(exchanges: &[Exchange]) -> Result<String, Box<dyn Error>> {
    const TIMES: i32 = 120;
    const TOP: i32 = 46;
    const ROW: i32 = 30;
    let mut agents = Vec::new();
    let mut known = BTreeSet::new();
    for name in exchanges.iter().flat_map(|exchange| [&exchange.from, &exchange.to]) {
        if known.insert(name) {
            agents.push(name.as_str());
        }
    }
    let gap = (1000 - TIMES) / agents.len().max(1) as i32;
    let gap = gap.max(104);
    let width = (TIMES + gap * agents.len() as i32).max(1000);
    let bottom = TOP + ROW * exchanges.len() as i32 + 14;
    let x = |agent: usize| TIMES + gap / 2 + gap * agent as i32;
    svg((width as u32, bottom as u32 + 8), |area| {
        for (agent, name) in agents.iter().enumerate() {
            let line = [(x(agent), TOP - 14), (x(agent), bottom)];
            area.draw(&PathElement::new(line, RGBColor(0xc4, 0xc9, 0xd1))).map_err(text)?;
            let half = gap / 2 - 4;
            area.draw(&Rectangle::new(
                [(x(agent) - half, 4), (x(agent) + half, TOP - 14)],
                RGBColor(0xee, 0xf4, 0xf9).filled(),
            ))
            .map_err(text)?;
            area.draw(&Rectangle::new([(x(agent) - half, 4), (x(agent) + half, TOP - 14)], COLUMNS[2]))
                .map_err(text)?;
            area.draw(&Text::new(short(name).to_owned(), (x(agent), 18), label(16, INK, HPos::Center)))
                .map_err(text)?;
        }
        let mut time = "";
        for (row, exchange) in exchanges.iter().enumerate() {
            let y = TOP + ROW * row as i32 + 18;
            if exchange.time != time {
                time = &exchange.time;
                area.draw(&Text::new(exchange.time.clone(), (4, y), label(15, GREY, HPos::Left)))
                    .map_err(text)?;
                if row > 0 {
                    area.draw(&PathElement::new([(0, y - 19), (width, y - 19)], FAINT)).map_err(text)?;
                }
            }
            let place = |name: &str| agents.iter().position(|agent| *agent == name).map_or(0, x);
            let (from, to) = (place(&exchange.from), place(&exchange.to));
            let last = from > width - 2 * gap;
            if from == to {
                // something an agent did alone: a mark on its lifeline
                area.draw(&Rectangle::new([(from - 4, y - 7), (from + 4, y + 7)], COLUMNS[2].filled()))
                    .map_err(text)?;
                let (at, side) = if last { (from - 12, HPos::Right) } else { (from + 12, HPos::Left) };
                words(area, &exchange.label, (at, y), side)?;
                continue;
            }
            let ahead = if to > from { 1 } else { -1 };
            area.draw(&PathElement::new([(from, y), (to, y)], INK.stroke_width(1))).map_err(text)?;
            let head = vec![(to, y), (to - 9 * ahead, y - 4), (to - 9 * ahead, y + 4)];
            area.draw(&Polygon::new(head, INK.filled())).map_err(text)?;
            // beside the receiver, so that the words stand over the arrow's own end and not in the middle of others
            let middle =
                if (to - from).abs() <= 2 * gap { (from + to) / 2 } else { to - ahead * (gap + gap / 2) / 2 };
            words(area, &exchange.label, (middle, y - 11), HPos::Center)?;
        }
        Ok(())
    })
}

/// Words with a pale copy behind them, so that a lifeline does not cross them out.
fn words(area: &Area<'_>, what: &str, at: (i32, i32), side: HPos) -> Result<(), Box<dyn Error>> {
    let half = (7 * what.chars().count() as i32) / 2;
    let middle = match side {
        HPos::Left => at.0 + half,
        HPos::Right => at.0 - half,
        HPos::Center => at.0,
    };
    area.draw(&Rectangle::new(
        [(middle - half, at.1 - 7), (middle + half, at.1 + 6)],
        WHITE.mix(0.85).filled(),
    ))
    .map_err(text)?;
    area.draw(&Text::new(what.to_owned(), at, label(16, INK, side))).map_err(text)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::baseline::{self, Policy};
    use crate::demo::grid::Grid;

    fn report() -> Result<Report, Box<dyn Error>> {
        let case = Case::embedded()?;
        let grid = Grid::new(&case)?;
        let columns =
            [Policy::NoStorage, Policy::EachForItself].map(|policy| baseline::run(&case, &grid, policy, 192));
        let mut report = Report::new(&case, columns.into_iter().collect::<Result<_, _>>()?);
        report.exchanges.push(Exchange {
            time: "12:00:00.001".into(),
            from: "coordinator".into(),
            to: "LV1.101 SGen 6".into(),
            label: "call <20 kW".into(),
        });
        report.facts.push(("fingerprint".into(), "0123abcd".into()));
        report.checks.push(Check { what: "energy balance".into(), ok: true });
        report.checks.push(Check { what: "limit kept".into(), ok: false });
        Ok(report)
    }

    #[test]
    fn the_report_holds_the_table_the_charts_the_checks_and_the_licence() -> Result<(), Box<dyn Error>> {
        let html = html(&report()?)?;
        for wanted in [
            "no storage",
            "each for itself",
            "Load of the transformer",
            "State of charge, each for itself",
            "Voltage band",
            "One negotiation",
            "12:00:00.001",
            "coordinator",
            "call &lt;20 kW",
            "22 May",
            "23 May",
            "load in kVA",
            "fingerprint",
            "0123abcd",
            "energy balance",
            "limit kept: failed",
            "Open Database License",
            "10.3390/en13123290",
        ] {
            assert!(html.contains(wanted), "no {wanted:?}");
        }
        assert_eq!(html.matches("<svg").count(), 4);
        assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
        Ok(())
    }

    #[test]
    fn the_report_loads_nothing() -> Result<(), Box<dyn Error>> {
        let html = html(&report()?)?;
        for foreign in
            ["http", "src=", "href=", "<script", "<link", "<img", "<iframe", "@import", "url(", "xmlns"]
        {
            assert!(!html.contains(foreign), "{foreign} in the report");
        }
        Ok(())
    }

    #[test]
    fn the_report_is_written_with_its_folder() -> Result<(), Box<dyn Error>> {
        let folder = std::env::temp_dir().join(format!("isochrone-report-{}", std::process::id()));
        let path = folder.join("demo/report.html");
        write_report(&path, &report()?)?;
        let written = fs::read_to_string(&path)?;
        fs::remove_dir_all(&folder)?;
        assert!(written.starts_with("<!DOCTYPE html>") && written.ends_with("</html>\n"));
        Ok(())
    }

    #[test]
    fn a_report_of_nothing_is_still_a_report() -> Result<(), Box<dyn Error>> {
        let case = Case::embedded()?;
        assert!(html(&Report::new(&case, Vec::new()))?.contains("</html>"));
        Ok(())
    }
}
