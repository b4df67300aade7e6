//! Streams with a manifest, without, and with half of one.

use super::{LegacyError, MANIFEST, open};
use crate::fakes::image::{CHUNK, HEAD, Image, Signer, manifest, noise};
use crate::front::FrontError;
use crate::package_stream::Packages;
use crate::records::RecordsError;
use crate::trust::{ApproveError, Trust, Voucher, Wanted};
use wire::chain::chain;
use wire::manifest::{CHUNK_LISTS, CHUNK_SIZE_MIN, Content, File, SIGNATURE};
use wire::outcome::Outcome;
use wire::stream::PackageName;

struct Read {
    files: Vec<(String, Vec<u8>)>,
    voucher: Option<Voucher>,
    /// Why it ended, if not in order, and what follows.
    failed: Option<(String, Outcome)>,
}

/// Everything that came out of a stream; `Err` when nothing could.
fn read(bytes: &[u8], trust: &Trust) -> Result<Read, LegacyError> {
    let mut source = bytes;
    let mut legacy = open(&mut source, Wanted::SYSTEM, trust)?;
    let mut read = Read {
        files: Vec::new(),
        voucher: legacy.approved().map(|image| image.voucher().clone()),
        failed: None,
    };
    let mut buf = vec![0; 5000];
    let result = (|| {
        while let Some(header) = legacy.next_header()? {
            read.files.push((header.name.to_string(), Vec::new()));
            loop {
                let len = legacy.read_data(&mut buf)?;
                if len == 0 {
                    break;
                }
                read.files
                    .last_mut()
                    .unwrap()
                    .1
                    .extend_from_slice(&buf[..len]);
            }
        }
        Ok::<_, crate::package_stream::PackagesError>(())
    })();
    read.failed = result
        .err()
        .map(|error| (chain(&error).to_string(), error.outcome()));
    Ok(read)
}

fn signed(image: &Image, signer: &Signer) -> Vec<u8> {
    image.stream(&[
        (MANIFEST, &image.manifest),
        (SIGNATURE, &signer.sign(&image.manifest)),
        (CHUNK_LISTS, &image.chunk_lists),
    ])
}

#[test]
fn signed_stream_gives_its_files_and_names_its_key() {
    let (image, signer) = (Image::small(), Signer::new());
    let read = read(&signed(&image, &signer), &signer.trust()).unwrap();
    assert_eq!(read.failed, None);
    assert!(read.files == image.files);
    assert_eq!(read.voucher, Some(Voucher::Key(signer.public())));
}

#[test]
fn without_a_key_a_manifest_is_honoured_and_none_is_fine() {
    let image = Image::small();
    let nobody = Trust::default();
    let plain = read(&image.stream(&[]), &nobody).unwrap();
    assert!(plain.failed.is_none() && plain.voucher.is_none() && plain.files == image.files);
    let listed = [
        (MANIFEST, image.manifest.as_slice()),
        (CHUNK_LISTS, image.chunk_lists.as_slice()),
    ];
    let unsigned = read(&image.stream(&listed), &nobody).unwrap();
    assert!(unsigned.failed.is_none() && unsigned.files == image.files);
    assert_eq!(
        unsigned.voucher,
        Some(Voucher::Sender {
            has_signature: false
        })
    );
    let mut changed = image.stream(&listed);
    let last = changed.len() - 5;
    changed[last] ^= 1;
    let changed = read(&changed, &nobody).unwrap();
    let (text, outcome) = changed.failed.unwrap();
    assert!(
        text.contains("second.tar.xz, chunk 0") && text.contains("SHA-256"),
        "{text}"
    );
    assert_eq!(outcome, Outcome::Refuse);
}

#[test]
fn with_a_key_nothing_else_is_taken() {
    let (image, signer) = (Image::small(), Signer::new());
    let trust = signer.trust();
    let refused = |before: &[(&str, &[u8])]| {
        let Err(error) = read(&image.stream(before), &trust) else {
            panic!("accepted")
        };
        assert_eq!(error.outcome(), Outcome::Refuse);
        error
    };
    let error = refused(&[]);
    assert!(matches!(&error, LegacyError::NoManifest { found } if found == "first.tar.xz"));
    let signature = signer.sign(&image.manifest);
    let manifest = (MANIFEST, image.manifest.as_slice());
    let signed = (SIGNATURE, signature.as_slice());
    let lists = (CHUNK_LISTS, image.chunk_lists.as_slice());
    assert!(matches!(
        refused(&[manifest, lists]),
        LegacyError::Approve(ApproveError::Unsigned { .. })
    ));
    for wrong in [
        &[manifest][..],
        &[manifest, signed],
        &[manifest, lists, signed],
        &[signed, manifest, lists],
        &[lists, manifest, signed],
    ] {
        let error = refused(wrong);
        assert!(
            matches!(
                error,
                LegacyError::Front(FrontError::Order { .. })
                    | LegacyError::NoManifest { .. }
                    | LegacyError::Approve(ApproveError::Unsigned { .. })
            ),
            "{error:?}"
        );
    }
    let forged = Signer::new().sign(&image.manifest);
    assert!(matches!(
        refused(&[manifest, (SIGNATURE, &forged), lists]),
        LegacyError::Approve(ApproveError::Signature(_))
    ));
    let long = vec![b'x'; 1025];
    assert!(matches!(
        refused(&[manifest, (SIGNATURE, &long), lists]),
        LegacyError::Front(FrontError::TooLong { max: 1024, .. })
    ));
}

#[test]
fn files_must_be_those_of_the_manifest_in_its_order() {
    let (image, signer) = (Image::small(), Signer::new());
    let trust = signer.trust();
    let failed = |change: fn(&mut Image)| {
        let mut changed = image.clone();
        change(&mut changed);
        let read = read(&signed(&changed, &signer), &trust).unwrap();
        let given: usize = read.files.iter().map(|(_, data)| data.len()).sum();
        let (text, outcome) = read.failed.expect("refused");
        assert_eq!(outcome, Outcome::Refuse, "{text}");
        (given, text)
    };
    let first = 2 * CHUNK + 100;
    for (given, why, change) in [
        (
            0,
            "has second.tar.xz where its manifest has first.tar.xz",
            (|image| image.files.reverse()) as fn(&mut Image),
        ),
        (0, "has first.tar where", |image| {
            image.files[0].0 = "first.tar".to_owned()
        }),
        (
            first,
            "has the end of the stream where its manifest has second",
            |image| drop(image.files.pop()),
        ),
        (
            first + 1000,
            "has third, which its manifest has not",
            |image| {
                image.files.push(("third".to_owned(), vec![0]));
            },
        ),
        (first, "1001 bytes, its manifest says 1000", |image| {
            image.files[1].1.push(0)
        }),
        (first, "999 bytes, its manifest says 1000", |image| {
            image.files[1].1.truncate(999)
        }),
        (CHUNK, "first.tar.xz, chunk 1", |image| {
            image.files[0].1[CHUNK] ^= 4
        }),
    ] {
        let (got, text) = failed(change);
        assert!(text.contains(why), "{text}");
        assert_eq!(got, given, "{text}");
    }
}

#[test]
fn every_truncation_is_an_error_that_may_be_retried() {
    let image = Image::new(&[("a", &noise(300, 1)), ("b", &noise(20, 2))]);
    let signer = Signer::new();
    let bytes = signed(&image, &signer);
    let trust = signer.trust();
    for len in 0..bytes.len() {
        let outcome = match read(&bytes[..len], &trust) {
            Err(error) => error.outcome(),
            Ok(read) => read.failed.expect("not whole").1,
        };
        assert_eq!(outcome, Outcome::Retry, "{len}");
    }
    let whole = read(&bytes, &trust).unwrap();
    assert!(whole.failed.is_none() && whole.files == image.files);
    let trailing = [bytes.as_slice(), b"x"].concat();
    let (text, _) = read(&trailing, &trust).unwrap().failed.unwrap();
    assert!(text.contains("follows its terminator"), "{text}");
}

#[test]
fn live_file_has_the_length_of_its_record_here() {
    let data = noise(CHUNK + 7, 5);
    let mut image = Image::new(&[("running", &data)]);
    image.manifest = manifest(
        &HEAD,
        &[File {
            name: PackageName::parse(b"running").unwrap(),
            chunk_size: CHUNK_SIZE_MIN,
            content: Content::Live,
        }],
    );
    // There is no record of no bytes, so its chunk lists cannot be sent: live files do not go over
    // this stream.
    let bytes = image.stream(&[(MANIFEST, &image.manifest), (CHUNK_LISTS, &[0; 32])]);
    assert!(matches!(
        read(&bytes, &Trust::default()),
        Err(LegacyError::Approve(ApproveError::ListLength {
            chunks: 0,
            ..
        }))
    ));
}

#[test]
fn a_foreign_stream_and_a_missing_manifest_have_errors_of_their_own() {
    let trust = Signer::new().trust();
    for (bytes, is_refused) in [
        (&b"GET / HTTP/1.1"[..], true),
        (b"SMV2", true),
        (b"\0\0\0\0", true),
        (b"\0\0\0", false),
    ] {
        let error = read(bytes, &trust).map(|_| ()).unwrap_err();
        assert!(matches!(
            error,
            LegacyError::Records(
                RecordsError::Header { .. }
                    | RecordsError::Session
                    | RecordsError::NoPackages
                    | RecordsError::Read { .. }
            )
        ));
        assert_eq!(error.outcome() == Outcome::Refuse, is_refused);
    }
}
