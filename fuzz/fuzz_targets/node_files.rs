//! Any settings of a node, and any network that it is said to have had: no panic, limits hold, what
//! is wrong can be shown on a console, and a network is written back as the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use machine::health::network::Network;
use machine::settings::Settings;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match Settings::parse(text) {
        Ok(Settings { times, daemon, .. }) => {
            assert!(times.within.as_secs() <= 86_400 && times.stable.as_secs() <= 86_400);
            let url = daemon.map(|url| url.to_string()).unwrap_or_default();
            assert!(url.bytes().all(|byte| byte.is_ascii_graphic()));
        }
        Err((line, fault)) => {
            assert!((1..=text.lines().count()).contains(&line));
            let fault = fault.to_string();
            assert!(fault.chars().all(|letter| !letter.is_control()), "{fault}");
        }
    }
    if let Some(network) = Network::parse(text) {
        assert_eq!(network.emit(), text);
        assert!(network.must_be_in(&network).is_ok());
    }
});
