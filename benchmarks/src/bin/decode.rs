//! Packages side by side: every decoder that could have been chosen, then unpacking against GNU
//! tar. One run, so that the ratios hold on any machine.
//!
//! `decode PACKAGE.tar.xz… [--into DIR]` decodes each package with each decoder, each in a process
//! of its own so that peak memory can be measured, and with `--into` unpacks the first one there
//! (an ext4 mounted on a loop device tells most), by us and by `tar -x`, alternately.
//! `--alone DECODER PACKAGE` and `--alone unpack PLAIN.tar DIR` are one stage with nothing beside.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};

use benchmarks::figure::median;
use bundle::decode::{DecodeLimits, decode};
use bundle::pipe::pipe;
use bundle::unpack::{UnpackLimits, unpack};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The first is the shipped one; the others are divided by it.
const DECODERS: [&str; 6] = [
    "liblzma-mt",
    "liblzma-st",
    "liblzma-20MiB",
    "lzma-rust2",
    "lzma-rs",
    "xz-T0",
];
const ONCE: [&str; 3] = ["liblzma-st", "liblzma-20MiB", "lzma-rs"];
const ROUNDS: u32 = 3;
const NO_CAP: u64 = 1 << 40;

fn main() -> Outcome<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--alone", "unpack", plain, into] => {
            return unpack_here(File::open(plain)?, Path::new(into));
        }
        ["--alone", decoder, package] => {
            let bytes = run(decoder, Path::new(package))?;
            println!("{bytes} {}", peak_kib()?);
            return Ok(());
        }
        _ => {}
    }
    let into = arguments
        .iter()
        .position(|word| word == "--into")
        .map(|at| {
            let words: Vec<String> = arguments.drain(at..).collect();
            PathBuf::from(words.into_iter().nth(1).unwrap_or_default())
        });
    for package in &arguments {
        compare_decoders(package)?;
    }
    match (arguments.first(), into) {
        (Some(package), Some(into)) => compare_unpacking(Path::new(package), &into),
        _ => Ok(()),
    }
}

/// One run of one decoder over one package.
struct Run {
    decoder: &'static str,
    seconds: Vec<f64>,
    megabytes: f64,
    peak_mib: f64,
}

/// In turn, so that a busy neighbour disturbs all alike; medians. The slow ones run once, they are
/// far off anyway.
fn compare_decoders(package: &str) -> Outcome<()> {
    let is_zst = package.ends_with(".zst");
    let decoders = if is_zst {
        &DECODERS[..1]
    } else {
        &DECODERS[..]
    };
    let mut runs: Vec<Run> = Vec::new();
    for round in 0..ROUNDS {
        for &decoder in decoders {
            if round > 0 && ONCE.contains(&decoder) {
                continue;
            }
            let run = run_alone(decoder, package)?;
            match runs.iter_mut().find(|known| known.decoder == decoder) {
                Some(known) => known.seconds.extend(run.seconds),
                None => runs.push(run),
            }
        }
    }
    let mut base = None;
    for run in &runs {
        let took = median(&run.seconds);
        println!(
            "decode: package={package} decoder={} MB/s={:.0} peak_MiB={:.0} time_ratio={:.2}",
            run.decoder,
            run.megabytes / took,
            run.peak_mib,
            took / *base.get_or_insert(took)
        );
    }
    Ok(())
}

fn run_alone(decoder: &'static str, package: &str) -> Outcome<Run> {
    let began = Instant::now();
    let done = Command::new(std::env::current_exe()?)
        .args(["--alone", decoder, package])
        .stderr(Stdio::inherit())
        .output()?;
    let seconds = vec![began.elapsed().as_secs_f64()];
    if !done.status.success() {
        return Err(format!("{decoder} on {package}: {}", done.status).into());
    }
    let text = String::from_utf8(done.stdout)?;
    let (bytes, kib) = text.trim().split_once(' ').ok_or("no numbers")?;
    Ok(Run {
        decoder,
        seconds,
        megabytes: bytes.parse::<f64>()? / 1e6,
        peak_mib: kib.parse::<f64>()? / 1024.0,
    })
}

/// Decodes to nowhere; the number of bytes.
fn run(decoder: &str, package: &Path) -> Outcome<u64> {
    let file = File::open(package)?;
    let limits = |memory_bytes, threads| DecodeLimits {
        memory_bytes,
        threads,
        output_cap: NO_CAP,
    };
    let threads = u32::try_from(thread::available_parallelism()?.get())?;
    let mut nowhere = Nowhere(0);
    Ok(match decoder {
        "liblzma-mt" => io::copy(&mut decode(file, limits(1 << 30, threads))?, &mut nowhere)?,
        "liblzma-st" => io::copy(&mut decode(file, limits(1 << 30, 1))?, &mut nowhere)?,
        "liblzma-20MiB" => io::copy(&mut decode(file, limits(20 << 20, threads))?, &mut nowhere)?,
        // Its parallel reader needs `Seek`, which a stream has not.
        "lzma-rust2" => io::copy(
            &mut lzma_rust2::XzReader::new(BufReader::new(file), true),
            &mut nowhere,
        )?,
        "lzma-rs" => {
            lzma_rs::xz_decompress(&mut BufReader::new(file), &mut nowhere)
                .map_err(|error| io::Error::other(format!("{error:?}")))?;
            nowhere.0
        }
        "xz-T0" => {
            let mut xz = Command::new("xz")
                .args(["-T0", "-dc"])
                .stdin(file)
                .stdout(Stdio::piped())
                .spawn()?;
            let bytes = io::copy(&mut xz.stdout.take().ok_or("no pipe")?, &mut nowhere)?;
            xz.wait()?;
            bytes
        }
        other => return Err(format!("no decoder {other}").into()),
    })
}

/// Counts, and costs nothing else.
struct Nowhere(u64);

impl Write for Nowhere {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Peak memory of this process, proc(5) VmHWM.
fn peak_kib() -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// A name, and what to time with a path of its own.
type Way<'a> = (&'a str, &'a dyn Fn(&Path) -> Outcome<()>);

/// Plain tar from a file, then the whole way from the package, ours and GNU tar's in turn; the best
/// of each.
fn compare_unpacking(package: &Path, into: &Path) -> Outcome<()> {
    let plain = into.with_extension("plain.tar");
    io::copy(
        &mut decode(File::open(package)?, limits_here()?)?,
        &mut File::create(&plain)?,
    )?;
    let unpacker = if package.extension().is_some_and(|end| end == "zst") {
        "zstd -T0"
    } else {
        "xz -T0"
    };
    let ways: [Way<'_>; 4] = [
        ("unpack", &|dir| unpack_here(File::open(&plain)?, dir)),
        ("tar-x", &|dir| {
            shell(
                "tar --xattrs --xattrs-include='*' --numeric-owner -xpf \"$0\" -C \"$1\"",
                &plain,
                dir,
            )
        }),
        ("decode+unpack", &|dir| pipeline(package, dir)),
        ("their-pipeline", &|dir| {
            let tar = "tar --xattrs --xattrs-include='*' --numeric-owner -xpf - -C \"$1\"";
            shell(&format!("{unpacker} -dc \"$0\" | {tar}"), package, dir)
        }),
    ];
    let mut best = [Duration::MAX; 4];
    for _ in 0..ROUNDS {
        for ((_, way), best) in ways.iter().zip(&mut best) {
            let dir = into.join("unpacked");
            fs::create_dir(&dir)?;
            let began = Instant::now();
            way(&dir)?;
            rustix::fs::syncfs(File::open(into)?)?;
            *best = began.elapsed().min(*best);
            fs::remove_dir_all(&dir)?;
            rustix::fs::syncfs(File::open(into)?)?;
        }
    }
    fs::remove_file(&plain)?;
    for ((name, _), took) in ways.iter().zip(best) {
        println!("unpack: way={name} seconds={:.2}", took.as_secs_f64());
    }
    println!(
        "unpack: tar_only_ratio={:.2}",
        best[0].as_secs_f64() / best[1].as_secs_f64()
    );
    println!(
        "unpack: whole_ratio={:.2}",
        best[2].as_secs_f64() / best[3].as_secs_f64()
    );
    Ok(())
}

fn limits_here() -> Outcome<DecodeLimits> {
    let threads = u32::try_from(thread::available_parallelism()?.get())?;
    Ok(DecodeLimits {
        memory_bytes: 256 << 20,
        threads,
        output_cap: NO_CAP,
    })
}

fn unpack_here(tar: impl Read, dir: &Path) -> Outcome<()> {
    unpack(
        tar,
        File::open(dir)?.as_fd(),
        &UnpackLimits::for_memory(32 << 20),
        &AtomicU64::new(0),
    )?;
    Ok(())
}

/// Decoder and unpacker in a thread each, as a deploy runs them.
fn pipeline(package: &Path, dir: &Path) -> Outcome<()> {
    let mut decoder = decode(File::open(package)?, limits_here()?)?;
    let (mut writer, reader) = pipe(4 << 20);
    thread::scope(|scope| {
        let decoding = scope.spawn(move || -> io::Result<()> {
            let mut chunk = vec![0; 256 << 10];
            loop {
                let count = decoder.read(&mut chunk)?;
                if count == 0 {
                    return writer.finish();
                }
                writer.write_all(&chunk[..count])?;
            }
        });
        let unpacked = unpack_here(reader, dir);
        decoding.join().map_err(|_| "the decoder panicked")??;
        unpacked
    })
}

fn shell(line: &str, package: &Path, dir: &Path) -> Outcome<()> {
    let status = Command::new("sh")
        .args(["-c", line])
        .args([package, dir])
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{line}: {status}").into())
    }
}
