//! Sizes of programs, images and media, beside what they may have and what they carry.

use crate::figure::{mib, quotient};
use crate::line::{LineError, figures, with_key};
use crate::table::{Goal, Row};

const MIB: f64 = 1_048_576.0;
/// The budget of init: 2 MiB, 600 kB for its screens, and 50 kB for disks with two slots.
const INIT_BYTES: f64 = 2.0 * MIB + 650_000.0;

/// `size=NAME bytes=N`, the files of one thing summed: `kernel-vm`, `kernel-metal`, `initramfs`,
/// `init`, `spk-visor`, and for each kernel `medium=ISO of=vm bytes=N`. For each system as a slot's
/// image `image=demo bytes=N packages=M`, with the bytes of its packages.
///
/// # Errors
///
/// When one of these is missing.
pub fn sizes(text: &str) -> Result<Vec<Row>, LineError> {
    let of = |name: &str| Ok(figures(text, ("size", name), "bytes")?.iter().sum::<f64>());
    let initramfs = of("initramfs")?;
    let mut rows = Vec::new();
    for (what, kernel, limit_mib) in [
        ("bzImage + initramfs, of 5 MiB", "kernel-vm", 5.0),
        (
            "the same for real machines, of 16 MiB",
            "kernel-metal",
            16.0,
        ),
    ] {
        let kernel = of(kernel)?;
        let sum = kernel + initramfs;
        let row = Row::beside(
            what,
            mib(sum),
            format!("{} + {}", mib(kernel), mib(initramfs)),
        );
        rows.push(row.goal(quotient(sum, limit_mib * MIB), Goal::AtMost("1.0")));
    }
    let init = of("init")?;
    let row = Row::alone("init, of 2 MiB and 650 kB for screens and slots", mib(init));
    rows.push(row.goal(quotient(init, INIT_BYTES), Goal::AtMost("1.0")));
    rows.push(Row::alone("spk-visor", mib(of("spk-visor")?)));
    for (medium, profile, bytes) in media(text)? {
        let bare = of(&format!("kernel-{profile}"))? + initramfs;
        let what = format!("{}, {profile}", medium.replace('-', " "));
        let row = Row::beside(what, mib(bytes), format!("{} bare", mib(bare)));
        rows.push(row.ratio(quotient(bytes, bare)));
    }
    for (system, line) in with_key(text, "image") {
        let (bytes, packages) = (line.number("bytes")?, line.number("packages")?);
        let what = format!("slot image of {system}");
        let row = Row::beside(what, mib(bytes), format!("{} as .tar.zst", mib(packages)));
        rows.push(row.ratio(quotient(bytes, packages)));
    }
    Ok(rows)
}

/// Each medium, the kernel on it, and the bytes of all its files, in the order of their lines.
fn media(text: &str) -> Result<Vec<(&str, &str, f64)>, LineError> {
    let mut media: Vec<(&str, &str, f64)> = Vec::new();
    for (medium, line) in with_key(text, "medium") {
        let (profile, bytes) = (line.text("of")?, line.number("bytes")?);
        match media.last_mut() {
            Some((name, of, sum)) if (*name, *of) == (medium, profile) => *sum += bytes,
            _ => media.push((medium, profile, bytes)),
        }
    }
    Ok(media)
}

#[cfg(test)]
mod tests {
    use super::sizes;

    #[test]
    fn what_is_carried_stands_beside_kernel_and_initramfs() {
        let text = "\
size=kernel-vm bytes=3145728
size=kernel-metal bytes=10485760
size=initramfs bytes=1048576
size=init bytes=2747152
size=spk-visor bytes=3250586
medium=ISO of=vm bytes=6291456
medium=tree-for-PXE-and-HTTP of=vm bytes=4194304
medium=tree-for-PXE-and-HTTP of=vm bytes=1048576
medium=ISO of=metal bytes=12582912
image=demo bytes=10485760 packages=5242880
";
        let rows: Vec<_> = sizes(text).unwrap().iter().map(|r| r.to_string()).collect();
        let expected = [
            "bzImage + initramfs, of 5 MiB\t4.00 MiB\t3.00 MiB + 1.00 MiB\t0.80\t<= 1.0\tmet",
            "the same for real machines, of 16 MiB\t11.00 MiB\t10.00 MiB + 1.00 MiB\t0.69\
             \t<= 1.0\tmet",
            "init, of 2 MiB and 650 kB for screens and slots\t2.62 MiB\t-\t1.00\t<= 1.0\tmet",
            "spk-visor\t3.10 MiB\t-\t-\t-\t-",
            "ISO, vm\t6.00 MiB\t4.00 MiB bare\t1.50\t-\t-",
            "tree for PXE and HTTP, vm\t5.00 MiB\t4.00 MiB bare\t1.25\t-\t-",
            "ISO, metal\t12.00 MiB\t11.00 MiB bare\t1.09\t-\t-",
            "slot image of demo\t10.00 MiB\t5.00 MiB as .tar.zst\t2.00\t-\t-",
        ];
        assert_eq!(rows, expected);
        sizes(&text.replace("size=init ", "size=other ")).unwrap_err();
    }
}
