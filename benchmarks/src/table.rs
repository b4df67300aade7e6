//! The table that people read: rows with a goal in, lines of cells separated by tabs between the
//! scripts' steps, columns of one width out.

use std::fmt;

/// The first line of the table of `./bench`.
pub const HEADING: &str = "what\tours\tpeer\tratio\tgoal\tgoal is";
/// A cell that has nothing to say.
pub const NOTHING: &str = "-";

/// What the ratio shall be, with the limit as it is printed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// `<= 1.10`
    AtMost(&'static str),
    /// `>= 0.5`
    AtLeast(&'static str),
}

impl Goal {
    /// Whether the ratio, as it is printed, meets the goal. What is no number meets none.
    #[must_use]
    pub fn is_met_by(self, ratio: &str) -> bool {
        let compare =
            |limit: &str, is_met: fn(f64, f64) -> bool| match (ratio.parse(), limit.parse()) {
                (Ok(ratio), Ok(limit)) => is_met(ratio, limit),
                _ => false,
            };
        match self {
            Goal::AtMost(limit) => compare(limit, |ratio, limit| ratio <= limit),
            Goal::AtLeast(limit) => compare(limit, |ratio, limit| ratio >= limit),
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Goal::AtMost(limit) => write!(f, "<= {limit}"),
            Goal::AtLeast(limit) => write!(f, ">= {limit}"),
        }
    }
}

/// One measurement beside its peer.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    what: String,
    ours: String,
    peer: String,
    ratio: String,
    goal: Option<Goal>,
}

impl Row {
    /// A figure that stands alone.
    pub fn alone(what: impl Into<String>, ours: impl Into<String>) -> Self {
        Self::beside(what, ours, NOTHING)
    }

    /// A figure and the peer's, not compared.
    pub fn beside(
        what: impl Into<String>,
        ours: impl Into<String>,
        peer: impl Into<String>,
    ) -> Self {
        Row {
            what: what.into(),
            ours: ours.into(),
            peer: peer.into(),
            ratio: NOTHING.to_owned(),
            goal: None,
        }
    }

    /// With their ratio, which has no goal.
    #[must_use]
    pub fn ratio(self, ratio: impl Into<String>) -> Self {
        Row {
            ratio: ratio.into(),
            ..self
        }
    }

    /// With their ratio and what it shall be.
    #[must_use]
    pub fn goal(self, ratio: impl Into<String>, goal: Goal) -> Self {
        Row {
            goal: Some(goal),
            ..self.ratio(ratio)
        }
    }
}

impl fmt::Display for Row {
    /// Cells separated by tabs, as [`HEADING`] has them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (goal, verdict) = match self.goal {
            None => (NOTHING.to_owned(), NOTHING),
            Some(goal) if goal.is_met_by(&self.ratio) => (goal.to_string(), "met"),
            Some(goal) => (goal.to_string(), "MISSED"),
        };
        let cells = [&self.what, &self.ours, &self.peer, &self.ratio, &goal];
        for cell in cells {
            write!(f, "{cell}\t")?;
        }
        f.write_str(verdict)
    }
}

/// Lines of cells separated by tabs as columns of one width; the first line is the heading.
#[must_use]
pub fn columns(lines: &str) -> String {
    let rows: Vec<Vec<&str>> = lines
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    let mut widths = Vec::new();
    for row in &rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells = widths.iter().enumerate().map(|(column, width)| {
            let cell = row.get(column).copied().unwrap_or_default();
            format!(" {cell:width$} |")
        });
        text.push_str(&format!("|{}\n", cells.collect::<String>()));
        if number == 0 {
            let rules = widths
                .iter()
                .map(|width| format!(" {} |", "-".repeat(*width)));
            text.push_str(&format!("|{}\n", rules.collect::<String>()));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Goal, HEADING, Row, columns};

    #[test]
    fn a_goal_is_met_on_its_limit() {
        assert!(Goal::AtMost("1.10").is_met_by("1.10"));
        assert!(!Goal::AtMost("1.10").is_met_by("1.11"));
        assert!(Goal::AtLeast("0.5").is_met_by("0.50"));
        assert!(!Goal::AtLeast("0.5").is_met_by("0.49"));
        assert!(!Goal::AtMost("1.0").is_met_by("NaN"));
        assert!(!Goal::AtMost("1.0").is_met_by("-"));
    }

    #[test]
    fn a_row_has_the_cells_of_the_heading() {
        let rows = [
            Row::alone("memory", "68 MiB"),
            Row::beside("iso", "5 MiB", "4 MiB bare").ratio("1.25"),
            Row::beside("xz", "3 s", "4 s").goal("0.75", Goal::AtMost("1.0")),
            Row::beside("xz", "3 s", "2 s").goal("1.50", Goal::AtMost("1.10")),
        ];
        let expected = [
            "memory\t68 MiB\t-\t-\t-\t-",
            "iso\t5 MiB\t4 MiB bare\t1.25\t-\t-",
            "xz\t3 s\t4 s\t0.75\t<= 1.0\tmet",
            "xz\t3 s\t2 s\t1.50\t<= 1.10\tMISSED",
        ];
        for (row, expected) in rows.iter().zip(expected) {
            assert_eq!(row.to_string(), expected);
            assert_eq!(expected.split('\t').count(), HEADING.split('\t').count());
        }
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let text = columns("what\tours\na longer one\t1\nb\n");
        let expected = "\
| what         | ours |
| ------------ | ---- |
| a longer one | 1    |
| b            |      |
";
        assert_eq!(text, expected);
        assert_eq!(columns(""), "");
    }
}
