//! Half of `./bench https`: `https URL CA` reads the release at an address as an upgrade does, and
//! `https` alone what comes on standard input. Either way the bytes go to the decoder that the
//! product starts, and the archive is read to nowhere. The script has the clock.

use std::error::Error;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::thread;

use bundle::decode::DecodeLimits;
use bundle::trust::{Trust, Wanted, approve};
use bundle::unpack::{UnpackLimits, check_frames};
use bundle::verify::verify_chunk;
use bundle::worker::{Ending, Workers};
use fetch::http::client::Access;
use fetch::http::roots::Roots;
use fetch::source::Source;
use init::cage::{Caged, run_if_asked};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

static WORKERS: Caged = Caged::where_possible();
const PIECE: usize = 128 << 10;
const MEMORY_BYTES: u64 = 512 << 20;

fn main() -> ExitCode {
    if let Some(code) = run_if_asked(std::env::args_os()) {
        return code;
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let decoded = match &*words {
        [] => decode_from(&piped),
        [url, ca] => decode_from(&|to| fetched(url, ca, to)),
        _ => Err("usage: https [URL CA]".into()),
    };
    match decoded {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("https: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One package, as its source writes it.
fn decode_from(source: &(dyn Fn(&mut dyn Write) -> Outcome<()> + Sync)) -> Outcome<()> {
    let threads = thread::available_parallelism().map_or(1, |count| count.get());
    let worker = WORKERS.start(DecodeLimits {
        memory_bytes: MEMORY_BYTES,
        threads: u32::try_from(threads).unwrap_or(1),
        output_cap: 1 << 40,
    })?;
    let mut input = worker.input;
    thread::scope(|scope| {
        let sent = scope.spawn(move || source(&mut input));
        let limits = UnpackLimits::for_memory(MEMORY_BYTES);
        let read = check_frames(worker.output, 1 << 40, &limits);
        sent.join().map_err(|_| "the source has panicked")??;
        Ok::<_, Box<dyn Error + Send + Sync>>(read?)
    })?;
    match worker.process.wait() {
        Ending::InOrder => Ok(()),
        Ending::Died(how) => Err(how.into()),
    }
}

fn piped(to: &mut dyn Write) -> Outcome<()> {
    let (mut from, mut piece) = (io::stdin().lock(), vec![0; PIECE]);
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(()),
            len => to.write_all(piece.get(..len).unwrap_or_default())?,
        }
    }
}

/// Each chunk is verified before it goes on. The release has one file.
fn fetched(url: &str, ca: &str, to: &mut dyn Write) -> Outcome<()> {
    let access = Access {
        roots: Roots::File(ca.into()),
        ..Access::default()
    };
    let release = Source::parse(OsStr::new(url))?.open(Wanted::SYSTEM, &access)?;
    let approved = approve(release.offered(), Wanted::SYSTEM, &Trust::default())?;
    let file = approved.files().next().ok_or("the release is empty")?;
    let count = file.chunks().unwrap_or(0);
    let mut chunks = release.chunks(&approved)?;
    let mut bytes = Vec::new();
    for chunk in 0..count {
        bytes.clear();
        chunks.chunk(0, chunk, &mut bytes)?;
        let verified = verify_chunk(&approved, 0, chunk, &mut bytes)?;
        to.write_all(verified.as_slice())?;
        bytes = verified.into_inner();
    }
    Ok(())
}
