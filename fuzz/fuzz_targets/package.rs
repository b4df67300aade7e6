//! Any text of a package: no panic, every limit holds in what is taken, and it is written back as
//! the same bytes: there is one way to write it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::package::{LEN_MAX, NEEDS_MAX, Package};

fuzz_target!(|bytes: &[u8]| {
    let package = match Package::parse(bytes) {
        Ok(package) => package,
        Err(error) => {
            assert!(
                error.fault.to_string().chars().all(|c| !c.is_control()),
                "shown on a console"
            );
            return;
        }
    };
    assert!(bytes.len() <= LEN_MAX && package.needs().len() <= NEEDS_MAX);
    assert!(package.needs().is_sorted_by(|a, b| a.name < b.name));
    assert_eq!(
        Package::new(package.needs().iter().rev().copied()).as_ref(),
        Ok(&package)
    );
    assert_eq!(package.to_string().as_bytes(), bytes);
});
