//! Reads the output of `netstack_rx`, `session`, `decode`, `cage` and `swap`.

use crate::figure::quotient;
use crate::line::{Line, LineError, with_key};
use crate::table::{Goal, Row};

/// MB/s of a link of 1 Gbit/s.
const LINK_MB: f64 = 125.0;
/// The decoder that we ship.
const OURS: &str = "liblzma-mt";
/// The same library on the same cores: what our reader around it costs.
const SAME_LIBRARY: &str = "xz-T0";

/// `64 KiB frames, 2147483648 bytes, median of 3:`, then a line for each receiver:
/// `netstack   11.87 Gbit/s   0.513 CPU s/GB`.
///
/// # Errors
///
/// When a figure is no number.
pub fn netstack(text: &str) -> Result<Vec<Row>, LineError> {
    let mut rows = Vec::new();
    let mut frames = "";
    let (mut kernel, mut ours) = (("", ""), ("", ""));
    for line in text.lines() {
        if let Some((title, _)) = line.split_once(", median of ") {
            frames = title.split(',').next().unwrap_or_default();
        }
        let mut words = line.split_whitespace();
        let name = words.next();
        let (Some(speed), Some(cpu)) = (words.next(), words.nth(1)) else {
            continue;
        };
        let ratio = |ours, peer| {
            let line = Line(line);
            Ok(quotient(line.parsed(ours)?, line.parsed(peer)?))
        };
        match name {
            Some("kernel") => kernel = (speed, cpu),
            Some("netstack") => {
                ours = (speed, cpu);
                let what = format!("receive, {frames}: Gbit/s");
                let row = Row::beside(what, speed, format!("{} kernel", kernel.0));
                rows.push(row.goal(ratio(speed, kernel.0)?, Goal::AtLeast("1.0")));
                let what = format!("receive, {frames}: CPU s/GB");
                let row = Row::beside(what, cpu, format!("{} kernel", kernel.1));
                rows.push(row.goal(ratio(cpu, kernel.1)?, Goal::AtMost("2.0")));
            }
            Some("sealed") => {
                let what = format!("sealed stream, {frames}: Gbit/s");
                let row = Row::beside(what, speed, format!("{} plain", ours.0));
                rows.push(row.goal(ratio(speed, ours.0)?, Goal::AtLeast("0.5")));
            }
            _ => {}
        }
    }
    Ok(rows)
}

/// `pairing policy=secret donor_ms=0.281 target_ms=0.284` for each policy, and one line of
/// `stream`.
///
/// # Errors
///
/// When there is no stream, or a line lacks a figure.
pub fn session(text: &str) -> Result<Vec<Row>, LineError> {
    let mut rows = Vec::new();
    for (policy, line) in with_key(text, "policy") {
        let what = format!("pairing, {policy}: CPU ms of the target, the donor");
        let (target, donor) = (line.text("target_ms")?, line.text("donor_ms")?);
        rows.push(Row::beside(what, target, donor));
    }
    let stream = text.lines().find(|line| line.starts_with("stream "));
    let stream = Line(stream.unwrap_or_default());
    let (seal, open) = (stream.text("seal_MB/s")?, stream.text("open_MB/s")?);
    let slower = stream.parsed(seal)?.min(stream.parsed(open)?);
    let links = Row::beside(
        "sealing, opening: MB/s of one CPU, in 1 Gbit/s links",
        format!("{seal}, {open} MB/s"),
        format!("{LINK_MB} MB/s"),
    );
    rows.push(links.goal(quotient(slower, LINK_MB), Goal::AtLeast("2.0")));
    // ring's own cipher, in place over records in the cache, in the same run on the same processor.
    for (what, rate, ratio) in [
        ("sealing", seal, stream.text("seal_of_ring")?),
        ("opening", open, stream.text("open_of_ring")?),
    ] {
        let what = format!("{what}, beside ring's cipher alone");
        let row = Row::beside(what, format!("{rate} MB/s"), "ring in place");
        rows.push(row.goal(ratio, Goal::AtLeast("0.9")));
    }
    Ok(rows)
}

/// `decode: package=… decoder=xz-T0 MB/s=116 peak_MiB=9 time_ratio=1.16`, ours first.
///
/// # Errors
///
/// When a line lacks a figure.
pub fn decode(text: &str) -> Result<Vec<Row>, LineError> {
    let mut rows = Vec::new();
    let mut ours = "";
    for (decoder, line) in with_key(text, "decoder") {
        let rate = line.text("MB/s")?;
        if decoder == OURS {
            ours = rate;
            continue;
        }
        let (peer, goal) = match decoder {
            SAME_LIBRARY => (format!("{rate} MB/s"), Goal::AtMost("1.05")),
            _ => {
                let peak = line.text("peak_MiB")?;
                (format!("{rate} MB/s, {peak} MiB"), Goal::AtMost("1.0"))
            }
        };
        let what = format!("decode xz: time beside {decoder}");
        let row = Row::beside(what, format!("{ours} MB/s"), peer);
        rows.push(row.goal(quotient(1.0, line.number("time_ratio")?), goal));
    }
    Ok(rows)
}

/// `package=… threads_s=2.5 cage_s=2.6 ratio=1.040` for each package.
///
/// # Errors
///
/// When a line lacks a figure.
pub fn cage(text: &str) -> Result<Vec<Row>, LineError> {
    let mut rows = Vec::new();
    for (package, line) in with_key(text, "package") {
        let format = package.rsplit('.').next().unwrap_or_default();
        let row = Row::beside(
            format!("decode {format} in its cage: time beside threads"),
            format!("{} s", line.text("cage_s")?),
            format!("{} s", line.text("threads_s")?),
        );
        rows.push(row.goal(line.text("ratio")?, Goal::AtMost("1.03")));
    }
    Ok(rows)
}

/// `swap=queue rounds=20 ours_ms=9.1 plain_ms=60.2 ratio=0.151`.
///
/// # Errors
///
/// When a line lacks a figure.
pub fn swap(text: &str) -> Result<Vec<Row>, LineError> {
    let row = |(mode, line): (&str, Line<'_>)| {
        let row = Row::beside(
            format!("swap of a daemon, {mode}: longest wait beside stop and start"),
            format!("{} ms", line.text("ours_ms")?),
            format!("{} ms", line.text("plain_ms")?),
        );
        Ok(row.goal(line.text("ratio")?, Goal::AtMost("0.2")))
    };
    with_key(text, "swap").map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::{cage, decode, netstack, session, swap};
    use crate::report::tests::lines;

    #[test]
    fn each_kind_of_frame_has_three_rows() {
        let text = "\
64 KiB frames, 2147483648 bytes, median of 3:
  kernel     12.07 Gbit/s   0.287 CPU s/GB
  netstack   11.87 Gbit/s   0.513 CPU s/GB
  sealed      5.50 Gbit/s   1.100 CPU s/GB
  ratio       0.98 (goal: at least 1.0)    1.79 (goal: at most 2.0)
  sealed, of netstack's: 0.46 (goal: at least 0.5)
1500-byte frames, 2147483648 bytes, median of 3:
  kernel      2.00 Gbit/s   0.400 CPU s/GB
  netstack    2.00 Gbit/s   1.000 CPU s/GB
  sealed      1.50 Gbit/s   1.100 CPU s/GB
";
        let expected = [
            "receive, 64 KiB frames: Gbit/s\t11.87\t12.07 kernel\t0.98\t>= 1.0\tMISSED",
            "receive, 64 KiB frames: CPU s/GB\t0.513\t0.287 kernel\t1.79\t<= 2.0\tmet",
            "sealed stream, 64 KiB frames: Gbit/s\t5.50\t11.87 plain\t0.46\t>= 0.5\tMISSED",
            "receive, 1500-byte frames: Gbit/s\t2.00\t2.00 kernel\t1.00\t>= 1.0\tmet",
            "receive, 1500-byte frames: CPU s/GB\t1.000\t0.400 kernel\t2.50\t<= 2.0\tMISSED",
            "sealed stream, 1500-byte frames: Gbit/s\t1.50\t2.00 plain\t0.75\t>= 0.5\tmet",
        ];
        assert_eq!(lines(netstack(text)), expected);
        netstack("  netstack  11.87 Gbit/s   0.513 CPU s/GB").unwrap_err();
    }

    #[test]
    fn a_stream_is_counted_in_links_and_beside_the_cipher() {
        let text = "\
pairing policy=secret donor_ms=0.281 target_ms=0.284
stream seal_MB/s=2152 open_MB/s=2488 copy_MB/s=9000 seal_of_ring=0.92 open_of_ring=1.06
";
        let expected = [
            "pairing, secret: CPU ms of the target, the donor\t0.284\t0.281\t-\t-\t-",
            "sealing, opening: MB/s of one CPU, in 1 Gbit/s links\t2152, 2488 MB/s\t125 MB/s\t17.22\
             \t>= 2.0\tmet",
            "sealing, beside ring's cipher alone\t2152 MB/s\tring in place\t0.92\t>= 0.9\tmet",
            "opening, beside ring's cipher alone\t2488 MB/s\tring in place\t1.06\t>= 0.9\tmet",
        ];
        assert_eq!(lines(session(text)), expected);
        session("pairing policy=secret donor_ms=0.281 target_ms=0.284").unwrap_err();
    }

    #[test]
    fn the_shipped_decoder_stands_beside_each_other_one() {
        let text = "\
decode: package=a.tar.xz decoder=liblzma-mt MB/s=135 peak_MiB=60 time_ratio=1.00
decode: package=a.tar.xz decoder=xz-T0 MB/s=116 peak_MiB=61 time_ratio=1.16
decode: package=a.tar.xz decoder=lzma-rs MB/s=34 peak_MiB=20 time_ratio=0.50
";
        let expected = [
            "decode xz: time beside xz-T0\t135 MB/s\t116 MB/s\t0.86\t<= 1.05\tmet",
            "decode xz: time beside lzma-rs\t135 MB/s\t34 MB/s, 20 MiB\t2.00\t<= 1.0\tMISSED",
        ];
        assert_eq!(lines(decode(text)), expected);
    }

    #[test]
    fn a_cage_has_a_row_for_each_package() {
        let text = "package=/a/b.tar.zst threads_s=2.500 cage_s=2.600 ratio=1.040\n";
        let expected = [
            "decode zst in its cage: time beside threads\t2.600 s\t2.500 s\t1.040\t<= 1.03\tMISSED",
        ];
        assert_eq!(lines(cage(text)), expected);
    }

    #[test]
    fn a_swap_stands_beside_stop_and_start() {
        let text = "swap=queue rounds=20 ours_ms=9.1 plain_ms=60.2 ratio=0.151\n";
        let expected = [
            "swap of a daemon, queue: longest wait beside stop and start\t\
             9.1 ms\t60.2 ms\t0.151\t<= 0.2\tmet",
        ];
        assert_eq!(lines(swap(text)), expected);
    }
}
