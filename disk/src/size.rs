//! Sizes as people write them: `512M`, `480GB`, and not `1.5T`. Digits, and a unit that dd(1) and
//! numfmt(1) know as well.

/// Units and their bytes. `G` and `GiB` are 1024³, `GB` is 1000³ as on the label of a disk.
const UNITS: [(&str, u64); 13] = [
    ("", 1),
    ("K", 1 << 10),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("M", 1 << 20),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("G", 1 << 30),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("T", 1 << 40),
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
];

/// Reads a size in bytes; `None` when it is no number, has no such unit, or does not fit 64 bits.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let digits = text
        .find(|char: char| !char.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, bytes) = UNITS
        .into_iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.parse::<u64>().ok()?.checked_mul(bytes)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn units_are_those_of_other_tools() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("1K", 1024),
            ("2m", 2 << 20),
            ("480GB", 480_000_000_000),
            ("480G", 480 << 30),
            ("480GiB", 480 << 30),
            ("4tb", 4_000_000_000_000),
            ("16777215T", 16_777_215 << 40),
        ] {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "G",
            "-1",
            "+1",
            "1.5T",
            "1 G",
            "G1",
            "1E",
            "1GBx",
            "16777216T",
            "99999999999999999999",
            "1ß",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
