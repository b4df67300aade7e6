//! The service of the demo system: whether the deployed machine is up, asked over HTTP.
//!
//! `smechvisor-daemon [--listen ADDR:PORT]`, default `0.0.0.0:8080`. Only `GET` and `HEAD` of
//! `/health`; one request a connection. It ends only when it cannot listen; init starts it again.

mod health;
mod request;
mod response;
mod server;

use std::env;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;

const DEFAULT_LISTEN: &str = "0.0.0.0:8080";
const USAGE: &str = "usage: smechvisor-daemon [--listen ADDR:PORT]";
/// sysexits(3), EX_USAGE.
const EXIT_USAGE: u8 = 64;

/// The address asked for, or nothing when the arguments make no sense.
fn listen_address(mut args: impl Iterator<Item = String>) -> Option<SocketAddr> {
    let address = match args.next().as_deref() {
        None => DEFAULT_LISTEN.to_owned(),
        Some("--listen") => args.next()?,
        Some(_) => return None,
    };
    if args.next().is_some() {
        return None;
    }
    address.parse().ok()
}

fn main() -> ExitCode {
    let Some(address) = listen_address(env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(EXIT_USAGE);
    };
    let served = TcpListener::bind(address).and_then(|listener| {
        eprintln!("smechvisor-daemon: listening addr={address}");
        server::serve(&listener, Path::new("/"))
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("smechvisor-daemon: listening on {address}: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::listen_address;

    fn parsed(args: &[&str]) -> Option<String> {
        listen_address(args.iter().map(|&arg| arg.to_owned())).map(|address| address.to_string())
    }

    #[test]
    fn arguments_that_make_no_sense_are_refused() {
        assert_eq!(parsed(&[]).as_deref(), Some("0.0.0.0:8080"));
        assert_eq!(
            parsed(&["--listen", "127.0.0.1:0"]).as_deref(),
            Some("127.0.0.1:0")
        );
        for args in [
            &["--listen"][..],
            &["--port", "1"],
            &["--listen", "8080"],
            &["--listen", "127.0.0.1:1", "x"],
        ] {
            assert_eq!(parsed(args), None, "{args:?}");
        }
    }
}
