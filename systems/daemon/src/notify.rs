//! Says that we are ready to the supervisor that asked for it (`sd_notify(3)`).

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Without `NOTIFY_SOCKET` nobody wants to know.
///
/// # Errors
/// It cannot be told.
pub fn ready() -> io::Result<()> {
    match env::var_os("NOTIFY_SOCKET") {
        None => Ok(()),
        Some(socket) => say_ready(&socket),
    }
}

/// A path, or a name of the abstract namespace behind an `@`.
fn say_ready(socket: &OsStr) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let said = UnixDatagram::unbound()?.send_to_addr(b"READY=1", &address)?;
    match said {
        7 => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::say_ready;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    #[test]
    fn both_kinds_of_sockets_hear_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let name = format!("smechvisor-daemon-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let at_path = UnixDatagram::bind(&path).unwrap();
        let by_name = UnixDatagram::bind_addr(&address).unwrap();
        say_ready(path.as_os_str()).unwrap();
        say_ready(format!("@{name}").as_ref()).unwrap();
        for socket in [at_path, by_name] {
            let mut said = [0; 16];
            let len = socket.recv(&mut said).unwrap();
            assert_eq!(&said[..len], b"READY=1");
        }
        assert!(say_ready("/nonexistent".as_ref()).is_err());
    }
}
