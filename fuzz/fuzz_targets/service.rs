//! Any service of a daemon: no panic, every limit holds in what is taken, and it is written back as
//! the same bytes: there is one way to write it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::service::{ARGUMENTS_MAX, Address, LEN_MAX, LISTEN_MAX, Mode, Ready, Service, UNIX_MAX};

fuzz_target!(|bytes: &[u8]| {
    let service = match Service::parse(bytes) {
        Ok(service) => service,
        Err(error) => {
            assert!(
                error.fault.to_string().chars().all(|c| !c.is_control()),
                "shown on a console"
            );
            return;
        }
    };
    assert!(bytes.len() <= LEN_MAX);
    assert!(wire::files::path(service.program.as_bytes()).is_some());
    assert!(service.arguments().len() <= ARGUMENTS_MAX && service.listen().len() <= LISTEN_MAX);
    assert_eq!(service.listen().is_empty(), service.mode == Mode::Plain);
    assert!(service.health.is_some() || service.ready != Ready::Health);
    for socket in service.listen() {
        match socket.address {
            Address::Tcp(address) => assert_ne!(address.port(), 0),
            Address::Unix(path) => assert!(path.starts_with('/') && path.len() <= UNIX_MAX),
        }
    }
    assert_eq!(service.to_string().as_bytes(), bytes);
});
