//! Any tables of modules and any name asked for: no panic, an order without a module twice, what a
//! module needs before it.
//!
//! Three tables and the name, each ended by a NUL.
#![no_main]

use libfuzzer_sys::fuzz_target;
use modules::{Index, Tables, pattern};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split('\0');
    let mut next = || parts.next().unwrap_or_default();
    let (dep, alias, softdep, wanted) = (next(), next(), next(), next());
    assert!(pattern::matches("*", wanted));
    // Time is bounded by the product of both lengths, and no line of a real table is longer.
    if alias.len() < 4096 && wanted.len() < 4096 {
        let _ = pattern::matches(alias, wanted);
    }
    let Ok(index) = Index::parse(Tables {
        dep,
        alias,
        softdep,
    }) else {
        return;
    };
    let order = index.order(wanted);
    assert!(order.len() <= index.rows().len());
    for (at, row) in order.iter().enumerate() {
        assert!(
            !order[..at].contains(row)
                || index.rows().iter().filter(|other| *other == row).count() > 1
        );
    }
    if let Some(row) = index.find(wanted) {
        assert!(
            order.contains(row),
            "a module that is there answers to its name"
        );
    }
});
