//! Releases on a web server: what was signed comes out whatever the connection does, and of a
//! server that lies comes an error that names the address and the number.

// The lint knows test functions only; this whole file is a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod server;

use std::ffi::OsStr;
use std::time::{Duration, Instant};

use bundle::fakes::image::{CHUNK, Image, Signer, noise};
use bundle::trust::{Wanted, approve};
use bundle::verify::verify_chunk;
use fetch::http::client::{Access, Patience};
use fetch::http::url::Url;
use fetch::source::Source;
use server::{Question, Reply, Server};
use wire::chain::chain;
use wire::manifest::{CHUNK_LISTS, MANIFEST, SIGNATURE};
use wire::outcome::Outcome;

const NAME: &str = "smechvisor-system.img";
const FILE: &str = "/r/smechvisor-system.img";

fn access() -> Access {
    Access {
        patience: Patience {
            connect: Duration::from_secs(5),
            stall: Duration::from_millis(500),
            pauses: vec![Duration::from_millis(1); 3],
        },
        ..Access::default()
    }
}

struct Side {
    image: Image,
    signer: Signer,
}

impl Side {
    fn of_chunks(chunks: usize) -> Self {
        Self {
            image: Image::new(&[(NAME, &noise(chunks * CHUNK + 77, 5))]),
            signer: Signer::new(),
        }
    }

    fn put(&self, server: &Server, directory: &str) {
        let put = |name: &str, bytes: &[u8]| server.put(&format!("{directory}{name}"), bytes);
        put(MANIFEST, &self.image.manifest);
        put(SIGNATURE, &self.signer.sign(&self.image.manifest));
        put(CHUNK_LISTS, &self.image.chunk_lists);
        for (name, bytes) in &self.image.files {
            put(name, bytes);
        }
    }

    /// Every chunk but those that are `left_out`, verified, in order.
    fn read(&self, url: &str, left_out: &[u32]) -> Result<(), (String, Outcome)> {
        let source = Source::parse(OsStr::new(url)).unwrap();
        let failed = |error: fetch::FetchError| (chain(&error).to_string(), error.outcome());
        let release = source.open(Wanted::SYSTEM, &access()).map_err(failed)?;
        let approved = approve(release.offered(), Wanted::SYSTEM, &self.signer.trust())
            .map_err(|error| (chain(&error).to_string(), error.outcome()))?;
        let mut chunks = release.chunks(&approved).map_err(failed)?;
        let data = &self.image.files[0].1;
        for (chunk, expected) in (0..).zip(data.chunks(CHUNK)) {
            if left_out.contains(&chunk) {
                continue;
            }
            let mut buf = Vec::new();
            let got = chunks.chunk(0, chunk, &mut buf);
            got.map_err(|error| (chain(&error).to_string(), error.outcome()))?;
            let verified = verify_chunk(&approved, 0, chunk, &mut buf)
                .map_err(|error| (chain(&error).to_string(), error.outcome()))?;
            assert_eq!(verified.as_slice(), expected);
        }
        Ok(())
    }
}

/// A server that answers for the image as the script says, and well for everything else.
fn playing(script: impl Fn(&Question) -> Reply + Send + Sync + 'static) -> Server {
    Server::new(move |question| match question.path == FILE {
        true => script(question),
        false => Reply::Good,
    })
}

/// What a reader of four chunks is told.
fn told(script: impl Fn(&Question) -> Reply + Send + Sync + 'static) -> (String, Outcome) {
    let (side, server) = (Side::of_chunks(4), playing(script));
    side.put(&server, "/r/");
    let (text, outcome) = side.read(&server.url("/r/"), &[]).unwrap_err();
    assert!(text.contains(&server.url(FILE)), "{text}");
    (text.replace(&server.url(FILE), "FILE"), outcome)
}

#[test]
fn a_release_is_read_over_one_connection_with_few_questions() {
    let (side, server) = (Side::of_chunks(80), Server::good());
    side.put(&server, "/r/");
    side.read(&server.url("/r"), &[]).unwrap();
    let questions = server.questions(FILE);
    assert_eq!(server.sent(FILE), side.image.files[0].1.len() as u64);
    assert_eq!(server.connections(), 1);
    // 5 MiB: 1 MiB, 2 MiB and the rest.
    assert_eq!(questions.len(), 3, "{questions:?}");
    assert_eq!(questions[0].if_range, None);
    assert!(questions[1].if_range.is_some() && questions[2].if_range.is_some());
}

#[test]
fn chunks_that_are_there_already_are_not_fetched() {
    let (side, server) = (Side::of_chunks(200), Server::good());
    side.put(&server, "/r/");
    let left_out: Vec<u32> = (40..150).collect();
    side.read(&server.url("/r/"), &left_out).unwrap();
    let wanted = side.image.files[0].1.len() as u64 - 110 * CHUNK as u64;
    let sent = server.sent(FILE);
    // Of the answer that was open at the jump at most its rest comes in vain.
    assert!(sent <= wanted + (4 << 20), "{sent} for {wanted}");
}

#[test]
fn a_connection_that_breaks_anywhere_is_made_again() {
    let side = Side::of_chunks(3);
    let size = side.image.files[0].1.len();
    for step in 0..=50 {
        let at = size * step / 50;
        let server = playing(move |question| match question.nth {
            0 => Reply::Cut(at),
            _ => Reply::Good,
        });
        side.put(&server, "/r/");
        side.read(&server.url("/r/"), &[]).unwrap();
        let resent = server.sent(FILE) - size as u64;
        assert_eq!(resent, 0, "cut at byte {at}");
    }
}

#[test]
fn one_that_breaks_again_and_again_without_progress_is_given_up() {
    let (text, outcome) = told(|_| Reply::Cut(100));
    assert!(
        text.contains("the connection to FILE broke at byte 400"),
        "{text}"
    );
    assert_eq!(outcome, Outcome::Retry);
    // With progress it is not.
    let (side, server) = (Side::of_chunks(8), playing(|_| Reply::Cut(CHUNK)));
    side.put(&server, "/r/");
    side.read(&server.url("/r/"), &[]).unwrap();
    assert_eq!(server.sent(FILE), side.image.files[0].1.len() as u64);
}

#[test]
fn a_server_that_is_silent_is_given_up_in_time() {
    let began = Instant::now();
    let (text, outcome) = told(|_| Reply::Stall(0));
    assert!(
        text.contains("FILE does not go on: waiting for a byte took more than 0.5 s"),
        "{text}"
    );
    assert_eq!(outcome, Outcome::Retry);
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_server_without_ranges_serves_from_the_beginning_only() {
    let (side, server) = (Side::of_chunks(4), playing(|_| Reply::Whole));
    side.put(&server, "/r/");
    side.read(&server.url("/r/"), &[]).unwrap();
    assert_eq!(server.questions(FILE).len(), 1);
    let (text, outcome) = side.read(&server.url("/r/"), &[0]).unwrap_err();
    let expected = "the server answered 200 for the bytes from 65536 on: it serves no ranges";
    assert!(text.ends_with(expected), "{text}");
    assert_eq!(outcome, Outcome::Refuse);
}

#[test]
fn a_file_that_changes_meanwhile_is_noticed() {
    let (text, outcome) = told(|question| match question.nth {
        0 => Reply::Cut(CHUNK + 5),
        _ => Reply::With(vec!["etag: \"new\"".into()]),
    });
    let expected = "the file has changed while it was read: its ETag was \"4004d\" and is \"new\"";
    assert!(text.ends_with(expected), "{text}");
    assert_eq!(outcome, Outcome::Retry);
}

#[test]
fn lengths_that_lie_are_refused_with_both_numbers() {
    for (line, expected) in [
        (
            "content-range: bytes 0-262220/262222",
            "the file has 262222 bytes on the server and 262221 in its manifest",
        ),
        (
            "content-range: bytes 1-262220/262221",
            "the server answered with the range \"bytes 1-262220/262221\" for bytes 0-262220",
        ),
        (
            "content-length: 262220",
            "the server announces 262220 bytes for 262221",
        ),
        (
            "content-encoding: gzip",
            "the server answered compressed, and only plain bytes of a known length are taken",
        ),
    ] {
        let (text, outcome) = told(move |_| Reply::With(vec![line.into()]));
        assert!(text.ends_with(expected), "{text}");
        assert_eq!(outcome, Outcome::Refuse);
    }
}

#[test]
fn one_changed_byte_is_no_chunk_of_the_release() {
    let (side, server) = (Side::of_chunks(4), playing(|_| Reply::Lie(70_000)));
    side.put(&server, "/r/");
    let (text, outcome) = side.read(&server.url("/r/"), &[]).unwrap_err();
    assert!(
        text.starts_with("verifying smechvisor-system.img, chunk 1"),
        "{text}"
    );
    assert_eq!(outcome, Outcome::Refuse);
}

#[test]
fn a_busy_server_is_asked_again_and_a_missing_file_is_not() {
    let (side, server) = (
        Side::of_chunks(2),
        playing(|question| match question.nth {
            0 | 1 => Reply::Status(503, vec![]),
            _ => Reply::Good,
        }),
    );
    side.put(&server, "/r/");
    side.read(&server.url("/r/"), &[]).unwrap();
    let (text, outcome) = told(|_| Reply::Status(404, vec![]));
    assert!(
        text.ends_with("the server has no such file (status 404)"),
        "{text}"
    );
    assert_eq!(outcome, Outcome::Refuse);
    let server = Server::good();
    let (text, outcome) = side.read(&server.url("/r/"), &[]).unwrap_err();
    assert_eq!(text, format!("there is no {}", server.url("/r/MANIFEST")));
    assert_eq!(outcome, Outcome::Refuse);
}

#[test]
fn small_files_are_small_before_they_are_read() {
    let side = Side::of_chunks(1);
    for (path, max) in [
        ("/r/CHANNEL", 65_536),
        ("/r/MANIFEST", 1 << 20),
        ("/r/MANIFEST.minisig", 1024),
        ("/r/MANIFEST.chunks", 2 << 20),
    ] {
        for is_announced in [true, false] {
            let server = Server::new(move |question| match question.path == path {
                true if !is_announced => Reply::Endless(vec![b'x'; 3 << 20]),
                _ => Reply::Good,
            });
            side.put(&server, "/r/");
            server.put(path, &vec![b'x'; max + 1]);
            let (text, outcome) = side.read(&server.url("/r/"), &[]).unwrap_err();
            let expected = format!("the file has {} bytes; {max} is the most", max + 1);
            assert!(text.ends_with(&expected) && text.contains(path), "{text}");
            assert_eq!(outcome, Outcome::Refuse);
        }
    }
}

#[test]
fn redirects_are_followed_five_times() {
    let side = Side::of_chunks(1);
    for (hops, is_taken) in [(5, true), (6, false)] {
        let server = Server::new(move |question| {
            let at: Option<usize> = question.path.strip_prefix("/hop").and_then(|rest| {
                let (number, _) = rest.split_once('/')?;
                number.parse().ok()
            });
            match at {
                Some(at) if at < hops => {
                    let name = question.path.rsplit('/').next().unwrap();
                    Reply::Status(302, vec![format!("location: /hop{}/{name}", at + 1)])
                }
                _ => Reply::Good,
            }
        });
        side.put(&server, &format!("/hop{hops}/"));
        let found = side.read(&server.url("/hop0/"), &[]);
        match found {
            Ok(()) => assert!(is_taken),
            Err((text, outcome)) => {
                let expected = "leads through more than 5 redirects";
                assert!(!is_taken && text.ends_with(expected), "{text}");
                assert_eq!(outcome, Outcome::Refuse);
            }
        }
    }
}

#[test]
fn nothing_is_read_in_the_clear_from_other_machines() {
    let side = Side::of_chunks(1);
    let (text, outcome) = side.read("http://192.0.2.1/r/", &[]).unwrap_err();
    assert_eq!(
        text,
        "http://192.0.2.1/r/CHANNEL is not encrypted: only https is taken from other machines; \
         --allow-http takes it"
    );
    assert_eq!(outcome, Outcome::Refuse);
    let lead_out = "location: http://192.0.2.1/x";
    let (text, outcome) = {
        let server = playing(move |_| Reply::Status(302, vec![lead_out.into()]));
        side.put(&server, "/r/");
        side.read(&server.url("/r/"), &[]).unwrap_err()
    };
    assert!(
        text.contains("http://192.0.2.1/x is not encrypted"),
        "{text}"
    );
    assert_eq!(outcome, Outcome::Refuse);
}

/// As GitHub answers: the newest release leads to that of its tag, and each file of it to a store
/// with a key that expires. `latest` moves on while the release is read.
#[test]
fn the_layout_of_github_is_read() {
    let side = Side::of_chunks(20);
    let server = Server::new(|question| {
        let lead = |path: String| Reply::Status(302, vec![format!("location: {path}")]);
        if let Some(name) = question.path.strip_prefix("/o/r/releases/latest/download/") {
            let tag = if question.nth == 0 { "v2" } else { "v3" };
            return lead(format!("/o/r/releases/download/{tag}/{name}"));
        }
        match question.path.strip_prefix("/o/r/releases/download/v2/") {
            Some("CHANNEL") => Reply::Status(404, vec![]),
            Some(name) => lead(format!("/store/{name}?key={}", question.nth)),
            None => Reply::Good,
        }
    });
    side.put(&server, "/store/");
    let Source::Github(github) = Source::parse(OsStr::new("github:o/r")).unwrap() else {
        panic!("another source");
    };
    let url = github.directory(&Url::parse(&server.url("/")).unwrap());
    side.read(&url.to_string(), &[]).unwrap();
    let newest = server.questions("/o/r/releases/latest/download/MANIFEST.minisig");
    assert!(newest.is_empty(), "{newest:?}");
    let of_tag = server.questions("/o/r/releases/download/v2/MANIFEST.minisig");
    assert_eq!(of_tag.len(), 1);
}

#[test]
fn a_bundle_file_is_read_where_it_lies() {
    let (side, server) = (Side::of_chunks(40), Server::good());
    let stream = side.image.stream(&[
        (MANIFEST, &side.image.manifest),
        (SIGNATURE, &side.signer.sign(&side.image.manifest)),
        (CHUNK_LISTS, &side.image.chunk_lists),
    ]);
    server.put("/x.smv", &stream);
    side.read(&server.url("/x.smv"), &[]).unwrap();
    assert!(server.sent("/x.smv") <= stream.len() as u64 + (1 << 20));
}

#[test]
fn a_channel_says_where_the_release_is() {
    let (side, server) = (Side::of_chunks(2), Server::good());
    side.put(&server, "/all/os/417/");
    let line = "smechvisor-channel 1\nos smv-x86_64 417 os/417/MANIFEST\nend\n";
    server.put("/all/CHANNEL", line.as_bytes());
    side.read(&server.url("/all"), &[]).unwrap();
    for (text, expected) in [
        (
            "smechvisor-channel 1\nos smv-arm 417 os/417/MANIFEST\nend\n",
            "CHANNEL lists no release of role os for smv-x86_64",
        ),
        (
            "smechvisor-channel 1\n",
            "the text ends here, before its entry or end",
        ),
        (
            "smechvisor-channel 1\nos smv-x86_64 417 os/418/MANIFEST\nend\n",
            "/all/os/418/MANIFEST",
        ),
    ] {
        server.put("/all/CHANNEL", text.as_bytes());
        let (text, outcome) = side.read(&server.url("/all/"), &[]).unwrap_err();
        assert!(text.ends_with(expected), "{text}");
        assert_eq!(outcome, Outcome::Refuse);
    }
}
