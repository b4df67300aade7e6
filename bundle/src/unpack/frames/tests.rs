use super::super::tests::{OneByte, limits};
use super::super::{Refusal, UnpackError, check, check_frames};
use super::{fault, relay};
use crate::decode::DecodeError;
use crate::fakes::archive::{Head, dir, file, hard_link, long, pax, record, symlink, tar};
use wire::chain::chain;
use wire::outcome::Outcome;

const CAP: u64 = 1 << 20;

fn answer(tar: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    relay(tar, &mut answer).unwrap();
    answer
}

/// A map in a block of its own, and data behind it.
fn sparse(map: &[u8], data: &[u8]) -> Vec<u8> {
    let mut contents = map.to_vec();
    contents.resize(512, 0);
    contents.extend_from_slice(data);
    contents
}

/// Every kind of entry, and every field with a number of its own.
fn honest() -> Vec<u8> {
    tar(&[
        dir("./"),
        dir("d"),
        pax(&[
            record("path", "d/long"),
            record("mtime", "-1.5"),
            record("SCHILY.xattr.user.a", "value"),
        ]),
        Head::new(b'0', "x").mode(0o4755).owner(3, 4).with(b"hello"),
        hard_link("d/again", "d/long"),
        symlink("d/l", "../outside"),
        Head::new(b'3', "c").device(5, 6).bytes(),
        Head::new(b'4', "b").device(7, 8).bytes(),
        Head::new(b'6', "p").bytes(),
        long(b'L', "d/other"),
        file("y"),
        pax(&[
            record("GNU.sparse.major", "1"),
            record("GNU.sparse.minor", "0"),
            record("GNU.sparse.name", "d/holes"),
            record("GNU.sparse.realsize", "9000"),
        ]),
        Head::new(b'0', "d/GNUSparseFile.1/holes").with(&sparse(b"2\n0\n2\n4096\n3\n", b"hello")),
        Head::new(b'0', "empty").with(b""),
        Head::new(b'0', "large").with(&[9; 300_000]),
    ])
}

#[test]
fn an_answer_comes_to_what_the_archive_does_however_it_is_read() {
    let tar = honest();
    let expected = check(&tar[..], &limits()).unwrap();
    let frames = answer(&tar);
    assert_eq!(check_frames(&frames[..], CAP, &limits()).unwrap(), expected);
    assert_eq!(
        check_frames(OneByte(&frames), CAP, &limits()).unwrap(),
        expected
    );
}

/// The layout in the table above, byte by byte.
#[test]
fn golden_frames() {
    let tar = tar(&[
        pax(&[record("mtime", "1.5"), record("SCHILY.xattr.user.a", "v")]),
        Head::new(b'0', "x").mode(0o640).owner(3, 4).with(b"hello"),
        Head::new(b'3', "c")
            .mode(0o600)
            .mtime(2)
            .device(5, 6)
            .bytes(),
    ]);
    let expected = [
        &[1, b'f', 0xa0, 1, 1, 0, 0, 0, 1, 0, 3, 0, 0, 0, 4, 0, 0, 0][..],
        &500_000_000_u32.to_le_bytes(),
        &1_u64.to_le_bytes(),
        &0_u64.to_le_bytes(),
        &1536_u64.to_le_bytes(),
        &5_u64.to_le_bytes(),
        &[0; 8],
        b"x",
        &[6, 0, 1, 0, 0, 0],
        b"user.av",
        &[2, 5, 0, 0, 0],
        b"hello",
        &[1, b'c', 0x80, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &0_u32.to_le_bytes(),
        &2_u64.to_le_bytes(),
        &2048_u64.to_le_bytes(),
        &2560_u64.to_le_bytes(),
        &0_u64.to_le_bytes(),
        &[5, 0, 0, 0, 6, 0, 0, 0],
        b"c",
        &[3],
        &3584_u64.to_le_bytes(),
    ];
    assert_eq!(answer(&tar), expected.concat());
    let mut refused = Vec::new();
    let error = DecodeError::Truncated { offset: 7 };
    let text = error.to_string();
    fault(error, &mut refused).unwrap();
    let len = [u8::try_from(text.len()).unwrap(), 0];
    let expected = [&[4, 1, 0][..], &[0; 8], &[0, 0], &len, text.as_bytes()];
    assert_eq!(refused, expected.concat());
}

#[test]
fn golden_frame_of_a_file_with_holes() {
    let tar = tar(&[
        pax(&[
            record("GNU.sparse.major", "1"),
            record("GNU.sparse.minor", "0"),
            record("GNU.sparse.name", "h"),
            record("GNU.sparse.realsize", "9000"),
        ]),
        Head::new(b'0', "GNUSparseFile.1/h").with(&sparse(b"2\n0\n2\n4096\n3\n", b"hello")),
    ]);
    let answer = answer(&tar);
    // Behind the fixed fields, which golden_frames has, and the path.
    let at = 62 + 1;
    assert_eq!(answer[..2], [1, b's']);
    let map = [9000_u64.to_le_bytes(), 0x2_u64.to_le_bytes()].concat();
    let segments = [0_u64, 2, 4096, 3].map(u64::to_le_bytes).concat();
    assert_eq!(answer[at..at + 12], map[..12]);
    assert_eq!(answer[at + 12..at + 44], segments);
    assert_eq!(answer[at + 44..at + 54], *b"\x02\x05\0\0\0hello");
    let with = |place: usize, value: u64| {
        let mut answer = answer.clone();
        answer[place..place + 8].copy_from_slice(&value.to_le_bytes());
        check_frames(&answer[..], CAP, &limits()).map(drop)
    };
    assert!(with(at, 9000).is_ok());
    // Shorter than its data, segments over one another, beyond the end, and of another sum.
    for (place, value) in [(at, 4098), (at + 28, 1), (at + 28, u64::MAX), (at + 36, 4)] {
        let error = with(place, value).expect_err("a map that lies");
        assert!(
            chain(&error)
                .to_string()
                .contains("whose map does not fit it"),
            "{error}"
        );
    }
}

#[test]
fn an_answer_cut_anywhere_is_never_whole() {
    let frames = answer(&honest());
    for cut in (0..frames.len() - 300_000).chain([frames.len() - 1]) {
        let error = check_frames(&frames[..cut], CAP, &limits()).expect_err("cut");
        assert!(matches!(error, UnpackError::Input { .. }), "{cut}: {error}");
    }
    let longer = [&frames[..], &[0]].concat();
    let error = check_frames(&longer[..], CAP, &limits()).expect_err("longer");
    assert!(
        chain(&error)
            .to_string()
            .ends_with("something behind its end"),
        "{error}"
    );
}

#[test]
fn every_changed_byte_gives_an_answer_or_a_refusal() {
    let small = tar(&[
        pax(&[record("SCHILY.xattr.user.a", "value")]),
        Head::new(b'0', "x").with(b"hello"),
        hard_link("h", "x"),
        symlink("l", "../outside"),
    ]);
    let honest = answer(&small);
    for at in 0..honest.len() {
        for change in [1, 2, 0x10, 0x80, 0xff] {
            let mut changed = honest.clone();
            changed[at] ^= change;
            let result = check_frames(&changed[..], CAP, &limits());
            let again = check_frames(OneByte(&changed), CAP, &limits());
            assert_eq!(format!("{result:?}"), format!("{again:?}"), "{at} {change}");
            if let Ok(unpacked) = result {
                assert!(unpacked.tar_bytes <= CAP && unpacked.entries == 3);
            }
        }
    }
}

#[test]
fn no_more_than_the_cap_is_believed() {
    let tar = honest();
    let frames = answer(&tar);
    let len = tar.len() as u64;
    assert!(check_frames(&frames[..], len, &limits()).is_ok());
    let error = check_frames(&frames[..], len - 1, &limits()).expect_err("one byte too many");
    assert!(
        chain(&error).to_string().contains("more bytes than"),
        "{error}"
    );
}

#[test]
fn what_is_wrong_with_an_archive_reads_as_it_did() {
    let cut = honest();
    for wrong in [
        cut[..cut.len() - 1024].to_vec(),
        cut[..700].to_vec(),
        tar(&[dir("a"), Head::new(b'0', "b").wrong_checksum().with(b"c")]),
        tar(&[symlink("d/s", "")]),
        tar(&[file("../x")]),
        tar(&[
            pax(&[record("path", "a\tb"), record("what", "1")]),
            file("x"),
        ]),
        [tar(&[file("a")]), vec![1]].concat(),
    ] {
        let expected = check(&wrong[..], &limits()).expect_err("wrong");
        let error = check_frames(&answer(&wrong)[..], CAP, &limits()).expect_err("wrong");
        assert_eq!(chain(&error).to_string(), chain(&expected).to_string());
        assert_eq!(error.outcome(), expected.outcome());
    }
}

#[test]
fn what_the_decoder_says_keeps_its_outcome_and_moves_no_cursor() {
    for (error, outcome) in [
        (DecodeError::Setup { decoder: "xz" }, Outcome::Fatal),
        (DecodeError::Truncated { offset: 1 }, Outcome::Refuse),
    ] {
        let text = error.to_string();
        let mut answer = Vec::new();
        fault(error, &mut answer).unwrap();
        let error = check_frames(&answer[..], CAP, &limits()).expect_err("a fault");
        assert_eq!(error.outcome(), outcome);
        let expected = format!("reading \"\" at tar byte 0: {text}");
        assert_eq!(chain(&error).to_string(), expected);
    }
    let hostile = [&[4, 0, 0][..], &[0; 8], &[0, 0, 4, 0], b"\x1b[2J"].concat();
    let error = check_frames(&hostile[..], CAP, &limits()).expect_err("a fault");
    assert!(
        chain(&error).to_string().ends_with("byte 0: ?[2J"),
        "{error}"
    );
    let UnpackError::Refused { reason, .. } = error else {
        panic!("{error}");
    };
    assert!(matches!(reason, Refusal::Reported(_)));
}
