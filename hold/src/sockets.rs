//! The listening sockets of a daemon: bound once, kept while its versions come and go.
//!
//! A connection that nobody accepts waits in the socket's queue. So as long as the socket is kept,
//! nobody is refused, and who accepts can change.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with, sockopt,
};
use sys::handover::{Identity, Reserved};
use thiserror::Error;

use crate::plan::{At, Socket};

/// Connections that wait while nobody accepts; the kernel takes less where `somaxconn` is lower.
const BACKLOG: i32 = 4096;
/// For the user of the daemon and its group.
const UNIX_MODE: u32 = 0o660;

/// A socket is not there.
#[derive(Debug, Error)]
#[allow(missing_docs)] // the fields name themselves
pub enum SocketError {
    /// It could not be bound.
    #[error("listening on {at} for {name}")]
    Listen {
        name: String,
        /// Address or path.
        at: String,
        #[source]
        source: io::Error,
    },
}

/// Sockets that are bound.
#[derive(Debug, Default)]
pub struct Sockets(Vec<Kept>);

#[derive(Debug)]
struct Kept {
    socket: Socket,
    descriptor: OwnedFd,
}

impl Sockets {
    /// Those of a plan: the ones that are kept already and, freshly bound, the others. The second
    /// are what [`Sockets::keep_only`] or dropping them takes back.
    ///
    /// # Errors
    /// See [`SocketError`]; what was kept stays.
    pub fn add(
        &mut self,
        wanted: &[Socket],
        owner: &Identity,
        reserved: &Reserved,
    ) -> Result<(), SocketError> {
        let mut fresh = Self::default();
        for socket in wanted {
            if !self.0.iter().any(|kept| kept.socket.at == socket.at) {
                let descriptor = bound(&socket.at, owner, reserved);
                let descriptor = descriptor.map_err(|source| SocketError::Listen {
                    name: socket.name.clone(),
                    at: socket.at.text(),
                    source,
                })?;
                fresh.0.push(Kept {
                    socket: socket.clone(),
                    descriptor,
                });
            }
        }
        self.0.append(&mut fresh.0);
        Ok(())
    }

    /// Closes all others.
    pub fn keep_only(&mut self, wanted: &[Socket]) {
        let is_wanted = |kept: &Kept| wanted.iter().any(|socket| socket.at == kept.socket.at);
        let (kept, closed) = std::mem::take(&mut self.0).into_iter().partition(is_wanted);
        self.0 = kept;
        drop(Self(closed));
    }

    /// What a program is handed: names and descriptors in its own order, each of which waits until
    /// somebody comes. What another program has done to them is undone.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub fn handed<'a>(
        &'a mut self,
        wanted: &'a [Socket],
        owner: &Identity,
        reserved: &Reserved,
    ) -> Result<Vec<(&'a str, BorrowedFd<'a>)>, SocketError> {
        self.mend(owner, reserved)?;
        let find = |socket: &'a Socket| {
            let kept = self.0.iter().find(|kept| kept.socket.at == socket.at)?;
            // The flag belongs to the socket, not to the program that has set it.
            let flags = fcntl_getfl(&kept.descriptor).ok()?;
            fcntl_setfl(&kept.descriptor, flags.difference(OFlags::NONBLOCK)).ok()?;
            Some((socket.name.as_str(), kept.descriptor.as_fd()))
        };
        Ok(wanted.iter().filter_map(find).collect())
    }

    /// Lets those listen again that a program has shut down, which closes them for everybody who
    /// has them. Returns how many.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub fn mend(&mut self, owner: &Identity, reserved: &Reserved) -> Result<usize, SocketError> {
        let mut mended = 0_usize;
        for kept in &mut self.0 {
            if !is_shut(&kept.descriptor) {
                continue;
            }
            // A Unix socket that was shut down stays so; one of TCP is only not listening.
            let again = match &kept.socket.at {
                At::Tcp(_) => listen(&kept.descriptor, BACKLOG).map_err(io::Error::from),
                At::Unix(_) => bound(&kept.socket.at, owner, reserved).map(|descriptor| {
                    kept.descriptor = descriptor;
                }),
            };
            again.map_err(|source| SocketError::Listen {
                name: kept.socket.name.clone(),
                at: kept.socket.at.text(),
                source,
            })?;
            mended = mended.saturating_add(1);
        }
        Ok(mended)
    }

    /// To be polled for [`SHUT`].
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(|kept| kept.descriptor.as_fd())
    }
}

/// Nobody finds a path of a daemon that is gone.
impl Drop for Sockets {
    fn drop(&mut self) {
        for kept in &self.0 {
            if let At::Unix(path) = &kept.socket.at {
                // It may be gone already, and nobody could be told.
                let _ = fs::remove_file(path);
            }
        }
    }
}

impl At {
    fn text(&self) -> String {
        match self {
            At::Tcp(address) => address.to_string(),
            At::Unix(path) => path.display().to_string(),
        }
    }
}

/// What a socket says that was shut down.
pub const SHUT: PollFlags = PollFlags::RDHUP.union(PollFlags::HUP);

fn is_shut(descriptor: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(descriptor, PollFlags::RDHUP)];
    // A poll that fails says nothing about the socket.
    let ready = poll(&mut fds, Some(&Timespec::default())).unwrap_or(0);
    ready > 0 && fds.iter().any(|fd| fd.revents().intersects(SHUT))
}

fn bound(at: &At, owner: &Identity, reserved: &Reserved) -> io::Result<OwnedFd> {
    let family = match at {
        At::Tcp(address) if address.is_ipv6() => AddressFamily::INET6,
        At::Tcp(_) => AddressFamily::INET,
        At::Unix(_) => AddressFamily::UNIX,
    };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    match at {
        At::Tcp(address) => {
            // Connections of the time before do not keep the address from us.
            sockopt::set_socket_reuseaddr(&socket, true)?;
            if address.is_ipv6() {
                sockopt::set_ipv6_v6only(&socket, true)?;
            }
            bind(&socket, address)?;
        }
        At::Unix(path) => {
            make_room(path)?;
            bind(&socket, &SocketAddrUnix::new(path)?)?;
            // Before it listens nobody can connect, whatever the permissions are.
            chown(path, Some(owner.uid), Some(owner.gid))?;
            fs::set_permissions(path, Permissions::from_mode(UNIX_MODE))?;
        }
    }
    listen(&socket, BACKLOG)?;
    reserved.aside(socket)
}

/// Removes a socket that nobody listens on any more, and makes its directory.
fn make_room(path: &Path) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if !found.file_type().is_socket() => Err(io::ErrorKind::AlreadyExists.into()),
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
            Err(_) => fs::remove_file(path),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{SHUT, Sockets, is_shut};
    use crate::plan::{At, Socket};
    use rustix::net::{Shutdown, shutdown};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::Path;
    use sys::handover::{Identity, Reserved};

    fn nobody_else() -> Identity {
        Identity {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            groups: vec![],
        }
    }

    fn two(directory: &Path) -> [Socket; 2] {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
        let socket = |name: &str, at| Socket {
            name: name.to_owned(),
            at,
        };
        [
            socket("http", At::Tcp(free.unwrap())),
            socket("control", At::Unix(directory.join("run/d/control.sock"))),
        ]
    }

    fn connect(socket: &Socket) -> std::io::Result<()> {
        match &socket.at {
            At::Tcp(address) => TcpStream::connect(address).map(drop),
            At::Unix(path) => UnixStream::connect(path).map(drop),
        }
    }

    #[test]
    fn sockets_are_bound_once_and_handed_on_in_order() {
        let (dir, reserved, owner) = (
            tempfile::tempdir().unwrap(),
            Reserved::new().unwrap(),
            nobody_else(),
        );
        let [http, control] = two(dir.path());
        let mut sockets = Sockets::default();
        let both = [http.clone(), control.clone()];
        sockets.add(&both, &owner, &reserved).unwrap();
        sockets.add(&both, &owner, &reserved).unwrap();
        let turned = [control.clone(), http.clone()];
        let handed = sockets.handed(&turned, &owner, &reserved).unwrap();
        let names: Vec<_> = handed.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["control", "http"]);
        let At::Unix(path) = &control.at else {
            panic!()
        };
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        both.iter().for_each(|socket| connect(socket).unwrap());
        sockets.keep_only(std::slice::from_ref(&http));
        assert!(connect(&control).is_err() && !path.exists());
        connect(&http).unwrap();
        drop(sockets);
        assert!(connect(&http).is_err());
    }

    #[test]
    fn one_that_a_program_has_shut_down_listens_again() {
        let (dir, reserved, owner) = (
            tempfile::tempdir().unwrap(),
            Reserved::new().unwrap(),
            nobody_else(),
        );
        let both = two(dir.path());
        let mut sockets = Sockets::default();
        sockets.add(&both, &owner, &reserved).unwrap();
        assert_eq!(sockets.mend(&owner, &reserved).unwrap(), 0);
        for kept in &sockets.0 {
            shutdown(&kept.descriptor, Shutdown::Both).unwrap();
            assert!(is_shut(&kept.descriptor) && !SHUT.is_empty());
        }
        assert!(both.iter().all(|socket| connect(socket).is_err()));
        assert_eq!(sockets.mend(&owner, &reserved).unwrap(), 2);
        both.iter().for_each(|socket| connect(socket).unwrap());
    }

    #[test]
    fn what_belongs_to_somebody_else_is_left_alone() {
        let (dir, reserved, owner) = (
            tempfile::tempdir().unwrap(),
            Reserved::new().unwrap(),
            nobody_else(),
        );
        let [http, control] = two(dir.path());
        let At::Unix(path) = &control.at else {
            panic!()
        };
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut sockets = Sockets::default();
        std::fs::write(path, "a file").unwrap();
        let error = sockets
            .add(std::slice::from_ref(&control), &owner, &reserved)
            .unwrap_err();
        assert!(error.to_string().starts_with("listening on /"), "{error}");
        std::fs::remove_file(path).unwrap();
        let other = UnixListener::bind(path).unwrap();
        assert!(
            sockets
                .add(std::slice::from_ref(&control), &owner, &reserved)
                .is_err()
        );
        drop(other); // its path stays, with nobody behind it
        sockets
            .add(std::slice::from_ref(&control), &owner, &reserved)
            .unwrap();
        let At::Tcp(address) = http.at else { panic!() };
        let _other = TcpListener::bind(address).unwrap();
        let error = sockets
            .add(&[http, control.clone()], &owner, &reserved)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("listening on {address} for http")
        );
        connect(&control).unwrap();
    }
}
