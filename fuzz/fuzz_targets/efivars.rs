//! A directory of firmware variables with any names and contents: no panic, a plan for it is
//! carried out, and every variable that is not ours has the bytes it had. What the plan is worth is
//! `boot_option`'s to judge: a file here keeps its tail when less is written, which a variable does
//! not.
//!
//! Pieces with their length in front: the content of `BootOrder`, then a name and a content in
//! turn.
#![no_main]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use disk::boot_order::load_option::{Program, ours};
use disk::boot_order::{Wanted, plan};
use disk::contents::PartitionRef;
use libfuzzer_sys::fuzz_target;
use machine::efivars::Variables;
use uuid::Uuid;

const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
const ESP: PartitionRef = PartitionRef {
    number: 1,
    first_lba: 2048,
    sectors: 1_048_576,
    guid: Uuid::from_u128(0x0102_0304 << 96),
};
const WANTED: Wanted<'_> = Wanted {
    title: "fuzz",
    program: Program::Grub,
    esp: ESP,
};

/// In memory where there is such a file system, and gone when dropped.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let memory = PathBuf::from("/dev/shm");
        let base = if memory.is_dir() {
            memory
        } else {
            std::env::temp_dir()
        };
        let path = base.join(format!("fuzz-efivars-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path); // of a run that was ended
        fs::create_dir(&path).expect("a directory of our own");
        Self(path)
    }

    fn all(&self) -> BTreeMap<OsString, Vec<u8>> {
        let files = fs::read_dir(&self.0)
            .expect("it is there")
            .map(|file| file.expect("an entry"));
        files
            .map(|file| (file.file_name(), fs::read(file.path()).expect("a file")))
            .collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // nothing depends on it
    }
}

fn piece<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, rest) = bytes.split_first()?;
    let (piece, rest) = rest.split_at(usize::from(*len).min(rest.len()));
    *bytes = rest;
    Some(piece)
}

/// `Boot0000` to `Boot000F` for a short piece, else the piece itself, when it is the name of a
/// file.
fn name(piece: &[u8]) -> Option<OsString> {
    if let [number] = piece {
        return Some(format!("Boot{:04X}-{GLOBAL}", number % 16).into());
    }
    let is_name = !piece.is_empty()
        && piece != b"."
        && piece != b".."
        && !piece.iter().any(|byte| matches!(byte, 0 | b'/'));
    is_name.then(|| OsString::from_vec(piece.to_vec()))
}

fuzz_target!(|bytes: &[u8]| {
    let directory = Directory::new();
    let mut rest = bytes;
    let Some(order) = piece(&mut rest) else {
        return;
    };
    fs::write(directory.0.join(format!("BootOrder-{GLOBAL}")), order).expect("a file");
    while let (Some(named), Some(content)) = (piece(&mut rest), piece(&mut rest)) {
        if let Some(name) = name(named) {
            fs::write(directory.0.join(name), content).expect("a file");
        }
    }
    let before = directory.all();
    let variables = Variables::new(&directory.0);
    let found = variables.boot().expect("every file can be read");
    let Some(steps) = plan(&found, &WANTED, &[]) else {
        return;
    };
    assert!(
        variables.apply(&found, &steps).is_empty(),
        "nothing is in the way"
    );
    let after = directory.all();
    for (name, content) in &before {
        let text = name.to_string_lossy();
        let is_known = text.starts_with("BootOrder-") || text.starts_with("BootNext-");
        // Four bytes of attributes, then the option.
        let is_ours = content
            .get(4..)
            .is_some_and(|option| ours(option).is_some());
        // A file without content is no variable, and its number may be taken.
        if !is_known && !is_ours && content.len() >= 4 {
            assert_eq!(after.get(name), Some(content), "{text}");
        }
    }
});
