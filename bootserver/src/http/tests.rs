use super::pace::Patience;
use super::places::PER_ADDRESS;
use super::serve_with;
use crate::Teller;
use crate::tree::{FILES, KeySearch, Tree};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The events that a server has reported, as lines.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn teller(&self) -> Arc<Teller> {
        let lines = self.clone();
        Arc::new(Teller::new(move |event| {
            lines.0.lock().unwrap().push(event.to_string());
        }))
    }

    fn told(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A server on the loop with the tree of a test.
fn server() -> (TempDir, Arc<Tree>, Lines, SocketAddr) {
    server_with(1000, Patience::DEFAULT)
}

fn server_with(times: usize, patience: Patience) -> (TempDir, Arc<Tree>, Lines, SocketAddr) {
    let dir = TempDir::new().unwrap();
    for file in FILES {
        std::fs::write(dir.path().join(file), file.repeat(times)).unwrap();
    }
    let place = dir.path().join("place");
    std::fs::create_dir(&place).unwrap();
    let tree = Arc::new(Tree::copy_into(dir.path(), &place, KeySearch::Off).unwrap());
    let lines = Lines::default();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    serve_with(patience, listener, Arc::clone(&tree), lines.teller()).unwrap();
    (dir, tree, lines, address)
}

fn ask(server: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

#[test]
fn files_are_served_whole_in_part_and_only_by_their_names() {
    let (_dir, _tree, teller, server) = server();
    let whole = ask(server, "GET /vmlinuz HTTP/1.1\r\nHost: x\r\n\r\n");
    let (head, body) = whole.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\nContent-Length: 7000\r\n"),
        "{head}"
    );
    assert_eq!(body, "vmlinuz".repeat(1000));
    let head = ask(server, "HEAD /deploy-shim.efi HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.contains("Content-Length: 15000\r\n"), "{head}");
    assert!(head.contains("Content-Type: application/efi\r\n"), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    let some = ask(server, "GET /vmlinuz HTTP/1.1\r\nRange: bytes=7-13\r\n\r\n");
    assert!(some.starts_with("HTTP/1.1 206 "), "{some}");
    assert!(
        some.contains("Content-Range: bytes 7-13/7000\r\n"),
        "{some}"
    );
    assert!(some.ends_with("\r\n\r\nvmlinuz"), "{some}");
    let none = ask(
        server,
        "GET /vmlinuz HTTP/1.1\r\nRange: bytes=7000-\r\n\r\n",
    );
    assert!(none.starts_with("HTTP/1.1 416 "), "{none}");
    for path in [
        "/",
        "/../place",
        "/etc/passwd",
        "/vmlinuz/",
        "/%76mlinuz",
        "/VMLINUZ",
    ] {
        let answer = ask(server, &format!("GET {path} HTTP/1.1\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
    let told = teller.told();
    assert_eq!(
        told.iter()
            .filter(|line| line.contains(" got vmlinuz (HTTP)"))
            .count(),
        1,
        "{told:?}"
    );
    assert!(
        told.iter()
            .any(|line| line.contains("asked for etc/passwd")),
        "{told:?}"
    );
}

#[test]
fn garbage_and_silence_keep_nobody_else_from_being_served() {
    let (_dir, _tree, _teller, server) = server();
    let silent: Vec<_> = (2..22).map(|last| connect_from(last, server)).collect();
    let garbage = ask(server, "\x00\x01\x02\r\n\r\n");
    assert!(garbage.starts_with("HTTP/1.1 400 "), "{garbage}");
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(20_000));
    let mut stream = TcpStream::connect(server).unwrap();
    let _ = stream.write_all(long.as_bytes());
    let answer = ask(server, "GET /grub.cfg HTTP/1.0\r\n\r\n");
    assert!(answer.ends_with("grub.cfg"), "{answer}");
    drop(silent);
}

#[test]
fn one_client_may_ask_for_one_file_after_another_at_once() {
    let (_dir, _tree, _teller, server) = server();
    for number in 0..50 {
        let answer = ask(server, "GET /grub.cfg HTTP/1.1\r\n\r\n");
        assert!(answer.ends_with("grub.cfg"), "{number}: {answer}");
    }
}

/// A connection from 127.0.0.`last`.
fn connect_from(last: u8, server: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let own = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0));
    socket.bind(&own.into()).unwrap();
    // Small, so that a client which reads nothing is soon one that takes nothing.
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&server.into()).unwrap();
    socket.into()
}

#[test]
fn slow_clients_of_one_address_keep_nobody_else_from_being_served() {
    let (_dir, _tree, _teller, server) = server_with(1 << 19, Patience::DEFAULT);
    let slow: Vec<_> = (0..32)
        .map(|_| {
            let mut stream = connect_from(3, server);
            // One that was closed at once may say so here.
            let _ = stream.write_all(b"GET /vmlinuz HTTP/1.1\r\n\r\n");
            stream
        })
        .collect();
    let began = Instant::now();
    let mut other = connect_from(2, server);
    other
        .write_all(b"GET /boot.ipxe HTTP/1.1\r\nRange: bytes=0-8\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    other.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\nboot.ipxe"), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(5));
    let is_served = |mut stream: &TcpStream| {
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        matches!(stream.read(&mut [0; 16]), Ok(1..))
    };
    let served = slow.iter().filter(|stream| is_served(stream)).count();
    assert_eq!(served, PER_ADDRESS);
}

#[test]
fn a_client_below_the_slowest_rate_loses_its_place_in_the_middle_of_a_write() {
    let patience = Patience {
        write: Duration::from_secs(20),
        answer: Duration::from_secs(600),
        grace: Duration::from_millis(300),
        bytes_per_second: 1 << 30,
    };
    let (_dir, _tree, teller, server) = server_with(1 << 19, patience);
    let mut stream = connect_from(2, server);
    stream.write_all(b"GET /vmlinuz HTTP/1.1\r\n\r\n").unwrap();
    let began = Instant::now();
    while !teller.told().iter().any(|line| line.contains("vmlinuz")) {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "it kept its place"
        );
        // A byte now and then.
        let _ = stream.read(&mut [0; 1]);
        std::thread::sleep(Duration::from_millis(20));
    }
    let told = teller.told();
    assert!(
        told.iter().any(|line| line.contains("127.0.0.2")),
        "{told:?}"
    );
}
