//! The plots, in SVG.

use std::path::Path;

use plotters::prelude::*;

use crate::Error;
use crate::cases::Group;
use crate::results::Results;
use crate::servers::Kind;

/// Of the pictures, in pixels.
const SIZE: (u32, u32) = (760, 460);

/// A line of a plot: a server and its points.
type Series = (Kind, Vec<(f64, f64)>);

/// A plot of several servers, both axes logarithmic.
struct Plot<'a> {
    file: &'a str,
    title: &'a str,
    x: &'a str,
    y: &'a str,
    series: Vec<Series>,
}

/// Draws all plots into `directory/benchmarks`. Gives the lines that show them in a page of
/// `directory`.
pub(crate) fn draw(directory: &Path, results: &Results) -> Result<String, Error> {
    let directory = directory.join("benchmarks");
    let failed = |said: String| Error::Write { path: directory.clone(), said };
    std::fs::create_dir_all(&directory).map_err(|error| failed(error.to_string()))?;
    let mut lines = String::new();
    for plot in plots(results) {
        let path = directory.join(plot.file);
        // A run of a few cases leaves the other plots as they are.
        if plot.series.iter().any(|(_, points)| points.len() > 1) {
            plot.draw(&path).map_err(|error| failed(error.to_string()))?;
        }
        if path.exists() {
            lines.push_str(&format!("\n![{}](benchmarks/{})\n", plot.title, plot.file));
        }
    }
    Ok(lines)
}

fn plots(results: &Results) -> [Plot<'static>; 4] {
    let clients = by(results, |index, kind| {
        let case = results.cases.get(index)?;
        let fits = case.group == Group::Cost && (case.windowsize, case.blksize) == (1, 1428);
        let cost = results.median(index, kind, |run| run.cost)?;
        fits.then_some((f64::from(case.clients), cost))
    });
    let storm = by(results, |index, kind| {
        let case = results.cases.get(index)?;
        let seconds = results.median(index, kind, |run| run.seconds)?;
        (case.group == Group::Storm).then_some((f64::from(case.clients), seconds))
    });
    let loss = by(results, |index, kind| {
        let case = results.cases.get(index)?;
        let goodput = results.median(index, kind, |run| run.bytes_per_second)?;
        let fits = case.group == Group::Loss && case.windowsize == 16 && case.loss > 0.0;
        fits.then_some((case.loss, goodput / 1e6))
    });
    let memory = Kind::ALL.map(|kind| {
        let of_kind = results.sessions.iter().filter(|(of, ..)| *of == kind);
        let points = of_kind
            .map(|(_, count, bytes)| (f64::from(*count), f64::from(*count) * bytes.max(1.0) / 1e6));
        (kind, points.collect())
    });
    [
        Plot {
            file: "cost.svg",
            title: "CPU of the server for a block, lock-step x 1428",
            x: "clients",
            y: "microseconds",
            series: clients,
        },
        Plot {
            file: "completion.svg",
            title: "Time until the last of all clients has its 64 KiB",
            x: "clients, all at once",
            y: "seconds",
            series: storm,
        },
        Plot {
            file: "loss.svg",
            title: "Goodput of one client, window 16 x 1428, if the server knows windows",
            x: "loss each way, percent",
            y: "MB/s",
            series: loss,
        },
        Plot {
            file: "memory.svg",
            title: "Memory of the server for open transfers",
            x: "open transfers",
            y: "MB",
            series: memory.into(),
        },
    ]
}

/// A line for each server through the points that its cases give.
fn by(results: &Results, point: impl Fn(usize, Kind) -> Option<(f64, f64)>) -> Vec<Series> {
    let line = |kind| {
        let points = (0..results.cases.len()).filter_map(|index| point(index, kind));
        (kind, points.collect())
    };
    Kind::ALL.map(line).into()
}

impl Plot<'_> {
    fn draw(&self, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
        let points = || self.series.iter().flat_map(|(_, points)| points);
        let range = |of: fn(&(f64, f64)) -> f64| {
            let least = points().map(of).fold(f64::INFINITY, f64::min);
            let most = points().map(of).fold(0.0, f64::max);
            (least / 1.5..most * 1.5).log_scale()
        };
        let root = SVGBackend::new(path, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption(self.title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(70)
            .build_cartesian_2d(range(|point| point.0), range(|point| point.1))?;
        chart.configure_mesh().x_desc(self.x).y_desc(self.y).light_line_style(WHITE).draw()?;
        for (kind, points) in self.series.iter().filter(|(_, points)| !points.is_empty()) {
            let color = color(*kind);
            let width = if *kind == Kind::Memtftp { 3 } else { 1 };
            chart
                .draw_series(
                    LineSeries::new(points.iter().copied(), color.stroke_width(width))
                        .point_size(3),
                )?
                .label(kind.name())
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 18, y)], color.stroke_width(width))
                });
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        root.present()?;
        Ok(())
    }
}

fn color(kind: Kind) -> RGBColor {
    match kind {
        Kind::Memtftp | Kind::Directory => RGBColor(200, 30, 30),
        Kind::Reference => RGBColor(130, 130, 130),
        Kind::Dnsmasq => RGBColor(30, 90, 200),
        Kind::TftpdHpa => RGBColor(30, 150, 70),
        Kind::Atftpd => RGBColor(150, 80, 180),
        Kind::Rtftpd => RGBColor(210, 140, 20),
    }
}
