//! Machines in QEMU: how long they take to be there, and how little memory is enough.

use crate::figure::{number, quotient, seconds};
use crate::line::{LineError, figures, median_of, with_key};
use crate::table::{Goal, Row};

/// The way to boot without a boot loader.
const BARE: &str = "kernel-bios";
/// 512 MB in MiB: the smallest of the peers' own figures that are stated at all (FOG's).
const PEERS_MIB: f64 = 488.0;
/// The budget of the screens in init.
const WIZARD_BYTES: f64 = 600_000.0;

/// `boot=ours us=1360000` and `boot=nothing us=…`, one line a boot: from the kernel's first line
/// to the init's, ours and one that does nothing.
///
/// # Errors
///
/// When one of them was never booted.
pub fn boot(text: &str) -> Result<Vec<Row>, LineError> {
    let ours = median_of(text, ("boot", "ours"), "us")?;
    let nothing = median_of(text, ("boot", "nothing"), "us")?;
    let row = Row::beside(
        "kernel entry to the code, TCG",
        seconds(ours),
        format!("{} empty init", seconds(nothing)),
    );
    Ok(vec![row.goal(quotient(ours, nothing), Goal::AtMost("1.5"))])
}

/// `way=iso-bios seconds=3.27`, one line a boot; a row for each way, in the order of their first
/// lines.
///
/// # Errors
///
/// When none went without a boot loader.
pub fn ways(text: &str) -> Result<Vec<Row>, LineError> {
    let bare = median_of(text, ("way", BARE), "seconds")?;
    let mut names = Vec::new();
    for (name, _) in with_key(text, "way") {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut rows = Vec::new();
    for name in names {
        let took = median_of(text, ("way", name), "seconds")?;
        let row = Row::beside(
            format!("power on to the beacon, {name}, TCG"),
            format!("{} s", number(took)),
            format!("{} s {BARE}", number(bare)),
        );
        rows.push(row.ratio(quotient(took, bare)));
    }
    Ok(rows)
}

/// `ui=auto seconds=3.27` and `ui=none seconds=…`, one line a boot, and the sizes of init as
/// `init=with bytes=N` and `init=without bytes=N`.
///
/// # Errors
///
/// When one of these is missing.
pub fn screens(text: &str) -> Result<Vec<Row>, LineError> {
    let with = median_of(text, ("ui", "auto"), "seconds")?;
    let without = median_of(text, ("ui", "none"), "seconds")?;
    let time = Row::beside(
        "power on to the beacon with the wizard, TCG",
        format!("{} s", number(with)),
        format!("{} s without", number(without)),
    );
    let large: f64 = figures(text, ("init", "with"), "bytes")?.iter().sum();
    let small: f64 = figures(text, ("init", "without"), "bytes")?.iter().sum();
    let bytes = Row::beside(
        format!("bytes that the wizard adds to init, of {WIZARD_BYTES}"),
        number(large - small),
        format!("{small} without"),
    );
    Ok(vec![
        time.goal(quotient(with, without), Goal::AtMost("1.05")),
        bytes.goal(quotient(large - small, WIZARD_BYTES), Goal::AtMost("1.0")),
    ])
}

/// `memory=vm mib=62 system=debian tried=…` for each kernel.
///
/// # Errors
///
/// When a line lacks a figure.
pub fn smallest(text: &str) -> Result<Vec<Row>, LineError> {
    let mut rows = Vec::new();
    for (profile, line) in with_key(text, "memory") {
        let (mib, system) = (line.number("mib")?, line.text("system")?);
        let row = Row::beside(
            format!("smallest machine that receives {system}, {profile}"),
            format!("{mib} MiB"),
            "512 MB, FOG's statement",
        );
        rows.push(row.goal(quotient(mib, PEERS_MIB), Goal::AtMost("0.25")));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::{boot, screens, smallest, ways};
    use crate::report::tests::lines;

    #[test]
    fn a_boot_stands_beside_an_init_that_does_nothing() {
        let text = "boot=nothing us=1280000\nboot=ours us=1350000\nboot=ours us=1370000\n";
        let expected =
            ["kernel entry to the code, TCG\t1.36 s\t1.28 s empty init\t1.06\t<= 1.5\tmet"];
        assert_eq!(lines(boot(text)), expected);
        boot("boot=ours us=1350000\n").unwrap_err();
    }

    #[test]
    fn ways_stand_beside_the_one_without_a_boot_loader() {
        let text = "\
way=kernel-bios seconds=2.00
way=iso-bios seconds=3.00
way=kernel-bios seconds=2.01
way=iso-bios seconds=3.01
";
        let expected = [
            "power on to the beacon, kernel-bios, TCG\t2.005 s\t2.005 s kernel-bios\t1.00\t-\t-",
            "power on to the beacon, iso-bios, TCG\t3.005 s\t2.005 s kernel-bios\t1.50\t-\t-",
        ];
        assert_eq!(lines(ways(text)), expected);
    }

    #[test]
    fn the_screens_cost_time_and_bytes() {
        let text = "\
ui=auto seconds=2.10
ui=none seconds=2.00
init=with bytes=2448000
init=without bytes=2116224
";
        let expected = [
            "power on to the beacon with the wizard, TCG\t2.1 s\t2 s without\t1.05\t<= 1.05\tmet",
            "bytes that the wizard adds to init, of 600000\t331776\t2116224 without\t0.55\
             \t<= 1.0\tmet",
        ];
        assert_eq!(lines(screens(text)), expected);
    }

    #[test]
    fn the_smallest_machine_stands_beside_a_statement() {
        let text = "memory=vm mib=62 system=debian tried=256,62\n";
        let expected = ["smallest machine that receives debian, vm\t62 MiB\
                         \t512 MB, FOG's statement\t0.13\t<= 0.25\tmet"];
        assert_eq!(lines(smallest(text)), expected);
    }
}
