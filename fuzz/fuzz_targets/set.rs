//! Any text of a set of packages: no panic, every limit holds in what is taken, and it is written
//! back as the same bytes: there is one way to write it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::set::{LEN_MAX, MEMBERS_MAX, Set};

fuzz_target!(|bytes: &[u8]| {
    let set = match Set::parse(bytes) {
        Ok(set) => set,
        Err(error) => {
            assert!(
                error.fault.to_string().chars().all(|c| !c.is_control()),
                "shown on a console"
            );
            return;
        }
    };
    assert!(bytes.len() <= LEN_MAX && set.members().len() <= MEMBERS_MAX);
    assert!(set.members().is_sorted_by(|a, b| a.name < b.name));
    for member in set.members() {
        assert_eq!(set.find(member.name), Some(member));
    }
    assert_eq!(
        Set::new(set.members().iter().rev().copied()).as_ref(),
        Ok(&set)
    );
    assert_eq!(set.to_string().as_bytes(), bytes);
});
