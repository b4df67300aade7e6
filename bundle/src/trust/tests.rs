//! Signatures by stock tools are accepted; every other signature is refused.

use super::{ApproveError, Approved, Offered, SignatureError, Trust, TrustError, Voucher, Wanted};
use crate::fakes::image::{CHUNK, HEAD, Image, Signer, count, describe, manifest, noise};
use wire::chain::chain;
use wire::manifest::{CHUNK_SIZE_MIN, Content, File, Head, Role, Unpacked};
use wire::outcome::Outcome;
use wire::stream::PackageName;

const MANIFEST: &[u8] = include_bytes!("../../tests/golden/signed.manifest");
const SIGNATURE: &[u8] = include_bytes!("../../tests/golden/signed.manifest.minisig");
const OLD_SIGNATURE: &[u8] = include_bytes!("../../tests/golden/signed.manifest.old");
const CHUNK_LISTS: &[u8] = include_bytes!("../../tests/golden/signed.manifest.chunks");
const PUBLIC: &str = include_str!("../../tests/golden/signed.manifest.pub");

/// As a bare machine decides.
fn approve(
    manifest: &[u8],
    signature: &[u8],
    chunk_lists: &[u8],
    trust: &Trust,
) -> Result<Approved, ApproveError> {
    let offered = Offered {
        manifest,
        signature,
        chunk_lists,
    };
    super::approve(offered, Wanted::SYSTEM, trust)
}

fn golden_trust() -> Trust {
    Trust::parse(PUBLIC).unwrap()
}

#[test]
fn what_minisign_signed_is_approved_and_its_key_named() {
    let approved = approve(MANIFEST, SIGNATURE, CHUNK_LISTS, &golden_trust()).unwrap();
    let key = PUBLIC.lines().nth(1).unwrap();
    assert_eq!(*approved.voucher(), Voucher::Key(key.to_owned()));
    assert_eq!(approved.voucher().to_string(), format!("signed by {key}"));
    assert_eq!((approved.counter(), approved.version()), (417, "2026.11.3"));
    assert_eq!(approved.size_bytes(), Some(131_073 + 65_536));
    assert_eq!(approved.unpacked_bytes(), Some(2 * 10_240));
    let names: Vec<&str> = approved.files().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["smechvisor-base.tar.xz", "bootloader-grub.tar.xz"]);
    let (first, second) = (approved.file(0).unwrap(), approved.file(1).unwrap());
    assert_eq!(approved.file(2), None);
    let hash = |file, chunk| approved.hash(file, chunk).map(|hash| hash.as_slice());
    assert_eq!(hash(first, 0), CHUNK_LISTS.get(..32));
    assert_eq!(hash(first, 2), CHUNK_LISTS.get(64..96));
    assert_eq!(hash(first, 3), None, "never a hash of the next file");
    assert_eq!(hash(second, 0), CHUNK_LISTS.get(96..));
    assert_eq!(hash(second, 1), None);
    assert_eq!(approved.chunk_sha256(1, 0), approved.hash(second, 0));
    assert_eq!(approved.chunk_sha256(2, 0), None);
    assert_eq!(approved.manifest(), MANIFEST);
    assert_eq!(approved.signature(), SIGNATURE);
    assert_eq!(approved.image(), None, "archives");
}

#[test]
fn the_older_form_of_signature_is_refused() {
    let error = approve(MANIFEST, OLD_SIGNATURE, CHUNK_LISTS, &golden_trust()).unwrap_err();
    assert!(
        matches!(error, ApproveError::Signature(SignatureError::Wrong(_))),
        "{error:?}"
    );
}

/// The count that docs and issue promise: every byte position, every bit, 0 accepted.
#[test]
fn no_changed_bit_of_manifest_signature_or_chunk_lists_is_accepted() {
    let trust = golden_trust();
    let parts = [MANIFEST, SIGNATURE, CHUNK_LISTS];
    let (mut tried, mut accepted) = (0, 0);
    for changed in 0..parts.len() {
        for at in 0..parts[changed].len() {
            for bit in 0..8 {
                let mut copies = parts.map(<[u8]>::to_vec);
                copies[changed][at] ^= 1 << bit;
                tried += 1;
                if let Ok(approved) = approve(&copies[0], &copies[1], &copies[2], &trust) {
                    accepted += 1;
                    eprintln!("part {changed} byte {at} bit {bit}: {approved:?}");
                }
            }
        }
    }
    eprintln!("tampering: {tried} changed bits, {accepted} accepted");
    assert_eq!(accepted, 0);
    assert_eq!(
        tried,
        8 * parts.iter().map(|part| part.len()).sum::<usize>()
    );
}

#[test]
fn no_byte_more_or_less_is_accepted() {
    let trust = golden_trust();
    let parts = [MANIFEST, SIGNATURE, CHUNK_LISTS];
    for changed in 0..parts.len() {
        for at in 0..=parts[changed].len() {
            for insert in [b'\n', b' ', b'=', b'0'] {
                let mut copies = parts.map(<[u8]>::to_vec);
                copies[changed].insert(at, insert);
                let same = copies[changed] == parts[changed];
                let result = approve(&copies[0], &copies[1], &copies[2], &trust);
                assert!(!same && result.is_err(), "part {changed} byte {at}");
            }
            let mut copies = parts.map(<[u8]>::to_vec);
            copies[changed].truncate(at);
            let is_whole = at == parts[changed].len();
            let result = approve(&copies[0], &copies[1], &copies[2], &trust);
            assert_eq!(result.is_ok(), is_whole, "part {changed} cut to {at}");
        }
    }
}

#[test]
fn any_one_of_several_trusted_keys_is_enough_and_a_stranger_is_not() {
    let image = Image::small();
    let (old, new, stranger) = (Signer::new(), Signer::new(), Signer::new());
    let both = format!(
        "untrusted comment: of 2026\n{}\n\n  {}  \n",
        old.public(),
        new.public()
    );
    let trust = Trust::parse(&both).unwrap();
    assert_eq!(trust.keys().count(), 2);
    for signer in [&old, &new] {
        let approved = image
            .approve(&signer.sign(&image.manifest), &trust)
            .unwrap();
        assert_eq!(*approved.voucher(), Voucher::Key(signer.public()));
    }
    let signature = stranger.sign(&image.manifest);
    let error = image.approve(&signature, &trust).unwrap_err();
    assert!(matches!(
        error,
        ApproveError::Signature(SignatureError::UnknownKey)
    ));
    assert_eq!(error.outcome(), Outcome::Refuse);
    let error = image.approve(&[], &trust).unwrap_err();
    assert!(matches!(error, ApproveError::Unsigned { keys: 2 }));
    assert!(error.to_string().contains("2 trusted keys"), "{error}");
    let other = old.sign(b"something else");
    assert!(matches!(
        image.approve(&other, &trust),
        Err(ApproveError::Signature(SignatureError::Wrong(_)))
    ));
}

/// A signature is judged before a byte of the text is parsed: garbage is not told apart from a
/// stranger's manifest.
#[test]
fn text_is_parsed_only_after_its_signature() {
    let signer = Signer::new();
    let garbage = b"not a manifest at all";
    let unsigned = approve(garbage, &Signer::new().sign(garbage), &[], &signer.trust());
    assert!(matches!(unsigned, Err(ApproveError::Signature(_))));
    let signed = approve(garbage, &signer.sign(garbage), &[], &signer.trust());
    assert!(matches!(signed, Err(ApproveError::Manifest(_))));
}

#[test]
fn signatures_have_one_form() {
    let text = String::from_utf8(SIGNATURE.to_vec()).unwrap();
    let trust = golden_trust();
    let refused = |text: &str| {
        let error = approve(MANIFEST, text.as_bytes(), CHUNK_LISTS, &trust).unwrap_err();
        chain(&error).to_string()
    };
    for (from, to, why) in [
        ("from minisign secret", "from my secret", "minisign -c"),
        ("\n", "\r\n", "line feed"),
        ("trusted comment: rel", "comment: rel", "decoding"),
        (
            "trusted comment: rel",
            "trusted comment: nightly rel",
            "does not belong",
        ),
    ] {
        let error = refused(&text.replace(from, to));
        assert!(error.contains(why), "{to}: {error}");
    }
    assert!(refused(&format!("{text}\n")).contains("line feed"));
    assert!(refused(&format!("{text}more\n")).contains("4 lines"));
    assert!(refused(text.trim_end()).contains("line feed"));
    let error = approve(MANIFEST, &[0xff; 100], CHUNK_LISTS, &trust).unwrap_err();
    assert!(matches!(
        error,
        ApproveError::Signature(SignatureError::NotText { at: 0 })
    ));
    let error = approve(MANIFEST, &[b'a'; 1025], CHUNK_LISTS, &trust).unwrap_err();
    assert!(matches!(
        error,
        ApproveError::TooLong {
            part: "signature",
            ..
        }
    ));
}

#[test]
fn without_a_key_nothing_is_claimed_to_be_verified() {
    let image = Image::small();
    let nobody = Trust::default();
    assert!(!nobody.demands_signature());
    let unsigned = image.approve(&[], &nobody).unwrap();
    assert_eq!(unsigned.voucher().to_string(), "unsigned");
    for signature in [Signer::new().sign(&image.manifest), b"rubbish".to_vec()] {
        let approved = image.approve(&signature, &nobody).unwrap();
        assert_eq!(
            approved.voucher().to_string(),
            "signature not checked, no trusted key"
        );
    }
    assert_eq!(unsigned.digest(), image.approved().digest());
}

#[test]
fn floor_refuses_older_images_and_names_both_numbers() {
    let image = Image::small();
    let signer = Signer::new();
    let signature = signer.sign(&image.manifest);
    for (floor, is_taken) in [(0, true), (417, true), (418, false), (u64::MAX, false)] {
        for (trust, signature) in [
            (signer.trust(), signature.as_slice()),
            (Trust::default(), &[]),
        ] {
            let result = image.approve(signature, &trust.with_floor(floor));
            assert_eq!(result.is_ok(), is_taken, "{floor}");
            if let Err(error) = result {
                let text = error.to_string();
                assert!(
                    text.contains("417") && text.contains(&floor.to_string()),
                    "{text}"
                );
            }
        }
    }
}

#[test]
fn an_image_has_one_file_that_is_named_so() {
    let data = noise(CHUNK + 1, 3);
    let unpacked = Unpacked::of_image(data.len() as u64);
    let (file, list) = describe("smechvisor-system.img", &data, Some(unpacked));
    let (text, signer) = (manifest(&HEAD, std::slice::from_ref(&file)), Signer::new());
    let approved = approve(&text, &signer.sign(&text), &list, &signer.trust()).unwrap();
    assert_eq!(approved.image(), Some(&file));
    assert_eq!(approved.unpacked_bytes(), approved.size_bytes());
}

/// Is an image with this head taken where that is wanted?
fn approve_head(head: &Head<'_>, wanted: Wanted<'_>) -> Result<Approved, ApproveError> {
    let data = noise(100, 3);
    let (file, list) = describe("a.tar.xz", &data, Some(count(&data)));
    let offered = Offered {
        manifest: &manifest(head, &[file]),
        signature: &[],
        chunk_lists: &list,
    };
    super::approve(offered, wanted, &Trust::default())
}

#[test]
fn other_roles_and_products_than_wanted_are_refused() {
    for role in Role::ALL {
        for wanted_role in Role::ALL {
            let wanted = Wanted {
                role: wanted_role,
                ..Wanted::SYSTEM
            };
            let result = approve_head(&Head { role, ..HEAD }, wanted);
            assert_eq!(result.is_ok(), role == wanted_role, "{role}");
            if let Err(error) = result {
                let expected = format!("is of role {role}; {wanted_role} is wanted here");
                assert!(error.to_string().ends_with(&expected), "{error}");
            }
        }
    }
    let site = Wanted {
        role: Role::Site,
        product: "www",
    };
    for (product, is_taken) in [
        ("www", true),
        ("ww", false),
        ("WWW", false),
        ("wwww", false),
    ] {
        let head = Head {
            role: Role::Site,
            product,
            ..HEAD
        };
        let result = approve_head(&head, site);
        assert_eq!(result.is_ok(), is_taken, "{product}");
        if let Err(error) = result {
            assert_eq!(error.outcome(), Outcome::Refuse);
            let expected = format!("the image is for {product}; www is wanted here");
            assert_eq!(error.to_string(), expected);
        }
    }
    let other = Head {
        product: "smv-aarch64",
        ..HEAD
    };
    let error = approve_head(&other, Wanted::SYSTEM).unwrap_err();
    assert!(matches!(error, ApproveError::Product { found, .. } if found == "smv-aarch64"));
}

/// A signature for one place does not count for another: the role is judged after it.
#[test]
fn a_signed_image_for_another_place_is_refused() {
    let (image, signer) = (Image::small(), Signer::new());
    let signature = signer.sign(&image.manifest);
    let offered = image.offered(&signature);
    assert!(super::approve(offered, Wanted::SYSTEM, &signer.trust()).is_ok());
    let daemon = Wanted {
        role: Role::Daemon,
        ..Wanted::SYSTEM
    };
    let error = super::approve(offered, daemon, &signer.trust()).unwrap_err();
    assert!(matches!(error, ApproveError::Role { .. }), "{error}");
}

#[test]
fn live_and_uncounted_files_are_for_unsigned_manifests() {
    let signer = Signer::new();
    let live = File {
        name: PackageName::parse(b"running").unwrap(),
        chunk_size: CHUNK_SIZE_MIN,
        content: Content::Live,
    };
    let text = manifest(&HEAD, &[live]);
    let approved = approve(&text, &[], &[], &Trust::default()).unwrap();
    assert_eq!(approved.size_bytes(), None);
    for (signature, trust) in [
        (signer.sign(&text), signer.trust()),
        (signer.sign(&text), Trust::default()),
    ] {
        let error = approve(&text, &signature, &[], &trust).unwrap_err();
        assert!(matches!(error, ApproveError::Live { name } if name == "running"));
    }
    assert!(matches!(
        approve(&text, &[], &[], &signer.trust()),
        Err(ApproveError::Unsigned { .. })
    ));

    let data = noise(CHUNK + 1, 1);
    let (file, list) = describe("a.tar.xz", &data, None);
    let text = manifest(&HEAD, &[file]);
    let approved = approve(&text, &[], &list, &Trust::default()).unwrap();
    assert_eq!(approved.unpacked_bytes(), None);
    let error = approve(&text, &signer.sign(&text), &list, &signer.trust()).unwrap_err();
    assert!(matches!(error, ApproveError::Uncounted { name } if name == "a.tar.xz"));
}

#[test]
fn chunk_lists_are_bound_file_by_file() {
    let image = Image::small();
    let approve_lists = |lists: &[u8]| approve(&image.manifest, &[], lists, &Trust::default());
    let lists = &image.chunk_lists;
    assert!(approve_lists(lists).is_ok());
    for wrong in [
        &lists[..lists.len() - 32],
        &lists[..lists.len() - 1],
        &[lists.as_slice(), &[0; 32]].concat(),
        &[],
    ] {
        let error = approve_lists(wrong).unwrap_err();
        assert!(matches!(error, ApproveError::ListLength { chunks: 4, .. }));
    }
    let mut swapped = lists.clone();
    swapped.rotate_left(32);
    let error = approve_lists(&swapped).unwrap_err();
    assert!(matches!(error, ApproveError::ListHash { name } if name == "first.tar.xz"));
    let mut last = lists.clone();
    *last.last_mut().unwrap() ^= 1;
    let error = approve_lists(&last).unwrap_err();
    assert!(matches!(error, ApproveError::ListHash { name } if name == "second.tar.xz"));
}

#[test]
fn a_list_of_keys_that_is_there_must_have_a_key() {
    for empty in ["", "\n\n", "untrusted comment: minisign public key 1\n"] {
        assert!(matches!(Trust::parse(empty), Err(TrustError::NoKeys)));
    }
    let key = Signer::new().public();
    for (text, wrong_line) in [
        ("rubbish".to_owned(), 1),
        (format!("{key}\n{}\n", &key[1..]), 2),
        (format!("{key} {key}"), 1),
        // The same key with the algorithm of signatures, `ED`.
        (key.replacen("RW", "RU", 1), 1),
    ] {
        let error = Trust::parse(&text).unwrap_err();
        assert!(
            matches!(error, TrustError::Key { line, .. } if line == wrong_line),
            "{text}: {error}"
        );
    }
    let many: String = (0..17).map(|_| format!("{key}\n")).collect();
    assert!(matches!(Trust::parse(&many), Err(TrustError::TooMany)));
    assert_eq!(Trust::parse_floor("417\n").unwrap(), 417);
    for wrong in ["", "-1", "0x10", "18446744073709551616", "1 2"] {
        assert!(Trust::parse_floor(wrong).is_err(), "{wrong}");
    }
}
