//! A plain tar in, its entries shown one after another: for programs that make something else of a
//! package than a tree on a file system. The policy is that of [`super`].

use std::io::Read;
use std::sync::atomic::AtomicU64;

use super::blocks::Blocks;
use super::entries::{Content, Entries};
use super::entry::Entry;
use super::seen::Seen;
use super::{UnpackError, UnpackLimits, Unpacked, admitted};

/// Shows every entry of a whole tar with its contents, in its order. Contents that `look` does not
/// take are passed over.
///
/// # Errors
/// As [`super::check`], or whatever `look` says; entries before that one were shown.
pub fn visit<F: From<UnpackError>>(
    tar: impl Read,
    limits: &UnpackLimits,
    mut look: impl FnMut(&Entry, &mut dyn Content) -> Result<(), F>,
) -> Result<Unpacked, F> {
    let progress = AtomicU64::new(0);
    let mut entries = Blocks::new(tar, &progress);
    let (mut seen, mut unpacked) = (Seen::default(), Unpacked::default());
    while let Some(entry) = admitted(&mut entries, limits, &mut seen, &mut unpacked)? {
        look(&entry, &mut entries)?;
        entries.skip_rest()?;
    }
    unpacked.tar_bytes = entries.offset();
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use super::visit;
    use crate::fakes::archive::{dir, file, symlink, tar};
    use crate::unpack::tests::limits;
    use crate::unpack::{Kind, UnpackError, check};

    fn example() -> Vec<u8> {
        let long = crate::fakes::archive::Head::new(b'0', "etc/long")
            .size(1300)
            .with(&[7; 1300]);
        tar(&[dir("etc/"), file("etc/short"), long, symlink("l", "etc")])
    }

    #[test]
    fn entries_are_shown_with_their_contents_and_counted_as_by_check() {
        let tar = example();
        let mut shown = Vec::new();
        let counted = visit(
            &*tar,
            &limits(),
            |entry, content| -> Result<(), UnpackError> {
                let mut bytes = Vec::new();
                while let Some(chunk) = content.next_chunk()? {
                    bytes.extend_from_slice(chunk);
                }
                shown.push((entry.path.as_bytes().to_vec(), bytes));
                Ok(())
            },
        );
        assert_eq!(counted.unwrap(), check(&*tar, &limits()).unwrap());
        let expected: [(&[u8], &[u8]); 4] = [
            (b"etc", &[]),
            (b"etc/short", b"content"),
            (b"etc/long", &[7; 1300]),
            (b"l", &[]),
        ];
        let expected = expected.map(|(path, bytes)| (path.to_vec(), bytes.to_vec()));
        assert_eq!(shown, expected);
    }

    #[test]
    fn contents_may_be_left_and_what_the_visitor_says_ends_the_visit() {
        let tar = example();
        let mut count = 0;
        let all = visit(&*tar, &limits(), |entry, _| -> Result<(), UnpackError> {
            count += usize::from(entry.kind != Kind::Directory);
            Ok(())
        });
        assert_eq!((count, all.unwrap().entries), (3, 4));

        #[derive(Debug)]
        struct Enough;
        impl From<UnpackError> for Enough {
            fn from(error: UnpackError) -> Self {
                panic!("{error}")
            }
        }
        let mut count = 0;
        let ended = visit(&*tar, &limits(), |_, _| {
            count += 1;
            if count == 2 { Err(Enough) } else { Ok(()) }
        });
        assert!(ended.is_err() && count == 2);
    }
}
