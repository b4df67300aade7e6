//! What a node with two slots costs: taking an update, what of it is fetched, and its start.

use crate::figure::{mib, quotient, seconds};
use crate::line::{LineError, median_of, with_key};
use crate::table::{Goal, Row};

/// `run=demo us=MICROSECONDS`, one line for each time that the image of a system went to the
/// other slot, was read back and armed; `run=demo-written us=…` and `run=demo-read us=…`, the same
/// image written from a zst and read back by other programs; likewise for `debian`. For each
/// release that changes only the kernel `system=demo fetched=N image=M`, in bytes.
///
/// # Errors
///
/// When one of these is missing.
pub fn update(text: &str) -> Result<Vec<Row>, LineError> {
    let mut rows = Vec::new();
    for system in ["demo", "debian"] {
        let of = |name: &str| median_of(text, ("run", name), "us");
        let ours = of(system)?;
        let (written, read) = (
            of(&format!("{system}-written"))?,
            of(&format!("{system}-read"))?,
        );
        let (slower, name) = match written > read {
            true => (written, "zstd -dc | dd"),
            false => (read, "reading back"),
        };
        let row = Row::beside(
            format!("update of {system}, beside its slower half"),
            seconds(ours),
            format!("{} {name}", seconds(slower)),
        );
        rows.push(row.goal(quotient(ours, slower), Goal::AtMost("1.15")));
    }
    let mut releases = with_key(text, "fetched").peekable();
    if releases.peek().is_none() {
        return Err(LineError::NoLine {
            key: "fetched",
            value: "N".to_owned(),
        });
    }
    for (fetched, line) in releases {
        let (fetched, image) = (line.parsed(fetched)?, line.number("image")?);
        let row = Row::beside(
            format!("fetched of {} for another kernel", line.text("system")?),
            mib(fetched),
            mib(image),
        );
        rows.push(row.goal(quotient(fetched, image), Goal::AtMost("0.25")));
    }
    Ok(rows)
}

/// `start=slot us=1360000` and `start=ext4 us=…`, one line a start: from the kernel's first line to
/// the first of `/sbin/init`.
///
/// # Errors
///
/// When one of them was never started.
pub fn starts(text: &str) -> Result<Vec<Row>, LineError> {
    let slot = median_of(text, ("start", "slot"), "us")?;
    let ext4 = median_of(text, ("start", "ext4"), "us")?;
    let row = Row::beside(
        "kernel entry to /sbin/init in a slot, TCG",
        seconds(slot),
        format!("{} plain ext4", seconds(ext4)),
    );
    Ok(vec![row.goal(quotient(slot, ext4), Goal::AtMost("1.5"))])
}

#[cfg(test)]
mod tests {
    use super::{starts, update};
    use crate::report::tests::lines;

    #[test]
    fn an_update_stands_beside_the_slower_of_writing_and_reading() {
        let text = "\
run=demo us=1150000
run=demo us=1150000
run=demo us=9000000
run=demo-written us=1000000
run=demo-read us=900000
run=debian us=3000000
run=debian-written us=1000000
run=debian-read us=2000000
system=demo fetched=3145728 reused=9437184 image=12582912
";
        let expected = [
            "update of demo, beside its slower half\t1.15 s\t1.00 s zstd -dc | dd\t1.15\t<= 1.15\
             \tmet",
            "update of debian, beside its slower half\t3.00 s\t2.00 s reading back\t1.50\t<= 1.15\
             \tMISSED",
            "fetched of demo for another kernel\t3.00 MiB\t12.00 MiB\t0.25\t<= 0.25\
             \tmet",
        ];
        assert_eq!(lines(update(text)), expected);
        update(&text.replace("run=debian-read", "run=other")).unwrap_err();
        update(&text.replace("fetched=", "taken=")).unwrap_err();
    }

    #[test]
    fn a_slot_stands_beside_a_plain_file_system() {
        let text = "start=slot us=2000000\nstart=ext4 us=1600000\nstart=slot us=2200000\n";
        let expected = [
            "kernel entry to /sbin/init in a slot, TCG\t2.10 s\t1.60 s plain ext4\t1.31\
             \t<= 1.5\tmet",
        ];
        assert_eq!(lines(starts(text)), expected);
        starts("start=slot us=2000000\n").unwrap_err();
    }
}
