//! Golden text both ways, every truncation, every changed byte, every rule of `protocol.md` 4.1 and
//! 4.5 broken once.

use super::{
    Builder, CHUNK_SIZE_MAX, Content, FILES_MAX, Fault, File, Head, LEN_MAX, Manifest,
    ManifestError, Role, Unpacked, is_image,
};
use crate::chain::chain;
use crate::message::CHUNKS_MAX;
use crate::stream::PackageName;
extern crate std;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

const GOLDEN: &str = include_str!("../../tests/golden/manifest.txt");
const HEAD: Head<'static> = Head {
    role: Role::Os,
    product: "smv-x86_64",
    version: "2026.11.3",
    counter: 417,
    keyset: 3,
    created: "2026-11-20T00:00:00Z",
};

fn parse(text: &str) -> Result<Manifest<'_>, ManifestError> {
    Manifest::parse(text.as_bytes())
}

fn write(manifest: &Manifest<'_>) -> String {
    let mut builder = Builder::new(String::new(), manifest.head()).unwrap();
    for file in manifest.files() {
        builder.file(&file).unwrap();
    }
    builder.end().unwrap()
}

/// The golden text with one change, which must be refused.
fn refused(from: &str, to: &str) -> ManifestError {
    assert!(GOLDEN.contains(from), "{from}");
    let text = GOLDEN.replacen(from, to, 1);
    parse(&text).expect_err(&text)
}

#[test]
fn golden_manifest_is_read_and_written() {
    let manifest = parse(GOLDEN).unwrap();
    assert_eq!(*manifest.head(), HEAD);
    let files: Vec<File> = manifest.files().collect();
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "smechvisor-base.tar.xz",
            "bootloader-grub.tar.xz",
            "running"
        ]
    );
    let Content::Hashed {
        sha256,
        size_bytes,
        unpacked,
        chunk_list_sha256,
    } = files[0].content
    else {
        panic!("{files:?}")
    };
    assert_eq!((sha256[0], sha256[31]), (0xca, 0xbb));
    assert_eq!((chunk_list_sha256[0], chunk_list_sha256[31]), (0x3e, 0x9d));
    assert_eq!(size_bytes, 1_048_577);
    assert_eq!(
        unpacked,
        Some(Unpacked {
            size_bytes: 7_000_064,
            entries: 23
        })
    );
    let chunks: Vec<Option<u32>> = files.iter().map(File::chunks).collect();
    assert_eq!(chunks, [Some(2), Some(1), None]);
    assert_eq!(files[1].chunk_size, 65536);
    assert!(matches!(
        files[1].content,
        Content::Hashed { unpacked: None, .. }
    ));
    assert_eq!(files[2].content, Content::Live);
    assert_eq!((manifest.file_count(), manifest.chunk_count()), (3, 3));
    assert!(manifest.is_live());
    assert_eq!(write(&manifest), GOLDEN);
}

#[test]
fn every_truncation_is_refused() {
    for len in 0..GOLDEN.len() {
        let error = parse(&GOLDEN[..len]).unwrap_err();
        let last_line = u32::try_from(GOLDEN[..len].lines().count() + 1).unwrap();
        assert!(error.line >= 1 && error.line <= last_line, "{error:?}");
    }
}

#[test]
fn every_changed_byte_is_refused_or_another_manifest() {
    let golden = parse(GOLDEN).unwrap();
    let mut others = 0;
    for at in 0..GOLDEN.len() {
        for flip in 1..=255 {
            let mut bytes = GOLDEN.as_bytes().to_vec();
            bytes[at] ^= flip;
            if let Ok(other) = Manifest::parse(&bytes) {
                others += 1;
                assert_eq!(write(&other).as_bytes(), bytes, "one way to write it");
                assert!(bytes.is_ascii());
                let is_same = *other.head() == *golden.head() && other.files().eq(golden.files());
                assert!(!is_same, "byte {at}");
            }
        }
    }
    assert!(others > 1000, "digits and names can change: {others}");
}

#[test]
fn each_line_has_its_place_and_is_named_when_it_is_wrong() {
    let lines: Vec<&str> = GOLDEN.lines().collect();
    for (number, line) in (1_u32..).zip(&lines) {
        let without = GOLDEN.replacen(&format!("{line}\n"), "", 1);
        let error = parse(&without).unwrap_err();
        let is_file = line.starts_with("file") || line.starts_with("live");
        // A missing file is noticed where they are counted.
        let noticed = if is_file { 10 } else { number };
        assert_eq!(error.line, noticed, "{line}: {}", chain(&error));
        let twice = GOLDEN.replacen(line, &format!("{line}\n{line}"), 1);
        assert!(parse(&twice).is_err(), "{line}");
        let unknown = GOLDEN.replacen(line, &format!("comment x\n{line}"), 1);
        let error = parse(&unknown).unwrap_err();
        assert_eq!(error.line, number, "{}", chain(&error));
        assert!(
            chain(&error).to_string().contains("\"comment x\""),
            "{}",
            chain(&error)
        );
    }
    let swapped = GOLDEN.replacen("counter 417\nkeyset 3\n", "keyset 3\ncounter 417\n", 1);
    assert_eq!(
        chain(&parse(&swapped).unwrap_err()).to_string(),
        "reading line 5 of the manifest: \"keyset 3\" where the field counter belongs"
    );
    assert_eq!(
        chain(&refused("role os", "role\x1b[2Jos")).to_string(),
        "reading line 2 of the manifest: \"role\\x1b[2Jos\" where the field role belongs"
    );
}

#[test]
fn white_space_line_ends_and_what_follows_are_refused() {
    for (from, to) in [
        ("role os\n", "role os\r\n"),
        ("role os\n", "role  os\n"),
        ("role os\n", "role os \n"),
        ("role os\n", " role os\n"),
        ("role os\n", "role\tos\n"),
        ("role os\n", "role os\n\n"),
        ("role os\n", "role os # comment\n"),
        ("end 3\n", "end 3"),
        ("end 3\n", "end 3\n\n"),
        ("end 3\n", "end 3\nend 3\n"),
        ("end 3\n", "end 3 \n"),
        ("end 3\n", "end\n"),
        (" running", " running x"),
        (" running", ""),
        (" running", " "),
    ] {
        let error = refused(from, to);
        assert!(error.line > 0, "{}", chain(&error));
    }
    let behind = parse(&format!("{GOLDEN}x")).unwrap_err();
    assert_eq!(behind.fault, Fault::BehindTheEnd { len_bytes: 1 });
    let long = format!("{GOLDEN}{}", "x".repeat(LEN_MAX));
    assert!(matches!(
        parse(&long).unwrap_err(),
        ManifestError {
            line: 0,
            fault: Fault::TooLong { .. }
        }
    ));
}

#[test]
fn values_outside_their_range_are_refused_with_what_stands_there() {
    for (from, to, shown) in [
        ("manifest 1", "manifest 2", "smechvisor-manifest 2"),
        ("role os", "role OS", "\"OS\" is no role"),
        ("smv-x86_64", "smv/x86", "[A-Za-z0-9._+-]"),
        ("version 2026.11.3", "version ", "\"\" is not 1 to 64"),
        ("counter 417", "counter 0417", "\"0417\" is not a number"),
        ("counter 417", "counter +417", "\"+417\" is not a number"),
        ("counter 417", "counter -1", "\"-1\""),
        ("counter 417", "counter 1e3", "\"1e3\""),
        (
            "counter 417",
            "counter 18446744073709551616",
            "from 0 to 18446744073709551615",
        ),
        ("keyset 3", "keyset 4294967296", "from 0 to 4294967295"),
        ("2026-11-20T00:00:00Z", "2026-11-20 00:00:00Z", "follows"),
        ("2026-11-20T00:00:00Z", "2026-13-20T00:00:00Z", "time like"),
        ("2026-11-20T00:00:00Z", "2026-11-00T00:00:00Z", "time like"),
        ("2026-11-20T00:00:00Z", "2026-11-20T24:00:00Z", "time like"),
        ("2026-11-20T00:00:00Z", "2026-11-20T00:60:00Z", "time like"),
        ("2026-11-20T00:00:00Z", "2026-11-20T00:00:61Z", "time like"),
        ("2026-11-20T00:00:00Z", "2026-11-20T00:00:00+00:00", "time"),
        ("file ca97", "file CA97", "small hexadecimal"),
        ("file ca97", "file a97", "small hexadecimal"),
        ("file ca97", "file 0ca97", "small hexadecimal"),
        (" 1048577 ", " 0 ", "no bytes"),
        (" 1048577 ", " 1099511627777 ", "to 1099511627776"),
        (" 7000064 ", " 1099511627777 ", "to 1099511627776"),
        (" 7000064 23 ", " 0 23 ", "entries without"),
        (" 7000064 23 ", " 7000064 4294967296 ", "to 4294967295"),
        (" 1048576 ", " 1048575 ", "chunk size of 1048575"),
        (" 1048576 ", " 2097152 ", "chunk size of 2097152"),
        (" 1048576 ", " 32768 ", "chunk size of 32768"),
        (" 1048576 ", " 0 ", "chunk size of 0"),
        ("live 262144", "live 262145", "chunk size of 262145"),
        (" running", " ../running", "name \"../running\""),
        (" running", " .hidden", "at byte 0"),
        (" running", " bootloader-grub", "comes twice"),
        (" running", " smechvisor-base.tar.zst", "comes twice"),
        ("end 3", "end 2", "counts 2 files, there are 3"),
        ("end 3", "end 03", "\"03\""),
    ] {
        let text = chain(&refused(from, to)).to_string();
        assert!(text.contains(shown), "{to}: {text}");
    }
    let long_word = "v".repeat(65);
    refused("2026.11.3", &long_word);
    assert!(parse(&GOLDEN.replace("2026.11.3", &long_word[1..])).is_ok());
    assert!(parse(&GOLDEN.replace("counter 417", "counter 18446744073709551615")).is_ok());
    assert!(parse(&GOLDEN.replace(" 7000064 23 ", " 7000064 0 ")).is_ok());
}

fn of_files(files: impl Iterator<Item = File>) -> String {
    let mut builder = Builder::new(String::new(), &HEAD).unwrap();
    for file in files {
        builder.file(&file).unwrap();
    }
    builder.end().unwrap()
}

fn file(number: usize, size_bytes: u64) -> File {
    File {
        name: PackageName::parse(format!("p{number}.tar.xz").as_bytes()).unwrap(),
        chunk_size: CHUNK_SIZE_MAX,
        content: Content::Hashed {
            sha256: [7; 32],
            size_bytes,
            unpacked: None,
            chunk_list_sha256: [9; 32],
        },
    }
}

#[test]
fn as_many_files_and_chunks_as_allowed_and_no_more() {
    let most = of_files((0..FILES_MAX).map(|number| file(number, 1)));
    let manifest = parse(&most).unwrap();
    assert_eq!(usize::from(manifest.file_count()), FILES_MAX);
    assert_eq!(manifest.files().count(), FILES_MAX);
    let more = of_files((0..=FILES_MAX).map(|number| file(number, 1)));
    let error = parse(&more).unwrap_err();
    assert_eq!(error.fault, Fault::TooManyFiles);
    assert!(matches!(
        parse(&of_files(core::iter::empty())).unwrap_err().fault,
        Fault::NoFiles
    ));

    let size = u64::from(CHUNKS_MAX) * u64::from(CHUNK_SIZE_MAX);
    let text = of_files([file(0, size)].into_iter());
    assert_eq!(parse(&text).unwrap().chunk_count(), CHUNKS_MAX);
    for files in [[file(0, size), file(1, 1)], [file(0, 1), file(1, size)]] {
        let error = chain(&parse(&of_files(files.into_iter())).unwrap_err()).to_string();
        assert!(
            error.contains("line 9") && error.contains("chunks"),
            "{error}"
        );
    }
    assert_eq!(
        parse(&of_files([file(0, size + 1)].into_iter()))
            .unwrap_err()
            .fault,
        Fault::TooManyChunks
    );
}

#[test]
fn every_role_has_its_own_name() {
    for role in Role::ALL {
        let text = GOLDEN.replace("role os", &format!("role {role}"));
        assert_eq!(parse(&text).unwrap().head().role, role);
    }
}

fn image(name: &str, content: Content) -> File {
    File {
        name: PackageName::parse(name.as_bytes()).unwrap(),
        chunk_size: CHUNK_SIZE_MAX,
        content,
    }
}

fn hashed(size_bytes: u64, unpacked: Option<Unpacked>) -> Content {
    Content::Hashed {
        sha256: [7; 32],
        size_bytes,
        unpacked,
        chunk_list_sha256: [9; 32],
    }
}

#[test]
fn a_name_that_ends_in_img_is_an_image_and_no_other() {
    for (name, expected) in [
        ("smechvisor-system.img", true),
        ("a.tar.xz.img", true),
        ("a.img.tar.xz", false),
        ("a.IMG", false),
        ("img", false),
        ("aimg", false),
    ] {
        let name = PackageName::parse(name.as_bytes()).unwrap();
        assert_eq!(is_image(&name), expected, "{name}");
    }
}

#[test]
fn an_image_is_alone_whole_and_unpacks_to_itself() {
    let name = "smechvisor-system.img";
    let fault = |files: Vec<File>| {
        let text = of_files(files.into_iter());
        parse(&text).map(|_| ()).map_err(|error| error.fault)
    };
    let of = |unpacked| fault([image(name, hashed(4096, unpacked))].into());
    assert_eq!(of(Some(Unpacked::of_image(4096))), Ok(()));
    assert_eq!(of(None), Ok(()), "nobody counted");
    for (size_bytes, entries) in [(4095, 1), (4097, 1), (4096, 0), (4096, 2)] {
        let unpacked = Unpacked {
            size_bytes,
            entries,
        };
        let expected = Fault::ImageUnpacked { size_bytes: 4096 };
        assert_eq!(of(Some(unpacked)), Err(expected));
    }
    let live = image(name, Content::Live);
    assert_eq!(fault([live].into()), Err(Fault::LiveImage));
    let one = || image(name, hashed(4096, None));
    for files in [
        [one(), file(0, 1)],
        [file(0, 1), one()],
        [one(), image("b.img", hashed(1, None))],
        [one(), image("running", Content::Live)],
    ] {
        assert_eq!(fault(files.into()), Err(Fault::ImageAndOthers));
    }
}
