//! Chunks that are not what the manifest says never get through, nor does anything behind them.

use super::{ChunkFault, ChunkSource, VerifiedPackages, VerifyError, verify_chunk};
use crate::fakes::image::{CHUNK, Feed, HEAD, Image, describe, manifest, noise};
use crate::package_stream::{Packages, PackagesError};
use crate::trust::{ApproveError, Approved, Offered, Trust, Wanted, approve};
use wire::chain::chain;
use wire::manifest::{CHUNK_SIZE_MIN, Content, File};
use wire::outcome::Outcome;
use wire::stream::PackageName;

fn approve_unsigned(manifest: &[u8], chunk_lists: &[u8]) -> Result<Approved, ApproveError> {
    let offered = Offered {
        manifest,
        signature: &[],
        chunk_lists,
    };
    approve(offered, Wanted::SYSTEM, &Trust::default())
}

type Files = Vec<(String, Vec<u8>)>;

/// Everything that comes out, and how it ended.
fn read_all(
    approved: &Approved,
    source: impl ChunkSource,
    at_once: usize,
) -> (Files, Result<(), PackagesError>) {
    let mut packages = VerifiedPackages::new(approved, source);
    let mut files = Files::new();
    let mut buf = vec![0; at_once];
    let result = (|| {
        while let Some(header) = packages.next_header()? {
            files.push((header.name.to_string(), Vec::new()));
            loop {
                let len = packages.read_data(&mut buf)?;
                if len == 0 {
                    break;
                }
                files.last_mut().unwrap().1.extend_from_slice(&buf[..len]);
            }
        }
        Ok(())
    })();
    let given: usize = files.iter().map(|(_, data)| data.len()).sum();
    assert!(packages.offset_bytes() >= given as u64);
    (files, result)
}

fn verify_error(error: PackagesError) -> VerifyError {
    match error {
        PackagesError::Failed { source, .. } => *source.downcast().unwrap(),
        PackagesError::Cancelled => panic!("cancelled"),
    }
}

fn fault(result: Result<(), PackagesError>) -> (String, u32, ChunkFault) {
    match verify_error(result.unwrap_err()) {
        VerifyError::Chunk { name, chunk, fault } => (name, chunk, fault),
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_come_out_as_they_were_hashed_however_they_are_read() {
    let image = Image::small();
    for at_once in [1, 7, CHUNK - 1, CHUNK, CHUNK + 1, 1 << 20] {
        let (files, result) = read_all(&image.approved(), image.feed(), at_once);
        assert!(result.is_ok(), "{result:?}");
        assert!(files == image.files, "{at_once}");
    }
}

#[test]
fn headers_say_what_the_manifest_says() {
    let image = Image::small();
    let approved = image.approved();
    let mut packages = VerifiedPackages::new(&approved, image.feed());
    assert_eq!(packages.claimed_unpacked_bytes(), Some(2));
    let header = packages.next_header().unwrap().unwrap();
    assert_eq!(header.name.as_str(), "first.tar.xz");
    assert_eq!(header.claimed_len, Some(2 * CHUNK as u64 + 100));
    assert_eq!(header.unpacked.unwrap().entries, 1);
    let error = packages.next_header().unwrap_err();
    assert!(matches!(verify_error(error), VerifyError::Unread { .. }));
}

/// One bit of each chunk, at its beginning, in its middle and at its end: exactly what came before
/// the chunk gets through.
#[test]
fn nothing_of_or_after_a_changed_chunk_gets_through() {
    let image = Image::new(&[
        ("first.tar.xz", &noise(20 * CHUNK + 100, 1)),
        ("second.tar.xz", &noise(3 * CHUNK, 2)),
    ]);
    let approved = image.approved();
    let chunks = image.feed().chunks.len();
    let mut before = 0;
    for number in 0..chunks {
        let len = image.feed().chunks[number].1.len();
        for at in [0, len / 2, len - 1] {
            let mut feed = image.feed();
            feed.chunks[number].1[at] ^= 1 << (at % 8);
            let ((file, chunk), ..) = feed.chunks[number];
            let (files, result) = read_all(&approved, &mut feed, 1000);
            let (name, bad, fault) = fault(result);
            assert_eq!(fault, ChunkFault::Hash);
            assert_eq!((&name, bad), (&image.files[usize::from(file)].0, chunk));
            let given: usize = files.iter().map(|(_, data)| data.len()).sum();
            assert_eq!(given, before, "chunk {number}");
            for (got, sent) in files.iter().zip(&image.files) {
                assert!(sent.1.starts_with(&got.1));
            }
            assert_eq!(feed.at, number + 1, "asked for nothing behind it");
            assert_eq!(feed.refused.len(), 1);
        }
        before += len;
    }
    assert_eq!(before, 23 * CHUNK + 100);
}

#[test]
fn after_a_refused_chunk_reading_on_gives_nothing() {
    let image = Image::small();
    let approved = image.approved();
    let mut feed = image.feed();
    feed.chunks[0].1[0] ^= 1;
    // The same chunk again, had anybody asked: still wrong.
    let bad = feed.chunks[0].clone();
    feed.chunks.insert(1, bad);
    let mut packages = VerifiedPackages::new(&approved, feed);
    packages.next_header().unwrap();
    assert!(packages.read_data(&mut [0; 16]).is_err());
    assert!(packages.read_data(&mut [0; 16]).is_err(), "never an end");
}

fn tampered(change: impl Fn(&mut Feed)) -> (usize, ChunkFault) {
    let image = Image::small();
    let mut feed = image.feed();
    change(&mut feed);
    let (files, result) = read_all(&image.approved(), feed, 4096);
    let (.., fault) = fault(result);
    (files.iter().map(|(_, data)| data.len()).sum(), fault)
}

#[test]
fn chunks_of_another_length_flag_or_place_are_refused() {
    let length = |found, expected| ChunkFault::Length { found, expected };
    let chunk = CHUNK as u64;
    for (given, expected, change) in [
        // Swapped: the first one is full, the second one too.
        (
            0,
            ChunkFault::Hash,
            (|feed: &mut Feed| {
                let (left, right) = feed.chunks.split_at_mut(1);
                std::mem::swap(&mut left[0].1, &mut right[0].1);
            }) as fn(&mut Feed),
        ),
        (0, length(CHUNK - 1, chunk), |feed| {
            feed.chunks[0].1.truncate(CHUNK - 1)
        }),
        (0, length(CHUNK + 1, chunk), |feed| feed.chunks[0].1.push(0)),
        (0, length(0, chunk), |feed| feed.chunks[0].1.clear()),
        (CHUNK, length(100, chunk), |feed| {
            feed.chunks[1].1.truncate(100)
        }),
        (2 * CHUNK, length(99, 100), |feed| {
            feed.chunks[2].1.truncate(99)
        }),
        (2 * CHUNK, length(101, 100), |feed| feed.chunks[2].1.push(0)),
        (0, ChunkFault::Last { expected: false }, |feed| {
            feed.chunks[0].2 = true
        }),
        (2 * CHUNK, ChunkFault::Last { expected: true }, |feed| {
            feed.chunks[2].2 = false
        }),
        (
            2 * CHUNK + 100,
            ChunkFault::Last { expected: true },
            |feed| feed.chunks[3].2 = false,
        ),
    ] {
        assert_eq!(tampered(change), (given, expected));
    }
}

/// All chunks are right and the sum is not: what is left of the file stays back, and it is no end.
#[test]
fn whole_file_must_have_its_hash_before_its_last_chunk_is_given_on() {
    let data = noise(CHUNK + 5, 1);
    let (mut file, list) = describe("a.tar.xz", &data, None);
    if let Content::Hashed { sha256, .. } = &mut file.content {
        sha256[31] ^= 1;
    }
    let approved = approve_unsigned(&manifest(&HEAD, &[file]), &list).unwrap();
    let feed = Image::new(&[("a.tar.xz", &data)]).feed();
    let mut packages = VerifiedPackages::new(&approved, feed);
    packages.next_header().unwrap();
    let mut buf = vec![0; CHUNK];
    assert_eq!(packages.read_data(&mut buf).unwrap(), CHUNK);
    let error = packages.read_data(&mut buf).unwrap_err();
    assert_eq!(error.outcome(), Outcome::Refuse);
    assert!(matches!(
        verify_error(error),
        VerifyError::File { name } if name == "a.tar.xz"
    ));
    assert!(packages.read_data(&mut buf).is_err(), "never an end");
    assert!(packages.next_header().is_err());
}

#[test]
fn a_source_that_can_ask_again_gets_another_try_but_not_for_ever() {
    let image = Image::small();
    let mut feed = image.feed();
    feed.second_try = Some(feed.chunks.clone());
    feed.chunks[1].1[7] ^= 0x80;
    let (files, result) = read_all(&image.approved(), &mut feed, 4096);
    assert!(result.is_ok() && files == image.files);
    assert_eq!(feed.refused, ["verifying first.tar.xz, chunk 1"]);

    let mut feed = image.feed();
    feed.chunks[1].1[7] ^= 0x80;
    feed.second_try = Some(feed.chunks.clone());
    let (files, result) = read_all(&image.approved(), &mut feed, 4096);
    assert_eq!(fault(result).2, ChunkFault::Hash);
    assert_eq!(
        (files[0].1.len(), feed.refused.len(), feed.at),
        (CHUNK, 2, 2)
    );
}

#[test]
fn a_source_that_ends_early_decides_what_follows() {
    let image = Image::small();
    for left in 0..4 {
        let mut feed = image.feed();
        feed.chunks.truncate(left);
        let (files, result) = read_all(&image.approved(), feed, 4096);
        let error = result.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Retry);
        assert!(files != image.files);
        assert!(error.to_string().starts_with("receiving "), "{error}");
    }
}

fn live() -> Approved {
    let file = |name: &str| File {
        name: PackageName::parse(name.as_bytes()).unwrap(),
        chunk_size: CHUNK_SIZE_MIN,
        content: Content::Live,
    };
    let text = manifest(&HEAD, &[file("running"), file("more")]);
    approve_unsigned(&text, &[]).unwrap()
}

fn live_feed(chunks: &[(usize, bool)]) -> Feed {
    let mut feed = Image::small().feed();
    let (mut file, mut chunk) = (0, 0);
    feed.chunks.clear();
    for (len, is_last) in chunks {
        feed.chunks.push(((file, chunk), noise(*len, 9), *is_last));
        (file, chunk) = if *is_last {
            (file + 1, 0)
        } else {
            (file, chunk + 1)
        };
    }
    feed
}

#[test]
fn live_files_end_where_their_sender_says() {
    for chunks in [
        [(CHUNK, false), (1, true), (1, true)],
        // Its end was noticed late.
        [(CHUNK, false), (0, true), (CHUNK, true)],
        // A maker that has no whole chunk yet may send what it has.
        [(10, false), (CHUNK, true), (1, true)],
    ] {
        let feed = live_feed(&chunks);
        let sent: Vec<u8> = feed
            .chunks
            .iter()
            .flat_map(|chunk| chunk.1.clone())
            .collect();
        let (files, result) = read_all(&live(), feed, 4096);
        assert!(result.is_ok(), "{result:?}");
        let got: Vec<u8> = files.into_iter().flat_map(|(_, data)| data).collect();
        assert!(got == sent);
    }
}

#[test]
fn live_chunks_keep_their_limits() {
    for (chunks, expected) in [
        (
            vec![(CHUNK + 1, false)],
            ChunkFault::Length {
                found: CHUNK + 1,
                expected: CHUNK as u64,
            },
        ),
        (vec![(5, false), (0, false)], ChunkFault::Empty),
        (vec![(0, true)], ChunkFault::Empty),
    ] {
        let (_, result) = read_all(&live(), live_feed(&chunks), 4096);
        assert_eq!(fault(result).2, expected);
    }
}

#[test]
fn a_chunk_is_verified_alone_whatever_came_before_it() {
    let image = Image::small();
    let approved = image.approved();
    for ((file, chunk), bytes, _) in image.feed().chunks.into_iter().rev() {
        let verified = verify_chunk(&approved, file, chunk, &mut bytes.clone()).unwrap();
        assert_eq!(verified.as_slice(), bytes);
        assert_eq!(verified.into_inner(), bytes);
        for other in [(file, chunk + 1), (file + 1, chunk), (1 - file, chunk)] {
            let wrong = verify_chunk(&approved, other.0, other.1, &mut bytes.clone());
            assert!(wrong.is_err(), "{other:?}");
        }
        let mut changed = bytes.clone();
        changed[0] ^= 1;
        let shorter = bytes[1..].to_vec();
        for (mut wrong, expected) in [(changed, "SHA-256"), (shorter, "belong there")] {
            let sent = wrong.clone();
            let error = verify_chunk(&approved, file, chunk, &mut wrong).unwrap_err();
            assert_eq!(wrong, sent, "a wrong chunk is left to its owner");
            assert_eq!(error.outcome(), Outcome::Refuse);
            assert!(chain(&error).to_string().contains(expected), "{error:?}");
        }
    }
    let missing = verify_chunk(&approved, 2, 0, &mut Vec::new()).unwrap_err();
    let text = chain(&missing).to_string();
    assert_eq!(
        text,
        "verifying file 2, chunk 0: the manifest has no such chunk"
    );
    let of_live = verify_chunk(&live(), 0, 0, &mut vec![1]).unwrap_err();
    assert!(
        chain(&of_live).to_string().ends_with("no such chunk"),
        "{of_live:?}"
    );
}
