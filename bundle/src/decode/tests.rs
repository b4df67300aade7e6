//! Honest packages come out whole and alike from every decoder; damaged ones never end in order.

use std::io::{self, Cursor, Read, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::{DecodeError, DecodeLimits, Input, decode};
use crate::pipe::pipe;

const MIB: u64 = 1 << 20;
/// The limits on a machine with 64 MiB.
const SMALL: DecodeLimits = DecodeLimits {
    memory_bytes: 20 * MIB,
    threads: 2,
    output_cap: 1 << 40,
};
const LARGE: DecodeLimits = DecodeLimits {
    memory_bytes: 1024 * MIB,
    threads: 2,
    output_cap: 1 << 40,
};
const ONE_THREAD: DecodeLimits = DecodeLimits {
    threads: 1,
    ..LARGE
};

/// Gives one byte at a time, and never has any ready.
struct OneByte<'a>(&'a [u8]);

impl Read for OneByte<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into.get_mut(..1).unwrap_or_default())
    }
}

impl Input for OneByte<'_> {
    fn ready(&self) -> bool {
        false
    }
}

fn whole(package: &[u8], limits: DecodeLimits) -> Result<Vec<u8>, DecodeError> {
    all_of(package, limits)
}

fn all_of(input: impl Input, limits: DecodeLimits) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = decode(input, limits)?;
    let mut tar = Vec::new();
    let mut chunk = vec![0; 100_000];
    loop {
        match decoder.read_tar(&mut chunk)? {
            0 => return Ok(tar),
            count => tar.extend_from_slice(&chunk[..count]),
        }
    }
}

/// Through the real xz or zstd.
fn packed(command: &str, content: &[u8]) -> Vec<u8> {
    let mut words = command.split(' ');
    let mut packer = Command::new(words.next().unwrap());
    let mut child = packer
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect(command);
    let mut stdin = child.stdin.take().unwrap();
    let content = content.to_vec();
    let feeding = thread::spawn(move || stdin.write_all(&content));
    let mut packed = Vec::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_end(&mut packed)
        .unwrap();
    feeding.join().unwrap().unwrap();
    assert!(child.wait().unwrap().success());
    packed
}

/// Text-like, noise-like and empty stretches, the same at every run.
fn corpus(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes = Vec::with_capacity(len + 4096);
    while bytes.len() < len {
        let stretch = usize::try_from(next() % 4096).unwrap();
        match next() % 4 {
            0 => bytes.extend(
                std::iter::repeat_with(|| next().to_le_bytes())
                    .take(stretch / 8)
                    .flatten(),
            ),
            1 => bytes.resize(bytes.len() + stretch, 0),
            2 => {
                let from = usize::try_from(next()).unwrap() % (bytes.len() + 1);
                let again = bytes[from..bytes.len().min(from + stretch)].to_vec();
                bytes.extend(again);
            }
            _ => bytes.extend(b"usr/lib/x86_64-linux-gnu/".iter().cycle().take(stretch)),
        }
    }
    bytes.truncate(len);
    bytes
}

const PACKERS: [&str; 9] = [
    "xz -T1 -1 -c",
    "xz -T1 -6 -c",
    "xz -T2 -1 --block-size=65536 -c",
    "xz -T1 -1 --check=none -c",
    "xz -T1 -1 --check=crc32 -c",
    "xz -T1 -1 --check=sha256 -c",
    "xz -T1 --x86 --lzma2=preset=1 -c",
    "zstd -q -3 -c",
    "zstd -q -3 --no-check --long=23 -c",
];

#[test]
fn honest_packages_come_out_whole_however_they_are_read() {
    for (seed, len) in [(1, 0), (2, 1), (3, 4096), (4, 120_000)] {
        let content = corpus(len, seed);
        for packer in PACKERS {
            let package = packed(packer, &content);
            for limits in [SMALL, LARGE, ONE_THREAD] {
                assert!(
                    whole(&package, limits).unwrap() == content,
                    "{packer} {len} {limits:?}"
                );
                assert!(
                    all_of(OneByte(&package), limits).unwrap() == content,
                    "{packer} {len} byte by byte"
                );
            }
        }
    }
}

#[test]
fn the_second_decoder_gives_the_same_bytes() {
    for seed in 0..12 {
        let content = corpus(150_000, seed);
        for packer in [
            "xz -T1 -6 -c",
            "xz -T2 -1 --block-size=32768 -c",
            "xz -T1 --check=crc32 -9 -c",
        ] {
            let package = packed(packer, &content);
            let mut second = Vec::new();
            lzma_rs::xz_decompress(&mut Cursor::new(&package), &mut second).unwrap();
            assert!(
                whole(&package, LARGE).unwrap() == second && second == content,
                "{packer} {seed}"
            );
        }
    }
}

#[test]
fn several_streams_padding_frames_and_skippable_frames_are_one_package() {
    let (one, two) = (corpus(10_000, 1), corpus(20_000, 2));
    let both = [one.clone(), two.clone()].concat();
    let (first, second) = (
        packed("xz -c", &one),
        packed("xz -T2 --block-size=4096 -c", &two),
    );
    for zeros in [0, 4, 4096, 200_000] {
        let package = [&first[..], &vec![0; zeros], &second, &vec![0; zeros]].concat();
        for limits in [SMALL, ONE_THREAD] {
            assert!(whole(&package, limits).unwrap() == both, "{zeros}");
        }
        assert!(all_of(OneByte(&package), SMALL).unwrap() == both, "{zeros}");
    }
    let (first, second) = (packed("zstd -q -c", &one), packed("zstd -q -c", &two));
    let skippable = [&[0x5a, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], b"hello"].concat();
    for package in [
        [&first[..], &second].concat(),
        [&skippable[..], &first, &skippable, &second, &skippable].concat(),
    ] {
        assert!(whole(&package, SMALL).unwrap() == both);
        assert!(all_of(OneByte(&package), SMALL).unwrap() == both);
    }
}

#[test]
fn what_is_behind_the_end_is_refused_with_its_offset() {
    for packer in ["xz -c", "zstd -q -c"] {
        let package = packed(packer, &corpus(5000, 7));
        for garbage in [
            &b"garbage behind"[..],
            &[0xff; 100],
            b"\x1f\x8b\x08\0\0\0\0\0",
        ] {
            let error = whole(&[&package[..], garbage].concat(), SMALL).expect_err(packer);
            let DecodeError::Trailing { offset } = error else {
                panic!("{packer}: {error:?}")
            };
            let behind = package.len() as u64..=package.len() as u64 + 8;
            assert!(
                behind.contains(&offset),
                "{packer}: {offset} not in {behind:?}"
            );
        }
        // Three zeros are no padding, and zstd knows none.
        assert!(
            whole(&[&package[..], &[0; 3]].concat(), SMALL).is_err(),
            "{packer}"
        );
        assert!(
            whole(&[&package[..], b"x"].concat(), SMALL).is_err(),
            "{packer}"
        );
    }
    let package = packed("xz -c", b"content");
    assert!(whole(&[&package[..], &[0; 3], &package].concat(), SMALL).is_err());
}

#[test]
fn package_cut_at_any_byte_is_refused() {
    for packer in ["xz -c", "xz -T2 --block-size=1024 -c", "zstd -q -c"] {
        let package = packed(packer, &corpus(3000, 3));
        for cut in 0..package.len() {
            for limits in [SMALL, ONE_THREAD] {
                let error = whole(&package[..cut], limits).expect_err("cut");
                let told = match error {
                    DecodeError::UnknownFormat { .. } => cut < 6,
                    DecodeError::Truncated { offset } => offset == cut as u64,
                    _ => false,
                };
                assert!(told, "{packer} {cut}");
            }
        }
    }
}

#[test]
fn no_changed_byte_goes_unnoticed() {
    for packer in ["xz -c", "xz -T2 --block-size=1024 -c", "zstd -q -c"] {
        let content = corpus(3000, 5);
        let package = packed(packer, &content);
        for at in 0..package.len() {
            for limits in [SMALL, ONE_THREAD] {
                let mut changed = package.clone();
                changed[at] ^= 0x10;
                // A frame header of zstd has bits without a meaning for the content.
                match whole(&changed, limits) {
                    Ok(same) => assert!(
                        packer.starts_with("zstd") && same == content,
                        "{packer} {at}"
                    ),
                    Err(DecodeError::Input { .. } | DecodeError::Setup { .. }) => {
                        panic!("{packer} {at}")
                    }
                    Err(_) => {}
                }
            }
        }
    }
}

#[test]
fn dictionary_beyond_the_memory_is_refused_with_both_sizes_and_decoded_elsewhere() {
    for packer in [
        "xz -9 -T1 -c",
        "xz -9 -T2 -c",
        "zstd -q --ultra -22 --long=27 -c",
    ] {
        // The window of a zstd frame is no larger than what is packed, unless that is not known: as
        // here, from a pipe.
        let package = packed(packer, &corpus(200_000, 9));
        for limits in [
            SMALL,
            DecodeLimits {
                threads: 1,
                ..SMALL
            },
        ] {
            let error = whole(&package, limits).expect_err(packer);
            let DecodeError::Memory {
                needed_bytes,
                limit_bytes,
                ..
            } = error
            else {
                panic!("{packer}: {error:?}")
            };
            assert_eq!(limit_bytes, 20 * MIB);
            assert!(
                (64 * MIB..140 * MIB).contains(&needed_bytes),
                "{packer}: {needed_bytes}"
            );
        }
        assert!(whole(&package, LARGE).is_ok(), "{packer}");
    }
}

#[test]
fn blocks_too_large_for_two_threads_are_decoded_by_one() {
    // Each block alone needs its 8 MiB dictionary; two at once, with 4 MiB of output each, do not
    // fit.
    let content = corpus(18 << 20, 11);
    let package = packed(
        "xz -T2 -0 --lzma2=preset=0,dict=8MiB --block-size=4194304 -c",
        &content,
    );
    assert!(whole(&package, SMALL).unwrap() == content);
}

#[test]
fn bomb_is_stopped_at_the_cap_and_a_package_of_exactly_the_cap_is_not() {
    let zeros = vec![0; 3 << 20];
    for packer in ["xz -c", "xz -T2 --block-size=65536 -c", "zstd -q -c"] {
        let package = packed(packer, &zeros);
        for threads in [1, 2] {
            let capped = |output_cap| DecodeLimits {
                output_cap,
                threads,
                ..SMALL
            };
            assert_eq!(
                whole(&package, capped(zeros.len() as u64)).unwrap().len(),
                zeros.len(),
                "{packer}"
            );
            let cap = zeros.len() as u64 - 1;
            let mut decoder = decode(&package[..], capped(cap)).unwrap();
            let mut got = Vec::new();
            let error = decoder.read_to_end(&mut got).expect_err(packer);
            assert_eq!(
                got.len() as u64,
                cap,
                "{packer}: nothing beyond the cap is handed out"
            );
            let inner = DecodeError::inside(&error);
            assert!(
                matches!(inner, Some(DecodeError::TooLarge { cap_bytes, .. }) if *cap_bytes == cap)
            );
            assert!(decoder.read(&mut [0]).is_err(), "an error is not the end");
        }
    }
}

#[test]
fn other_formats_are_refused_with_their_first_bytes() {
    let error = whole(b"\x1f\x8b\x08\0rest", SMALL).expect_err("gzip");
    assert!(error.to_string().contains("1f 8b 08 00"), "{error}");
    let error = whole(b"", SMALL).expect_err("nothing");
    assert!(error.to_string().contains("nothing"), "{error}");
}

#[test]
fn a_read_error_is_no_bad_package() {
    let (mut writer, reader) = pipe(1 << 20);
    writer
        .write_all(&packed("xz -c", &corpus(100_000, 1))[..20_000])
        .unwrap();
    // The donor stops in the middle: the pipe breaks.
    let reading = thread::spawn(move || all_of(reader, LARGE));
    thread::spawn(move || writer.fail(io::Error::from(io::ErrorKind::ConnectionReset)));
    let error = reading.join().unwrap().expect_err("broken");
    assert_eq!(error.outcome(), wire::outcome::Outcome::Retry, "{error:?}");
}

#[test]
fn slow_donor_gets_everything_decoded_that_it_has_sent() {
    let content = corpus(400_000, 21);
    for packer in ["xz -T2 --block-size=100000 -c", "xz -c", "zstd -q -c"] {
        let package = packed(packer, &content);
        let (mut writer, reader) = pipe(1 << 20);
        let (got, come) = std::sync::mpsc::channel();
        let decoding = thread::spawn(move || {
            let mut decoder = decode(reader, LARGE).unwrap();
            let mut chunk = [0; 50_000];
            loop {
                let count = decoder.read(&mut chunk).unwrap();
                if got.send(count).is_err() || count == 0 {
                    return;
                }
            }
        });
        // All but the last 40 bytes: every block is there, the end of the stream is not.
        let (most, rest) = package.split_at(package.len() - 40);
        writer.write_all(most).unwrap();
        let mut received = 0;
        while received < content.len() - 10_000 && !packer.starts_with("zstd") {
            received += come.recv_timeout(Duration::from_secs(20)).expect(packer);
        }
        writer.write_all(rest).unwrap();
        writer.finish().unwrap();
        received += come.iter().sum::<usize>();
        decoding.join().unwrap();
        assert_eq!(received, content.len(), "{packer}");
    }
}
