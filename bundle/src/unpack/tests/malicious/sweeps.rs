//! The same over every byte of an honest archive.

use super::super::super::{Refusal, UnpackError, check};
use super::super::{OneByte, limits};
use crate::fakes::archive::{Head, dir, file, long, pax, record, symlink, tar};

#[test]
fn archive_cut_at_any_byte_is_refused() {
    let honest = tar(&[
        dir("d"),
        pax(&[record("path", "d/long"), record("mtime", "1.5")]),
        Head::new(b'0', "x").with(b"hello"),
        long(b'L', "d/other"),
        symlink("y", "long"),
    ]);
    assert!(check(&honest[..], &limits()).is_ok());
    for cut in 0..honest.len() {
        let error = check(&honest[..cut], &limits()).expect_err("cut");
        let refused = matches!(
            &error,
            UnpackError::Refused {
                reason: Refusal::Truncated | Refusal::NoEndMarker,
                ..
            }
        );
        assert!(refused, "{cut}: {error:?}");
    }
}

#[test]
fn every_changed_byte_of_a_header_is_harmless_or_refused() {
    let honest = tar(&[dir("d"), symlink("d/l", "../outside"), file("d/f")]);
    for at in 0..honest.len() {
        for bit in [1, 0x80] {
            let mut changed = honest.clone();
            changed[at] ^= bit;
            // Contents and padding are not covered by a checksum here; everything else is.
            let result = check(&changed[..], &limits());
            let content = (1536..2048).contains(&at);
            assert_eq!(result.is_ok(), content, "byte {at}: {result:?}");
        }
    }
}

#[test]
fn byte_behind_the_end_is_named_exactly_however_it_is_read() {
    let tar = [tar(&[file("a")]), vec![0; 9], vec![1]].concat();
    let expected = tar.len() as u64 - 1;
    for error in [check(&tar[..], &limits()), check(OneByte(&tar), &limits())] {
        let error = error.expect_err("a byte behind the end");
        assert!(
            matches!(error, UnpackError::Refused { offset, .. } if offset == expected),
            "{error:?}"
        );
    }
}
