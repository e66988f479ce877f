//! Charts as inline SVG, drawn twice: for a wide place and for a narrow one, so that the words in
//! them stay readable. The style sheet shows the one that fits.
//!
//! All amounts are decimals; only places on the drawing are floats.

use minijinja::value::Value;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::Serialize;

use super::table::{Cell, Column, Table};
use crate::render::text::{escape, width};

/// What is drawn over the slots of a horizontal axis: days, runs.
pub struct Plot<'a> {
    /// What it shows, in a sentence, for who cannot see it.
    pub label: &'a str,
    pub caption: &'a str,
    /// Name of the slots, over the table: `Day`.
    pub slot: &'static str,
    /// One text for each slot.
    pub slots: Vec<String>,
    pub columns: Option<Columns<'a>>,
    pub lines: Vec<Line<'a>>,
    pub band: Option<Band<'a>>,
    pub limit: Option<Limit<'a>>,
    /// The axis ends here, unless a value is beyond it.
    pub floor: Option<Decimal>,
    pub ceiling: Option<Decimal>,
    /// How a value is written: `1,234.50`, `87.9 %`.
    pub shown: fn(Decimal) -> String,
}

/// One column for each slot that has a value.
pub struct Columns<'a> {
    pub name: &'a str,
    pub values: Vec<Option<Decimal>>,
    /// Paler from the first slot to this one (exclusive): last month before this one.
    pub dim: usize,
}

/// A line through the slots that have a value; it breaks where one has none.
pub struct Line<'a> {
    pub name: &'a str,
    pub values: Vec<Option<Decimal>>,
    pub kind: LineKind,
    /// Slots whose dots are hollow: what they stand for was not fully seen.
    pub hollow: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    Main,
    Second,
    /// A forecast.
    Dashed,
}

/// From a low to a high value in each slot that has them.
pub struct Band<'a> {
    pub name: &'a str,
    pub values: Vec<Option<(Decimal, Decimal)>>,
}

/// One value for all slots: a budget, a target.
pub struct Limit<'a> {
    pub name: &'a str,
    pub value: Decimal,
}

/// A chart for the macro `chart` of `parts.html`.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    caption: String,
    svg: Value,
    table: Table,
}

/// Measures of one drawing, in units of its view box; text is 12 high.
struct Size {
    class: &'static str,
    width: f64,
    height: f64,
}

const SIZES: [Size; 2] = [
    Size {
        class: "wide",
        width: 1080.0,
        height: 250.0,
    },
    Size {
        class: "narrow",
        width: 320.0,
        height: 200.0,
    },
];

/// Width of a character of text 12 high, rather too wide than too narrow.
const CHARACTER: f64 = 7.0;

/// Slots from which on lines have no dots.
const MOST_DOTS: usize = 45;

impl Plot<'_> {
    /// Draws it. `None` where there is no value at all.
    pub fn figure(&self) -> Option<Figure> {
        let scale = self.scale()?;
        let mut svg = String::new();
        for size in &SIZES {
            self.draw(size, &scale, &mut svg);
        }
        svg.push_str(&self.legend());
        Some(Figure {
            caption: self.caption.to_owned(),
            svg: Value::from_safe_string(svg),
            table: self.table(),
        })
    }

    fn values(&self) -> impl Iterator<Item = Decimal> {
        let columns = self.columns.iter().flat_map(|c| c.values.iter().flatten());
        let lines = self.lines.iter().flat_map(|l| l.values.iter().flatten());
        let band = self.band.iter().flat_map(|b| b.values.iter().flatten());
        columns
            .chain(lines)
            .copied()
            .chain(band.flat_map(|(low, high)| [*low, *high]))
    }

    /// Lowest and highest value of the axis, and the values that have a line across.
    fn scale(&self) -> Option<Scale> {
        let all = || self.values().chain(self.limit.iter().map(|l| l.value));
        let highest = all().max()?.max(self.ceiling.unwrap_or(Decimal::MIN));
        let mut lowest = all().min()?;
        // Columns stand on zero, or they would lie.
        if self.columns.is_some() {
            lowest = lowest.min(Decimal::ZERO);
        }
        if let Some(floor) = self.floor {
            lowest = lowest.min(floor);
        }
        let (low, mut high) = (float(lowest), float(highest));
        if high <= low {
            high = low + 1.0;
        }
        // Steps of 1, 2, 2.5 or 5 times a power of ten, so that three to six fit.
        let rough = (high - low) / 4.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0]
            .into_iter()
            .map(|n| n * power)
            .find(|step| *step >= rough)
            .unwrap_or(power * 10.0);
        let bottom = (low / step).floor() * step;
        let top = self.ceiling.map_or(high, float).max(high);
        let top = match self.ceiling {
            Some(_) => top,
            None => (top / step).ceil() * step,
        };
        let mut marks = Vec::new();
        let mut mark = bottom;
        while mark <= top + step / 1000.0 && marks.len() < 12 {
            marks.push(mark);
            mark += step;
        }
        Some(Scale { bottom, top, marks })
    }

    fn draw(&self, size: &Size, scale: &Scale, out: &mut String) {
        let mark_text =
            |mark: f64| Decimal::try_from(mark).map_or_else(|_| String::new(), self.shown);
        let longest = scale.marks.iter().map(|m| width(&mark_text(*m))).max();
        let left = longest.unwrap_or(0) as f64 * CHARACTER + 8.0;
        let (right, top, bottom) = (size.width - 6.0, 14.0, size.height - 24.0);
        let slot = (right - left) / self.slots.len().max(1) as f64;
        let x = |i: usize| left + slot * (i as f64 + 0.5);
        let y = |value: f64| {
            bottom - (value - scale.bottom) / (scale.top - scale.bottom) * (bottom - top)
        };
        out.push_str(&format!(
            "<svg class=\"plot {}\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">",
            size.class,
            size.width,
            size.height,
            html(self.label)
        ));
        for mark in &scale.marks {
            let class = if *mark == scale.bottom {
                "axis"
            } else {
                "grid"
            };
            out.push_str(&format!(
                "<path class=\"{class}\" d=\"M{left:.1} {at:.1}H{right:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 6.0,
                y(*mark) + 4.0,
                html(&mark_text(*mark)),
                at = y(*mark),
            ));
        }
        self.draw_slots(size, left, right, slot, out);
        if let Some(band) = &self.band {
            for part in runs(&band.values) {
                let upper = part.iter().map(|(i, v)| (x(*i), y(float(v.1))));
                let lower = part.iter().rev().map(|(i, v)| (x(*i), y(float(v.0))));
                let points: Vec<String> = upper
                    .chain(lower)
                    .map(|(x, y)| format!("{x:.1},{y:.1}"))
                    .collect();
                out.push_str(&format!(
                    "<polygon class=\"band\" points=\"{}\"/>",
                    points.join(" ")
                ));
            }
        }
        if let Some(columns) = &self.columns {
            let gap = (slot * 0.22).clamp(0.6, 6.0);
            for (i, value) in columns.values.iter().enumerate() {
                let Some(value) = value else { continue };
                let (from, to) = (y(0.0), y(float(*value)));
                let class = if i < columns.dim { " dim" } else { "" };
                out.push_str(&format!(
                    "<rect class=\"column{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{}</title></rect>",
                    x(i) - (slot - gap) / 2.0,
                    from.min(to),
                    slot - gap,
                    (from - to).abs().max(0.5),
                    html(&self.tip(i, columns.name, *value)),
                ));
            }
        }
        for line in &self.lines {
            let class = line.kind.class();
            for part in runs(&line.values) {
                let points: Vec<String> = part
                    .iter()
                    .map(|(i, v)| format!("{:.1},{:.1}", x(*i), y(float(**v))))
                    .collect();
                out.push_str(&format!(
                    "<polyline class=\"line{class}\" points=\"{}\"/>",
                    points.join(" ")
                ));
            }
            let few = self.slots.len() <= MOST_DOTS;
            for (i, value) in line.values.iter().enumerate() {
                let Some(value) = value else { continue };
                let hollow = line.hollow.contains(&i);
                if !few && !hollow {
                    continue;
                }
                out.push_str(&format!(
                    "<circle class=\"dot{}{}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"><title>{}</title></circle>",
                    if line.kind == LineKind::Second { " second" } else { "" },
                    if hollow { " hollow" } else { "" },
                    x(i),
                    y(float(*value)),
                    html(&self.tip(i, line.name, *value)),
                ));
            }
        }
        // Last, so that no bar covers it. Its name is in the legend: among lines there is no place that is
        // always free.
        if let Some(limit) = &self.limit {
            let at = y(float(limit.value));
            out.push_str(&format!(
                "<path class=\"rule\" d=\"M{left:.1} {at:.1}H{right:.1}\"/>"
            ));
        }
        out.push_str("</svg>");
    }

    /// The names under the axis: as many as fit, the last one among them.
    fn draw_slots(&self, size: &Size, left: f64, right: f64, slot: f64, out: &mut String) {
        let longest = self.slots.iter().map(|s| width(s)).max().unwrap_or(0);
        let room = longest as f64 * CHARACTER + 14.0;
        let every = (room / slot).ceil().max(1.0) as usize;
        // From the last one, which is always there, to the first: none may run into the one after it.
        let mut free = f64::INFINITY;
        for (i, name) in self.slots.iter().enumerate().rev() {
            if !(self.slots.len() - 1 - i).is_multiple_of(every) {
                continue;
            }
            let half = width(name) as f64 * CHARACTER / 2.0;
            let middle = left + slot * (i as f64 + 0.5);
            // The first and the last stay inside the drawing.
            let at = middle.min(right - half).max(half);
            if at + half + 6.0 > free {
                continue;
            }
            free = at - half;
            out.push_str(&format!(
                "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                size.height - 7.0,
                html(name)
            ));
        }
    }

    fn tip(&self, slot: usize, name: &str, value: Decimal) -> String {
        let at = self.slots.get(slot).map_or("", String::as_str);
        format!("{at}: {name} {}", (self.shown)(value))
    }

    /// What the forms mean, where there is more than one.
    fn legend(&self) -> String {
        let mut items = Vec::new();
        if let Some(columns) = &self.columns {
            items.push((
                "<rect class=\"column\" width=\"24\" height=\"10\"/>".to_owned(),
                columns.name.to_owned(),
            ));
        }
        for line in &self.lines {
            let class = line.kind.class();
            let drawn = format!("<path class=\"line{class}\" d=\"M0 5H24\"/>");
            items.push((drawn, line.name.to_owned()));
        }
        if let Some(band) = &self.band {
            items.push((
                "<rect class=\"band\" width=\"24\" height=\"10\"/>".to_owned(),
                band.name.to_owned(),
            ));
        }
        if let Some(limit) = &self.limit {
            items.push((
                "<path class=\"rule\" d=\"M0 5H24\"/>".to_owned(),
                format!("{} {}", limit.name, (self.shown)(limit.value)),
            ));
        }
        if items.len() < 2 {
            return String::new();
        }
        let items: Vec<String> = items
            .into_iter()
            .map(|(drawn, name)| {
                format!(
                    "<li><svg class=\"plot-key plot\" viewBox=\"0 0 24 10\" aria-hidden=\"true\">{drawn}</svg>{}</li>",
                    html(&name)
                )
            })
            .collect();
        format!("<ul class=\"legend\">{}</ul>", items.join(""))
    }

    fn table(&self) -> Table {
        let mut columns = vec![Column::text(self.slot)];
        let mut rows: Vec<Vec<Cell>> = self
            .slots
            .iter()
            .map(|slot| vec![Cell::text(slot.as_str())])
            .collect();
        let mut push = |name: &str, cells: Vec<String>| {
            columns.push(Column {
                name: name.to_owned().into(),
                ..Column::number("")
            });
            for (row, cell) in rows.iter_mut().zip(cells) {
                row.push(Cell::text(cell));
            }
        };
        let texts = |values: &[Option<Decimal>]| {
            let text = |v: &Option<Decimal>| v.map_or_else(|| "–".to_owned(), self.shown);
            values.iter().map(text).collect::<Vec<_>>()
        };
        if let Some(columns) = &self.columns {
            push(columns.name, texts(&columns.values));
        }
        for line in &self.lines {
            push(line.name, texts(&line.values));
        }
        if let Some(band) = &self.band {
            let text = |v: &Option<(Decimal, Decimal)>| match v {
                Some((low, high)) => format!("{} to {}", (self.shown)(*low), (self.shown)(*high)),
                None => "–".to_owned(),
            };
            push(band.name, band.values.iter().map(text).collect());
        }
        if let Some(limit) = &self.limit {
            let text = (self.shown)(limit.value);
            push(limit.name, vec![text; self.slots.len()]);
        }
        Table {
            columns,
            rows,
            ..Table::default()
        }
    }
}

/// Values of the axis, from bottom to top.
struct Scale {
    bottom: f64,
    top: f64,
    marks: Vec<f64>,
}

impl LineKind {
    fn class(self) -> &'static str {
        match self {
            LineKind::Main => "",
            LineKind::Second => " second",
            LineKind::Dashed => " dashed",
        }
    }
}

fn float(value: Decimal) -> f64 {
    value.to_f64().unwrap_or_default()
}

/// The slots with values, as far as they follow each other.
fn runs<T>(values: &[Option<T>]) -> Vec<Vec<(usize, &T)>> {
    let mut out: Vec<Vec<(usize, &T)>> = Vec::new();
    let mut open = false;
    for (i, value) in values.iter().enumerate() {
        match (value, open) {
            (Some(value), true) => {
                if let Some(last) = out.last_mut() {
                    last.push((i, value));
                }
            }
            (Some(value), false) => out.push(vec![(i, value)]),
            (None, _) => {}
        }
        open = value.is_some();
    }
    out
}

/// Parts of wholes as bars that fill their place, the first one thick, a second one thin below it;
/// a bar without a number is left out.
pub fn bars(percents: &[Option<Decimal>]) -> Value {
    const KINDS: [(&str, &str, u32); 2] = [("fill", "0", 8), ("fill second", "10", 3)];
    let mut drawn = String::new();
    let mut height = 0;
    for (percent, (class, y, thick)) in percents.iter().zip(KINDS) {
        let Some(percent) = percent else { continue };
        let width = percent
            .clamp(&Decimal::ZERO, &Decimal::ONE_HUNDRED)
            .round_dp(1)
            .normalize();
        // Little is not nothing.
        let width = match *percent > Decimal::ZERO {
            true => width.max(Decimal::ONE),
            false => width,
        };
        drawn.push_str(&format!(
            "<rect class=\"track\" y=\"{y}\" width=\"100\" height=\"{thick}\"/><rect class=\"{class}\" y=\"{y}\" width=\"{width}\" height=\"{thick}\"/>"
        ));
        height = 13;
    }
    if height == 0 {
        return Value::from_safe_string(String::new());
    }
    Value::from_safe_string(format!(
        "<svg class=\"bar\" viewBox=\"0 0 100 {height}\" preserveAspectRatio=\"none\" aria-hidden=\"true\">{drawn}</svg>"
    ))
}

pub(super) fn html(raw: &str) -> String {
    escape(raw)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(n: usize) -> Vec<String> {
        (1..=n).map(|d| format!("{d} Nov")).collect()
    }

    fn plot() -> Plot<'static> {
        Plot {
            label: "Spend \"so\" far",
            caption: "",
            slot: "Day",
            slots: days(30),
            columns: Some(Columns {
                name: "spend",
                values: (0..30)
                    .map(|d| (d < 20).then(|| Decimal::from(d * 3)))
                    .collect(),
                dim: 5,
            }),
            lines: vec![Line {
                name: "forecast",
                values: (0..30)
                    .map(|d| (d >= 19).then(|| Decimal::from(60)))
                    .collect(),
                kind: LineKind::Dashed,
                hollow: vec![],
            }],
            band: Some(Band {
                name: "likely",
                values: (0..30)
                    .map(|d| (d >= 19).then(|| (Decimal::from(50), Decimal::from(70))))
                    .collect(),
            }),
            limit: Some(Limit {
                name: "<budget>",
                value: Decimal::from(65),
            }),
            floor: None,
            ceiling: None,
            shown: crate::model::usd,
        }
    }

    fn attribute(svg: &str, element: &str, name: &str) -> Vec<f64> {
        svg.split(&format!("<{element} "))
            .skip(1)
            .filter_map(|e| {
                let rest = e.split_once(&format!(" {name}=\""))?.1;
                rest.split_once('"')?.0.parse().ok()
            })
            .collect()
    }

    #[test]
    fn everything_lies_inside_and_names_are_escaped() {
        let figure = plot().figure().unwrap();
        let svg = figure.svg.to_string();
        assert!(svg.contains("&lt;budget&gt; 65.00") && svg.contains("&quot;so&quot;"));
        assert!(!svg.contains("<budget"));
        let wide = svg.split("<svg class=\"plot narrow").next().unwrap();
        for (name, most) in [("x", 1080.0), ("y", 250.0)] {
            let all = attribute(wide, "rect", name);
            assert_eq!(all.len(), 20);
            assert!(all.iter().all(|v| (0.0..most).contains(v)), "{all:?}");
        }
        assert_eq!(svg.matches("column dim").count(), 10);
        assert_eq!(figure.table.rows.len(), 30);
        assert_eq!(figure.table.rows[19][3].text, "50.00 to 70.00");
        assert_eq!(figure.table.rows[25][1].text, "–");
    }

    #[test]
    fn names_do_not_run_into_each_other() {
        for n in 2..40 {
            let mut plot = plot();
            plot.columns = None;
            plot.band = None;
            plot.slots = (1..=n).map(|d| format!("{d} Nov 10:00")).collect();
            plot.lines[0].values = vec![Some(Decimal::ONE); n];
            let svg = plot.figure().unwrap().svg.to_string();
            for drawing in svg.split("</svg>").take(2) {
                let mut free = f64::INFINITY;
                for text in drawing
                    .split("<text x=\"")
                    .filter(|t| t.contains("\"middle\""))
                {
                    let at: f64 = text.split('"').next().unwrap().parse().unwrap();
                    let name = text.split(['>', '<']).nth(1).unwrap();
                    let half = width(name) as f64 * CHARACTER / 2.0;
                    assert!(at + half <= free, "{name} of {n}");
                    free = at - half;
                }
            }
            // The limit is named below the drawing, where no line crosses it.
            assert!(!svg.split("<ul").next().unwrap().contains("budget"));
        }
    }

    #[test]
    fn columns_stand_on_zero_and_heights_are_in_proportion() {
        let mut plot = plot();
        plot.limit = None;
        let svg = plot.figure().unwrap().svg.to_string();
        let wide = svg.split("<svg class=\"plot narrow").next().unwrap();
        let heights = attribute(wide, "rect", "height");
        let ratio = heights[18] / heights[9];
        assert!((ratio - 2.0).abs() < 0.02, "{ratio}");
    }

    #[test]
    fn a_line_breaks_where_nothing_is_known_and_nothing_at_all_is_no_chart() {
        let mut plot = plot();
        plot.columns = None;
        plot.band = None;
        plot.limit = None;
        plot.lines[0].values = vec![Some(Decimal::ONE), None, Some(Decimal::TWO)];
        plot.slots = days(3);
        let svg = plot.figure().unwrap().svg.to_string();
        assert_eq!(svg.matches("<polyline").count(), 4);
        plot.lines[0].values = vec![None; 3];
        assert!(plot.figure().is_none());
    }

    #[test]
    fn a_little_is_not_nothing() {
        let text = |n: i64| bars(&[Some(Decimal::new(n, 2))]).to_string();
        assert!(text(1).contains("class=\"fill\" y=\"0\" width=\"1\""));
        assert!(text(0).contains("class=\"fill\" y=\"0\" width=\"0\""));
        assert!(text(20_000).contains("class=\"fill\" y=\"0\" width=\"100\""));
        assert_eq!(bars(&[None, None]).to_string(), "");
        assert!(
            !bars(&[Some(Decimal::ONE), None])
                .to_string()
                .contains("second")
        );
    }
}
