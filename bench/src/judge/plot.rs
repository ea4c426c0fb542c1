//! The study as a picture: the share of rollouts that each method has taken back, as time goes by.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

use super::method::METHODS;
use super::study::{Studied, share};

/// The scenarios that are drawn, what is said above each, and minutes to the right edge.
const PANELS: [(&str, &str, f64); 4] = [
    ("equal arms", "healthy: equal arms", 210.0),
    ("drift", "healthy: common drift", 210.0),
    ("outages", "healthy: common outages", 210.0),
    ("errors 5 %", "bad: errors 1 to 5 %", 12.0),
];

/// A colour and a pattern of dashes for each method.
const LINES: [(&str, &str); METHODS.len()] =
    [("#0b6e4f", ""), ("#8c5fbf", "7 3"), ("#c77700", "2 3"), ("#1f77b4", "9 3 2 3")];

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 290.0;
const PANEL: (f64, f64) = (185.0, 180.0);
const TOP: f64 = 70.0;
const LEFT: f64 = 52.0;
const GAP: f64 = 28.0;

pub(super) fn save(studied: &[Studied], file: &Path) -> anyhow::Result<()> {
    let mut svg = String::new();
    writeln!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12" fill="#222">
<title>Share of rollouts taken back over time, by method</title>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>
<text x="{}" y="24" text-anchor="end">rollouts taken back, over time</text>"##,
        WIDTH - 12.0
    )?;
    for (at, (name, (colour, dashes))) in METHODS.iter().zip(LINES).enumerate() {
        let x = LEFT + 130.0 * at as f64;
        writeln!(
            svg,
            r#"<path d="M{x} 20h30" stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/><text x="{}" y="24">{name}</text>"#,
            x + 36.0
        )?;
    }
    for (at, (name, title, minutes)) in PANELS.iter().enumerate() {
        let x = LEFT + at as f64 * (PANEL.0 + GAP);
        frame(&mut svg, x, title, *minutes)?;
        let Some(studied) = studied.iter().find(|one| one.scenario.name == *name) else { continue };
        for (method, (colour, dashes)) in LINES.iter().enumerate() {
            let path = steps(studied, method, x, *minutes);
            writeln!(
                svg,
                r#"<path d="{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/>"#
            )?;
        }
    }
    svg.push_str("</svg>\n");
    std::fs::write(file, svg).with_context(|| format!("can't write {}", file.display()))
}

/// Axes, their numbers, and what is drawn.
fn frame(svg: &mut String, x: f64, title: &str, minutes: f64) -> std::fmt::Result {
    let (width, height) = PANEL;
    writeln!(svg, r#"<text x="{x}" y="{}" font-weight="bold">{title}</text>"#, TOP - 12.0)?;
    for share in [0.0, 0.5, 1.0] {
        let y = TOP + height * (1.0 - share);
        writeln!(svg, r##"<path d="M{x} {y}h{width}" stroke="#ccc"/>"##)?;
        if x == LEFT {
            writeln!(svg, r#"<text x="{}" y="{}" text-anchor="end">{} %</text>"#, x - 6.0, y + 4.0, 100.0 * share)?;
        }
    }
    for (part, anchor, unit) in [(0.0, "middle", ""), (0.5, "middle", ""), (1.0, "end", " min")] {
        let (at, y) = (x + width * part, TOP + height);
        writeln!(svg, r##"<path d="M{at} {y}v4" stroke="#999"/>"##)?;
        writeln!(svg, r#"<text x="{at}" y="{}" text-anchor="{anchor}">{}{unit}</text>"#, y + 18.0, minutes * part)?;
    }
    Ok(())
}

/// A step up for each rollout that is taken back.
fn steps(studied: &Studied, method: usize, x: f64, minutes: f64) -> String {
    let (width, height) = PANEL;
    let judged = studied.judged(method);
    let of = judged.len();
    let mut times: Vec<f64> = judged.iter().filter_map(|one| one.back[method]).collect();
    times.sort_by(f64::total_cmp);
    let mut path = format!("M{x} {}", TOP + height);
    let mut count = 0;
    for at_once in times.chunk_by(|a, b| a == b) {
        if at_once[0] > 60.0 * minutes {
            break;
        }
        count += at_once.len();
        let (across, up) = (x + width * at_once[0] / (60.0 * minutes), TOP + height * (1.0 - share(count, of)));
        path.push_str(&format!("H{across:.1}V{up:.1}"));
    }
    path + &format!("H{}", x + width)
}
