//! Anything typed as a secret: no panic, and what is taken is shown in one way only and read back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::secret::{RANDOM_LEN, Secret};

fuzz_target!(|typed: &[u8]| {
    if let Ok(random) = <[u8; RANDOM_LEN]>::try_from(typed) {
        let secret = Secret::draw(random);
        assert!(Secret::parse(&secret.to_string()) == Ok(secret));
    }
    let Ok(text) = std::str::from_utf8(typed) else {
        return;
    };
    if let Ok(secret) = Secret::parse(text) {
        let shown = secret.to_string();
        assert_eq!(shown.len(), 11);
        assert!(Secret::parse(&shown).as_ref() == Ok(&secret));
        assert!(Secret::parse(&shown.to_lowercase().replace('-', "")) == Ok(secret));
    }
});
