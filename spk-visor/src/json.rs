//! One JSON object on one line (RFC 8259), written field by field.
//!
//! In: names from this program and values of any kind. Out: text that every JSON reader takes:
//! strings are escaped, so a peer's words cannot end the string or the line; numbers that JSON has
//! not (infinite, none) become `null`.

pub mod boot;
pub mod bundle;
pub mod content;
pub mod donor;
pub mod hold;
pub mod media;
pub mod node;
pub mod sets;
pub mod status;

use std::fmt::Write;
use std::time::Duration;

use wire::digits::Hex;
use wire::ledger::Version;

/// An object that is being written.
#[derive(Debug)]
pub struct Object {
    text: String,
}

impl Default for Object {
    fn default() -> Self {
        Self::new()
    }
}

impl Object {
    /// Without fields yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            text: String::from("{"),
        }
    }

    /// The head of every event: its name, and the seconds since the command began.
    #[must_use]
    pub fn event(name: &str, since_start: Duration) -> Self {
        let mut object = Self::new();
        object
            .text("event", name)
            .decimal("seconds", since_start.as_secs_f64());
        object
    }

    /// Adds the counter of a version and its digest, by which it is named.
    pub fn version(&mut self, version: &Version) -> &mut Self {
        self.number("counter", version.counter)
            .text("digest", &Hex(&version.digest).to_string())
    }

    /// Adds a string.
    pub fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.name(name);
        quote(&mut self.text, value);
        self
    }

    /// Adds a whole number. Readers that know only doubles lose nothing below 2^53, 9 PB.
    pub fn number(&mut self, name: &str, value: u64) -> &mut Self {
        self.name(name);
        let _ = write!(self.text, "{value}");
        self
    }

    /// Adds a number with three decimals.
    pub fn decimal(&mut self, name: &str, value: f64) -> &mut Self {
        self.name(name);
        let _ = if value.is_finite() {
            write!(self.text, "{value:.3}")
        } else {
            write!(self.text, "null")
        };
        self
    }

    /// Adds yes or no.
    pub fn flag(&mut self, name: &str, value: bool) -> &mut Self {
        self.name(name);
        self.text.push_str(if value { "true" } else { "false" });
        self
    }

    /// Adds strings.
    pub fn texts<T: AsRef<str>>(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = T>,
    ) -> &mut Self {
        self.name(name);
        self.text.push('[');
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            quote(&mut self.text, value.as_ref());
        }
        self.text.push(']');
        self
    }

    /// Adds an object.
    pub fn object(&mut self, name: &str, value: Self) -> &mut Self {
        self.name(name);
        self.text.push_str(&value.finish());
        self
    }

    /// Adds objects.
    pub fn objects(&mut self, name: &str, values: impl IntoIterator<Item = Self>) -> &mut Self {
        self.name(name);
        self.text.push('[');
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            self.text.push_str(&value.finish());
        }
        self.text.push(']');
        self
    }

    /// The whole object, without a line end.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.text.push('}');
        self.text
    }

    fn name(&mut self, name: &str) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        quote(&mut self.text, name);
        self.text.push(':');
    }
}

// Writing to a String does not fail, here and above.
fn quote(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            // DEL and C1 are allowed in JSON, but not by a terminal that shows the line.
            control if control.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::Object;

    #[test]
    fn every_kind_of_value_is_written() {
        let mut object = Object::new();
        object
            .text("a", "b")
            .number("n", u64::MAX)
            .decimal("d", 1.0 / 3.0)
            .decimal("none", f64::NAN)
            .flag("f", true)
            .texts("list", ["x", "y"])
            .texts::<&str>("empty", []);
        let expected = r#"{"a":"b","n":18446744073709551615,"d":0.333,"none":null,"f":true,"list":["x","y"],"empty":[]}"#;
        assert_eq!(object.finish(), expected);
        assert_eq!(Object::new().finish(), "{}");
        let inner = |number| {
            let mut inner = Object::new();
            inner.number("n", number);
            inner
        };
        let mut outer = Object::new();
        outer
            .object("one", inner(1))
            .objects("two", [inner(2), inner(3)])
            .objects("none", []);
        let expected = r#"{"one":{"n":1},"two":[{"n":2},{"n":3}],"none":[]}"#;
        assert_eq!(outer.finish(), expected);
    }

    #[test]
    fn nothing_in_a_string_ends_it_or_the_line() {
        let mut object = Object::new();
        object.text("t", "\"\\\n\r\t\0\x1b[2J\x7f\u{9b}\u{e9}\u{1f600}");
        let expected =
            "{\"t\":\"\\\"\\\\\\n\\u000d\\t\\u0000\\u001b[2J\\u007f\\u009b\u{e9}\u{1f600}\"}";
        assert_eq!(object.finish(), expected);
    }
}
