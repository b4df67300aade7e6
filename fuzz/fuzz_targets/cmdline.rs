//! Any kernel command line: no panic; foreign words change nothing, and the order of `smv.` words
//! changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shim_settings::cmdline::{after_if_readable, parse};

fuzz_target!(|bytes: &[u8]| {
    let line = String::from_utf8_lossy(bytes);
    let settings = parse(&line);
    let _ = after_if_readable(&line);
    // In front, where no open quote of the line can swallow it.
    assert_eq!(
        parse(&format!("console=ttyS0 root=\"/dev/x y\" {line}")),
        settings
    );
    if let Ok(settings) = &settings {
        assert_eq!(settings.after, after_if_readable(&line));
        if !line.contains('"') {
            let mut words: Vec<&str> = line.split_ascii_whitespace().collect();
            words.reverse();
            // Unicode or vertical white space inside a word keeps the two splits apart; that is not
            // the point here.
            if line.is_ascii() && !line.contains('\u{b}') {
                assert_eq!(parse(&words.join(" ")).as_ref(), Ok(settings));
            }
        }
    }
});
