//! The memory that a release from a web server takes does not depend on its size.

// The lint knows test functions only; this whole file is a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use bundle::fakes::image::{HEAD, describe, manifest};
use bundle::trust::{Trust, Wanted, approve};
use bundle::verify::verify_chunk;
use fetch::http::client::Access;
use fetch::source::Source;
use wire::manifest::Unpacked;

const SIZE: usize = 96 << 20;
/// What `upgrade.md` 3 has: a chunk, a connection, and room for the heap.
const MOST_KIB: u64 = 6 << 10;

/// Answers with zeros, or with the front of the release that consists of them.
fn serve(stream: &mut TcpStream, front: &[(String, Vec<u8>)]) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let (mut first, mut range) = (String::new(), None);
        reader.read_line(&mut first).ok().filter(|len| *len > 0)?;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            if line.trim().is_empty() {
                break;
            }
            if let Some((_, bytes)) = line.trim().split_once("bytes=") {
                let (begin, last) = bytes.split_once('-')?;
                range = Some((begin.parse::<usize>().ok()?, last.parse::<usize>().ok()?));
            }
        }
        let path = first.split(' ').nth(1)?;
        let small = front.iter().find(|(name, _)| name == path);
        match (small, range) {
            (Some((_, bytes)), _) => {
                write!(
                    stream,
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
                    bytes.len()
                )
                .ok()?;
                stream.write_all(bytes).ok()?;
            }
            (None, Some((begin, last))) => {
                let mut left = last + 1 - begin;
                let head = "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes";
                write!(
                    stream,
                    "{head} {begin}-{last}/{SIZE}\r\ncontent-length: {left}\r\n\r\n"
                )
                .ok()?;
                let zeros = [0; 4096];
                while left > 0 {
                    let len = left.min(zeros.len());
                    stream.write_all(&zeros[..len]).ok()?;
                    left -= len;
                }
            }
            _ => write!(stream, "HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n").ok()?,
        }
    }
}

/// In KiB: what is used, and the most that was.
fn memory() -> (u64, u64) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (field("VmRSS:"), field("VmHWM:"))
}

#[test]
fn memory_does_not_depend_on_the_size_of_an_image() {
    let (line, chunk_lists) = {
        let data = vec![0; SIZE];
        describe("a.img", &data, Some(Unpacked::of_image(SIZE as u64)))
    };
    let front = Arc::new([
        ("/r/MANIFEST".to_owned(), manifest(&HEAD, &[line])),
        ("/r/MANIFEST.chunks".to_owned(), chunk_lists),
    ]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/r/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let front = Arc::clone(&front);
            thread::spawn(move || serve(&mut stream, &front[..]));
        }
    });
    let source = Source::parse(OsStr::new(&url)).unwrap();
    let release = source.open(Wanted::SYSTEM, &Access::default()).unwrap();
    let approved = approve(release.offered(), Wanted::SYSTEM, &Trust::default()).unwrap();
    let mut chunks = release.chunks(&approved).unwrap();
    // The peak begins again here (proc(5)).
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let (before, _) = memory();
    let count = approved.files().next().unwrap().chunks().unwrap();
    for chunk in 0..count {
        let mut buf = Vec::new();
        chunks.chunk(0, chunk, &mut buf).unwrap();
        verify_chunk(&approved, 0, chunk, &mut buf).unwrap();
    }
    let (_, most) = memory();
    let used = most.saturating_sub(before);
    assert!(used < MOST_KIB, "{used} KiB more for {SIZE} bytes");
}
