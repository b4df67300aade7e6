//! Whole deploys, their stages alone, and what they cost beside time.

use crate::figure::{median, number, quotient, seconds};
use crate::line::{LineError, median_of, with_key};
use crate::table::{Goal, Row};

/// `run=NAME us=MICROSECONDS`, one line a run: `pipeline` is the peers', `xz`, `zst` and
/// `one-block` ours, `decode`, `unpack` and `one-block-decode` single stages of our pipeline.
///
/// # Errors
///
/// When one of these was never run.
pub fn deploy(text: &str) -> Result<Vec<Row>, LineError> {
    let of = |name| median_of(text, ("run", name), "us");
    let (pipeline, xz, zst) = (of("pipeline")?, of("xz")?, of("zst")?);
    let (decode, unpack) = (of("decode")?, of("unpack")?);
    let (block, block_decode) = (of("one-block")?, of("one-block-decode")?);
    let (slowest, stage) = match decode > unpack {
        true => (decode, "decode"),
        false => (unpack, "unpack"),
    };
    let row = |what: &str, ours, peer, stage: &str, goal| {
        let peer_text = format!("{}{stage}", seconds(peer));
        let row = Row::beside(format!("deploy {what}"), seconds(ours), peer_text);
        row.goal(quotient(ours, peer), goal)
    };
    let stage = format!(" {stage}");
    let (level, half, near) = (
        Goal::AtMost("1.0"),
        Goal::AtMost("0.5"),
        Goal::AtMost("1.10"),
    );
    Ok(vec![
        row(".tar.xz beside nc | xz -T0 | tar", xz, pipeline, "", level),
        row(".tar.zst beside nc | xz -T0 | tar", zst, pipeline, "", half),
        row(
            ".tar.xz beside its slowest stage",
            xz,
            slowest,
            &stage,
            near,
        ),
        row(
            ".tar.xz of one block beside its slowest stage",
            block,
            block_decode,
            " decode",
            near,
        ),
    ])
}

/// `content=NAME us=MICROSECONDS`, one line a run: `ours` is a site applied, `tar` the same archive
/// unpacked and flushed.
///
/// # Errors
///
/// When one of these was never run.
pub fn content(text: &str) -> Result<Vec<Row>, LineError> {
    let of = |name| median_of(text, ("content", name), "us");
    let (ours, tar) = (of("ours")?, of("tar")?);
    let row = Row::beside(
        "site of 10,000 files beside tar x and sync",
        seconds(ours),
        seconds(tar),
    );
    Ok(vec![row.goal(quotient(ours, tar), Goal::AtMost("1.3"))])
}

/// `https=NAME us=MICROSECONDS cpu_us=MICROSECONDS`, one line a run: `ours` is a release fetched,
/// verified and decoded, `curl` the same bytes piped into the same decoder.
///
/// # Errors
///
/// When one of them was never run.
pub fn https(text: &str) -> Result<Vec<Row>, LineError> {
    let row = |what: &str, key| {
        let of = |name| median_of(text, ("https", name), key);
        let (ours, curl) = (of("ours")?, of("curl")?);
        let what = format!("{what} beside curl piped into the same decoder");
        let row = Row::beside(what, seconds(ours), seconds(curl));
        Ok::<_, LineError>((row, quotient(ours, curl)))
    };
    let (wall, ratio) = row("release over https", "us")?;
    let (processor, of_processor) = row("CPU of that", "cpu_us")?;
    Ok(vec![
        wall.goal(ratio, Goal::AtMost("1.1")),
        processor.ratio(of_processor),
    ])
}

/// `package=xz peak_kib=69632` for each package.
///
/// # Errors
///
/// When a line lacks its figure.
pub fn memory(text: &str) -> Result<Vec<Row>, LineError> {
    let mut rows = Vec::new();
    for (package, line) in with_key(text, "package") {
        let mib = (line.number("peak_kib")? / 1024.0).floor();
        let what = format!("peak memory of receive-deploy, .tar.{package}");
        rows.push(Row::alone(what, format!("{mib} MiB")));
    }
    Ok(rows)
}

/// `drawing=TICKS hertz=TICKS_A_SECOND us=MICROSECONDS`, one line a deploy: the processor time of
/// the thread that draws, and how long the deploy took.
///
/// # Errors
///
/// When a line lacks a figure.
pub fn drawing(text: &str) -> Result<Vec<Row>, LineError> {
    let mut shares = Vec::new();
    for (ticks, line) in with_key(text, "drawing") {
        let busy = line.parsed(ticks)? / line.number("hertz")?;
        shares.push(100.0 * busy / (line.number("us")? / 1e6));
    }
    if shares.is_empty() {
        return Ok(Vec::new());
    }
    let share = number((median(&shares) * 1e3).round() / 1e3);
    let what = "drawing while receiving, of 1 % of a core";
    let row = Row::alone(what, format!("{share} %"));
    Ok(vec![row.goal(share, Goal::AtMost("1.0"))])
}

#[cfg(test)]
mod tests {
    use super::{deploy, drawing, https, memory};
    use crate::report::tests::lines;

    #[test]
    fn a_deploy_stands_beside_the_pipeline_and_its_slowest_stage() {
        let text = "\
run=pipeline us=4700000
run=pipeline us=4710000
run=pipeline us=9000000
run=xz us=3270000
run=zst us=1430000
run=decode us=2470000
run=unpack us=1000000
run=one-block us=4650000
run=one-block-decode us=4120000
";
        let expected = [
            "deploy .tar.xz beside nc | xz -T0 | tar\t3.27 s\t4.71 s\t0.69\t<= 1.0\tmet",
            "deploy .tar.zst beside nc | xz -T0 | tar\t1.43 s\t4.71 s\t0.30\t<= 0.5\tmet",
            "deploy .tar.xz beside its slowest stage\t3.27 s\t2.47 s decode\t1.32\t<= 1.10\tMISSED",
            "deploy .tar.xz of one block beside its slowest stage\t4.65 s\t4.12 s decode\t1.13\
             \t<= 1.10\tMISSED",
        ];
        assert_eq!(lines(deploy(text)), expected);
        let slow_disk = text.replace("unpack us=1000000", "unpack us=3000000");
        assert!(lines(deploy(&slow_disk))[2].contains("\t3.00 s unpack\t1.09\t<= 1.10\tmet"));
        deploy(&text.replace("run=zst", "run=lz4")).unwrap_err();
    }

    #[test]
    fn peaks_are_whole_mebibytes() {
        let text = "package=xz peak_kib=70000\npackage=zst peak_kib=15360\n";
        let expected = [
            "peak memory of receive-deploy, .tar.xz\t68 MiB\t-\t-\t-\t-",
            "peak memory of receive-deploy, .tar.zst\t15 MiB\t-\t-\t-\t-",
        ];
        assert_eq!(lines(memory(text)), expected);
    }

    #[test]
    fn drawing_is_a_share_of_a_core() {
        let text = "\
drawing=1 hertz=100 us=2000000
drawing=3 hertz=100 us=2000000
drawing=2 hertz=100 us=3000000
";
        let expected =
            ["drawing while receiving, of 1 % of a core\t0.667 %\t-\t0.667\t<= 1.0\tmet"];
        assert_eq!(lines(drawing(text)), expected);
    }

    #[test]
    fn a_release_over_https_has_its_time_and_its_processor_time() {
        let text = "\
https=ours us=1000000 cpu_us=1500000
https=curl us=1000000 cpu_us=2000000
";
        let expected = [
            "release over https beside curl piped into the same decoder\t1.00 s\t1.00 s\t1.00\
             \t<= 1.1\tmet",
            "CPU of that beside curl piped into the same decoder\t1.50 s\t2.00 s\t0.75\t-\t-",
        ];
        assert_eq!(lines(https(text)), expected);
        https("https=ours us=1 cpu_us=1\n").unwrap_err();
    }
}
