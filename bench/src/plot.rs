//! Charts of results, as SVG for light and dark pages.

use std::fmt::Write;

/// The colour of text and lines: a grey that suits both backgrounds, since `currentColor` does not work in an embedded
/// image.
const INK: &str = "#7d8590";

/// The colours of peers and curves: those of Okabe and Ito, which remain distinct with colour blindness.
const COLOURS: [&str; 5] = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00"];

const WIDTH: f64 = 760.0;

/// Writes a chart and prints its path.
pub fn write(path: &str, svg: &str) {
    std::fs::write(path, svg).expect("the picture can be written");
    eprintln!("drew {path}");
}

/// The bars of a scenario: its name, its budget (0 for none), and the ratio to each peer.
pub type Group<'a> = (&'a str, f64, Vec<(&'a str, f64)>);

/// Draws groups of bars. A ratio of 1 means as slow as the peer.
pub fn ratios(title: &str, rows: &[Group<'_>]) -> String {
    const LEFT: f64 = 290.0;
    const BAR: f64 = 15.0;
    let max = rows.iter().flat_map(|(_, _, bars)| bars.iter().map(|(_, ratio)| *ratio)).fold(1.0, f64::max);
    let x = |ratio: f64| LEFT + ratio / max * (WIDTH - LEFT - 60.0);
    let mut body = String::new();
    let mut y = 70.0;
    for (name, budget, bars) in rows {
        let height = BAR * bars.len() as f64;
        text(&mut body, LEFT - 10.0, y + height / 2.0 + 4.0, "end", name);
        for (index, (_, ratio)) in bars.iter().enumerate() {
            let top = y + BAR * index as f64;
            let (width, colour) = (x(*ratio) - LEFT, COLOURS[index % COLOURS.len()]);
            push(
                &mut body,
                format_args!(
                    r#"<rect x="{LEFT}" y="{top:.1}" width="{width:.1}" height="{:.1}" fill="{colour}"/>"#,
                    BAR - 3.0
                ),
            );
            text(&mut body, x(*ratio) + 5.0, top + BAR - 5.0, "start", &format!("{ratio:.2}"));
        }
        if *budget > 0.0 {
            line(
                &mut body,
                (x(*budget), y - 4.0),
                (x(*budget), y + height + 1.0),
                r#"stroke-width="2" stroke-dasharray="3 2""#,
            );
        }
        y += height + 14.0;
    }
    line(&mut body, (x(1.0), 60.0), (x(1.0), y - 8.0), "");
    text(&mut body, x(1.0), 56.0, "middle", "as slow as the peer");
    let legend =
        rows.first().map(|(_, _, bars)| bars.iter().map(|(peer, _)| *peer).collect::<Vec<_>>()).unwrap_or_default();
    legend_row(&mut body, LEFT, y + 10.0, &legend);
    text(&mut body, LEFT, y + 32.0, "start", "dashed: budget, as a share of the first peer");
    page(title, y + 48.0, &body)
}

/// Draws curves. The x axis is logarithmic. The y axis starts at zero, or is logarithmic if the largest value is more
/// than 20 times the smallest.
pub fn curves(title: &str, unit: &str, x_values: &[u64], curves: &[(&str, Vec<f64>)]) -> String {
    const LEFT: f64 = 80.0;
    const TOP: f64 = 50.0;
    const HEIGHT: f64 = 260.0;
    let values = || curves.iter().flat_map(|(_, values)| values).copied();
    let (least, most) = (values().fold(f64::MAX, f64::min), values().fold(f64::MIN_POSITIVE, f64::max));
    let marks: Vec<f64> = if most / least > 20.0 {
        let decades = least.log10().floor() as i32..=most.log10().ceil() as i32;
        decades.map(|decade| 10_f64.powi(decade)).collect()
    } else {
        (0..=4).map(|part| most * 1.1 * f64::from(part) / 4.0).collect()
    };
    let (lowest, highest) = (marks[0], marks[marks.len() - 1]);
    let share = |value: f64| {
        if lowest == 0.0 { value / highest } else { (value / lowest).log10() / (highest / lowest).log10() }
    };
    let x = |index: usize| LEFT + 40.0 + index as f64 * (WIDTH - LEFT - 110.0) / (x_values.len() - 1).max(1) as f64;
    let y = |value: f64| TOP + HEIGHT * (1.0 - share(value));
    let mut body = String::new();
    for mark in &marks {
        line(&mut body, (LEFT, y(*mark)), (WIDTH - 20.0, y(*mark)), r#"stroke-opacity="0.3""#);
        text(&mut body, LEFT - 8.0, y(*mark) + 4.0, "end", &thousands(mark.round() as u64));
    }
    text(&mut body, LEFT, TOP - 8.0, "middle", unit);
    for (index, count) in x_values.iter().enumerate() {
        text(&mut body, x(index), TOP + HEIGHT + 18.0, "middle", &thousands(*count));
    }
    for (number, (_, values)) in curves.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let points: String =
            values.iter().enumerate().map(|(at, value)| format!("{:.1},{:.1} ", x(at), y(*value))).collect();
        push(
            &mut body,
            format_args!(
                r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#,
                points.trim_end()
            ),
        );
        for (at, value) in values.iter().enumerate() {
            push(
                &mut body,
                format_args!(r#"<circle cx="{:.1}" cy="{:.1}" r="3.5" fill="{colour}"/>"#, x(at), y(*value)),
            );
        }
    }
    let legend: Vec<&str> = curves.iter().map(|(name, _)| *name).collect();
    legend_row(&mut body, LEFT, TOP + HEIGHT + 42.0, &legend);
    page(title, TOP + HEIGHT + 60.0, &body)
}

/// Formats 1000000 as 1,000,000.
fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

fn legend_row(body: &mut String, left: f64, y: f64, names: &[&str]) {
    let mut x = left;
    for (index, name) in names.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        push(body, format_args!(r#"<rect x="{x:.1}" y="{:.1}" width="11" height="11" fill="{colour}"/>"#, y - 10.0));
        text(body, x + 16.0, y, "start", name);
        x += 34.0 + 7.0 * name.len() as f64;
    }
}

fn text(body: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    push(body, format_args!(r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{words}</text>"#));
}

fn line(body: &mut String, from: (f64, f64), to: (f64, f64), style: &str) {
    let ((x1, y1), (x2, y2)) = (from, to);
    push(body, format_args!(r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{INK}" {style}/>"#));
}

fn push(body: &mut String, element: std::fmt::Arguments<'_>) {
    // Writing into a string does not fail.
    let _ = writeln!(body, "{element}");
}

fn page(title: &str, height: f64, body: &str) -> String {
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0}" width="{WIDTH}" height="{height:.0}" font-family="sans-serif" font-size="13" fill="{INK}" role="img">
<title>{title}</title>
<text x="10" y="24" font-size="16">{title}</text>
{body}</svg>
"#
    )
}
