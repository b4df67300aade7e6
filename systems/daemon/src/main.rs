//! The service of the demo system: whether the deployed machine is up, asked over HTTP.
//!
//! `smechvisor-daemon [--listen ADDR:PORT] [--release TEXT]`, default `0.0.0.0:8080`. Only `GET`
//! and `HEAD` of `/health`; one request a connection. It serves the sockets that it was handed
//! (`sd_listen_fds(3)`), else one of its own; says when it is ready (`sd_notify(3)`); and after a
//! SIGTERM answers the clients that it has accepted, and no others.

mod health;
mod notify;
mod request;
mod response;
mod server;

use std::env;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use sys::handover;
use sys::signals::{Signal, Signals};

use self::health::Reported;
use self::server::Server;

const DEFAULT_LISTEN: &str = "0.0.0.0:8080";
const USAGE: &str = "usage: smechvisor-daemon [--listen ADDR:PORT] [--release TEXT]";
/// sysexits(3), EX_USAGE.
const EXIT_USAGE: u8 = 64;
/// For clients that were accepted before a SIGTERM; a supervisor waits two seconds.
const DRAIN_TIME: Duration = Duration::from_millis(1500);

/// The arguments.
#[derive(Debug, PartialEq)]
struct Options {
    listen: SocketAddr,
    /// What `/health` calls this version.
    release: String,
}

/// What was asked for, or nothing when the arguments make no sense.
fn options(mut args: impl Iterator<Item = String>) -> Option<Options> {
    let mut listen = DEFAULT_LISTEN.to_owned();
    let mut release = env!("CARGO_PKG_VERSION").to_owned();
    while let Some(option) = args.next() {
        match option.as_str() {
            "--listen" => listen = args.next()?,
            "--release" => release = args.next()?,
            _ => return None,
        }
    }
    let listen = listen.parse().ok()?;
    Some(Options { listen, release })
}

/// The sockets that we were handed, or our own.
fn listeners(address: SocketAddr) -> io::Result<Vec<TcpListener>> {
    let handed: Vec<_> = handover::taken()
        .into_iter()
        .map(TcpListener::from)
        .collect();
    if handed.is_empty() {
        let own = TcpListener::bind(address)?;
        eprintln!("smechvisor-daemon: listening addr={address}");
        return Ok(vec![own]);
    }
    eprintln!("smechvisor-daemon: listening handed={}", handed.len());
    Ok(handed)
}

/// Until a SIGTERM, and until its clients are served.
fn serve(options: Options) -> io::Result<()> {
    let mut signals = Signals::block(&[Signal::Terminate])?;
    let reported = Reported {
        root: Path::new("/").to_owned(),
        release: options.release,
    };
    let server = Server::start(listeners(options.listen)?, reported)?;
    notify::ready()?;
    signals.next_signal()?;
    server.stop(DRAIN_TIME);
    Ok(())
}

fn main() -> ExitCode {
    let Some(options) = options(env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(EXIT_USAGE);
    };
    let address = options.listen;
    match serve(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("smechvisor-daemon: serving {address}: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::options;

    fn parsed(args: &[&str]) -> Option<(String, String)> {
        let options = options(args.iter().map(|&arg| arg.to_owned()))?;
        Some((options.listen.to_string(), options.release))
    }

    #[test]
    fn arguments_that_make_no_sense_are_refused() {
        let own = env!("CARGO_PKG_VERSION");
        for (args, listen, release) in [
            (&[][..], "0.0.0.0:8080", own),
            (&["--listen", "127.0.0.1:0"], "127.0.0.1:0", own),
            (&["--release", "2", "--listen", "[::]:80"], "[::]:80", "2"),
        ] {
            assert_eq!(parsed(args), Some((listen.to_owned(), release.to_owned())));
        }
        for args in [
            &["--listen"][..],
            &["--port", "1"],
            &["--listen", "8080"],
            &["--listen", "127.0.0.1:1", "x"],
            &["--release"],
        ] {
            assert_eq!(parsed(args), None, "{args:?}");
        }
    }
}
