//! The cost of the decoder's cage: `cage PACKAGE [ROUNDS]` decodes a package and reads its
//! archive to nowhere, in turn by threads of this process with pipes in memory between them, and by
//! the worker that the product starts. Medians of seconds.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use benchmarks::figure::median;
use bundle::decode::{DecodeLimits, decode};
use bundle::pipe::{Writer, pipe};
use bundle::unpack::{UnpackLimits, check, check_frames};
use bundle::worker::{Ending, Workers};
use init::cage::{Caged, run_if_asked};

type Outcome<T> = Result<T, Box<dyn Error>>;

static WORKERS: Caged = Caged::where_possible();
const CHUNK: usize = 128 << 10;
const PIPE_BYTES: usize = 4 << 20;
const MEMORY_BYTES: u64 = 512 << 20;

fn main() -> ExitCode {
    if let Some(code) = run_if_asked(std::env::args_os()) {
        return code;
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cage: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Outcome<()> {
    let mut words = std::env::args().skip(1);
    let package = words.next().ok_or("usage: cage PACKAGE [ROUNDS]")?;
    let rounds = words.next().map_or(Ok(5), |word| word.parse::<u32>())?;
    let mut bytes = Vec::new();
    File::open(&package)?.read_to_end(&mut bytes)?;
    let (mut threads, mut cage) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        threads.push(timed(|| by_threads(&bytes))?);
        cage.push(timed(|| in_cage(&bytes))?);
    }
    let (threads, cage) = (median(&threads), median(&cage));
    println!(
        "package={package} threads_s={threads:.3} cage_s={cage:.3} ratio={:.3}",
        cage / threads
    );
    Ok(())
}

fn timed(run: impl FnOnce() -> Outcome<u64>) -> Outcome<f64> {
    let began = Instant::now();
    run()?;
    Ok(began.elapsed().as_secs_f64())
}

fn limits() -> DecodeLimits {
    let threads = thread::available_parallelism().map_or(1, |count| count.get());
    DecodeLimits {
        memory_bytes: MEMORY_BYTES,
        threads: u32::try_from(threads).unwrap_or(1),
        output_cap: 1 << 40,
    }
}

fn send(bytes: &[u8], to: &mut impl Write) -> io::Result<()> {
    bytes
        .chunks(CHUNK)
        .try_for_each(|chunk| to.write_all(chunk))
}

fn by_threads(bytes: &[u8]) -> Outcome<u64> {
    let (mut package, input) = pipe(PIPE_BYTES);
    let (tar, output) = pipe(PIPE_BYTES);
    thread::scope(|scope| {
        scope.spawn(move || send(bytes, &mut package).and_then(|()| package.finish()));
        scope.spawn(move || forward(input, tar));
        Ok(check(output, &UnpackLimits::for_memory(MEMORY_BYTES))?.tar_bytes)
    })
}

fn forward(from: bundle::pipe::Reader, mut to: Writer) -> io::Result<()> {
    let mut decoder = decode(from, limits()).map_err(io::Error::other)?;
    let mut chunk = vec![0; CHUNK];
    loop {
        match decoder.read(&mut chunk)? {
            0 => return to.finish(),
            len => to.write_all(chunk.get(..len).unwrap_or_default())?,
        }
    }
}

fn in_cage(bytes: &[u8]) -> Outcome<u64> {
    let worker = WORKERS.start(limits())?;
    let mut package = worker.input;
    let found = thread::scope(|scope| {
        scope.spawn(move || send(bytes, &mut package));
        let limits = UnpackLimits::for_memory(MEMORY_BYTES);
        check_frames(worker.output, 1 << 40, &limits)
    })?;
    match worker.process.wait() {
        Ending::InOrder => Ok(found.tar_bytes),
        Ending::Died(how) => Err(how.into()),
    }
}
