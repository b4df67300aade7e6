//! A donor against targets that behave in every way a target can, over real sockets.

use super::{Step, Transfer, TransferError, run};
use crate::ending::Ending;
use crate::socket;
use pack::packages::{self, Package};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// Files of a donor, removed at the end.
struct Files {
    dir: TempDir,
    packages: Vec<Package>,
}

impl Files {
    fn new(files: &[(&str, usize)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (file, len) in files {
            fs::write(dir.path().join(file), pattern(*len)).unwrap();
        }
        let packages = packages::open(dir.path()).unwrap().packages;
        Self { dir, packages }
    }
}

fn pattern(len: usize) -> Vec<u8> {
    let mut bytes = (0..251).collect::<Vec<u8>>().repeat(len / 251 + 1);
    bytes.truncate(len);
    bytes
}

/// A connection, and a target that runs `behave` on the other end.
fn target<T: Send + 'static>(
    behave: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (TcpStream, thread::JoinHandle<T>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let connection = socket::connect(listener.local_addr().unwrap(), None).unwrap();
    let thread = thread::spawn(move || behave(listener.accept().unwrap().0));
    (connection, thread)
}

fn read_all(mut stream: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

fn expected(files: &[(&str, usize)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, len) in files {
        bytes.extend((name.len() as u32).to_be_bytes());
        bytes.extend(name.as_bytes());
        bytes.extend((*len as u64).to_be_bytes());
        bytes.extend(pattern(*len));
    }
    bytes.extend([0; 4]);
    bytes
}

#[test]
fn every_byte_arrives_in_order_and_fin_is_success() {
    let files = [
        ("smechvisor-base.tar.xz", 9_000_001),
        ("a.tar.zst", 1),
        ("z.tar.xz", 70_000),
    ];
    let donor = Files::new(&files);
    let (connection, target) = target(|stream| read_all(&stream));
    let mut steps = Vec::new();
    run(connection, &donor.packages, &mut |step| match step {
        Step::Package(package) => steps.push(package.name.to_string()),
        Step::Sent(_) | Step::Waiting(_) => {}
    })
    .unwrap();
    assert_eq!(target.join().unwrap(), expected(&files));
    assert_eq!(steps, ["smechvisor-base.tar.xz", "a.tar.zst", "z.tar.xz"]);
}

#[test]
fn progress_never_goes_back_and_ends_at_the_length() {
    let donor = Files::new(&[("a.tar.xz", 3_000_000)]);
    let (connection, target) = target(|stream| read_all(&stream).len());
    let mut last = 0;
    let mut waits = 0;
    run(connection, &donor.packages, &mut |step| match step {
        Step::Sent(bytes) => {
            assert!(bytes >= last);
            last = bytes;
        }
        Step::Waiting(_) => waits += 1,
        Step::Package(_) => {}
    })
    .unwrap();
    assert_eq!(last, 3_000_000);
    assert!(waits >= 1);
    target.join().unwrap();
}

#[test]
fn a_reset_after_everything_is_a_refusal() {
    let donor = Files::new(&[("a.tar.xz", 1000)]);
    let (connection, target) = target(|stream| {
        read_all(&stream);
        socket::reset(stream);
    });
    let error = run(connection, &donor.packages, &mut |_| ()).unwrap_err();
    assert!(matches!(error, TransferError::Refused { .. }), "{error:?}");
    assert_eq!(error.ending(), Ending::Refused);
    target.join().unwrap();
}

#[test]
fn a_reset_in_the_middle_is_a_refusal_that_names_the_package() {
    let donor = Files::new(&[("a.tar.xz", 50_000_000)]);
    let (connection, target) = target(|mut stream| {
        stream.read_exact(&mut [0; 100_000]).unwrap();
        socket::reset(stream);
    });
    let error = run(connection, &donor.packages, &mut |_| ()).unwrap_err();
    assert!(matches!(error, TransferError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("sending a.tar.xz"), "{error}");
    target.join().unwrap();
}

#[test]
fn an_orderly_close_in_the_middle_is_no_success() {
    let donor = Files::new(&[("a.tar.xz", 50_000_000)]);
    let (connection, target) = target(|mut stream| {
        stream.read_exact(&mut [0; 100_000]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        // The donor resets: nothing it sent may be taken for a whole stream.
        stream.read_to_end(&mut Vec::new()).unwrap_err()
    });
    let error = run(connection, &donor.packages, &mut |_| ()).unwrap_err();
    assert!(
        matches!(error, TransferError::ClosedEarly { .. }),
        "{error:?}"
    );
    assert_eq!(error.ending(), Ending::Refused);
    assert_eq!(
        target.join().unwrap().kind(),
        std::io::ErrorKind::ConnectionReset
    );
}

#[test]
fn a_target_that_closes_while_bytes_are_under_way_is_no_success() {
    // The target's window is small and shut, the rest waits in the donor's socket: the donor
    // believes it has sent all, and the FIN alone would look like success.
    let donor = Files::new(&[("a.tar.xz", 200_000)]);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket2::SockRef::from(&listener)
        .set_recv_buffer_size(4096)
        .unwrap();
    let connection = socket::connect(listener.local_addr().unwrap(), None).unwrap();
    let (waiting, is_waiting) = std::sync::mpsc::channel();
    let target = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        is_waiting.recv().unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    });
    let error = run(connection, &donor.packages, &mut |step| {
        if matches!(step, Step::Waiting(_)) {
            let _ = waiting.send(());
        }
    })
    .unwrap_err();
    assert!(matches!(error, TransferError::Refused { .. }), "{error:?}");
    target.join().unwrap();
}

#[test]
fn an_answer_is_a_mistake() {
    let donor = Files::new(&[("a.tar.xz", 1000)]);
    let (connection, target) = target(|mut stream| {
        let bytes = read_all(&stream);
        // The donor may have reset by the time we write the second byte.
        let _ = stream.write_all(b"OK\n");
        bytes
    });
    let error = run(connection, &donor.packages, &mut |_| ()).unwrap_err();
    assert!(matches!(error, TransferError::Answered { .. }), "{error:?}");
    target.join().unwrap();
}

#[test]
fn a_target_that_takes_nothing_is_given_up() {
    let donor = Files::new(&[("a.tar.xz", 50_000_000)]);
    let (connection, target) = target(|stream| stream);
    let _silent = target.join().unwrap();
    let mut transfer = Transfer {
        connection,
        doing: "sending a.tar.xz".into(),
        patience: Duration::from_millis(100),
    };
    let mut ticks = 0;
    let error = transfer
        .all(&donor.packages, &mut |_| ticks += 1)
        .unwrap_err();
    assert!(matches!(error, TransferError::Stalled { .. }), "{error:?}");
    assert_eq!(error.ending(), Ending::Broken);
    assert!(ticks > 1);
}

#[test]
fn a_file_that_shrinks_or_grows_names_both_sizes_and_resets() {
    for now in [300, 1001] {
        let donor = Files::new(&[("a.tar.xz", 1000)]);
        let package = donor.dir.path().join("a.tar.xz");
        let package = fs::OpenOptions::new().write(true).open(package).unwrap();
        package.set_len(now).unwrap();
        let (connection, target) =
            target(|mut stream| stream.read_to_end(&mut Vec::new()).unwrap_err().kind());
        let error = run(connection, &donor.packages, &mut |_| ()).unwrap_err();
        let text = format!("a.tar.xz had 1000 bytes when it was opened and has {now} now");
        assert!(error.to_string().ends_with(&text), "{error}");
        assert_eq!(error.ending(), Ending::Unsendable);
        assert_eq!(target.join().unwrap(), std::io::ErrorKind::ConnectionReset);
    }
}

#[test]
fn a_file_replaced_under_its_name_is_sent_as_it_was_opened() {
    let donor = Files::new(&[("a.tar.xz", 1000)]);
    let other = donor.dir.path().join("other");
    fs::write(&other, "other").unwrap();
    fs::rename(&other, donor.dir.path().join("a.tar.xz")).unwrap();
    let (connection, target) = target(|stream| read_all(&stream));
    run(connection, &donor.packages, &mut |_| ()).unwrap();
    assert_eq!(target.join().unwrap(), expected(&[("a.tar.xz", 1000)]));
}
