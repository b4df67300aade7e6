use super::serve;
use crate::serve::Teller;
use crate::serve::tree::{FILES, Tree};
use receiver::fakes::TestDir;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

/// A server on the loop with the tree of a test.
fn server(name: &str) -> (TestDir, Arc<Tree>, Arc<Teller>, SocketAddr) {
    let dir = TestDir::new(name);
    for file in FILES {
        std::fs::write(dir.path().join(file), file.repeat(1000)).unwrap();
    }
    let place = dir.path().join("place");
    std::fs::create_dir(&place).unwrap();
    let tree = Arc::new(Tree::copy_into(dir.path(), &place, false).unwrap());
    let teller = Arc::new(Teller::kept());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    serve(listener, Arc::clone(&tree), Arc::clone(&teller)).unwrap();
    (dir, tree, teller, address)
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
    let (_dir, _tree, teller, server) = server("serve-http");
    let whole = ask(server, "GET /vmlinuz HTTP/1.1\r\nHost: x\r\n\r\n");
    let (head, body) = whole.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\nContent-Length: 7000\r\n"),
        "{head}"
    );
    assert_eq!(body, "vmlinuz".repeat(1000));
    let head = ask(server, "HEAD /shim.efi HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.contains("Content-Length: 8000\r\n"), "{head}");
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
    let (_dir, _tree, _teller, server) = server("serve-http-garbage");
    let silent: Vec<_> = (0..20)
        .map(|_| TcpStream::connect(server).unwrap())
        .collect();
    let garbage = ask(server, "\x00\x01\x02\r\n\r\n");
    assert!(garbage.starts_with("HTTP/1.1 400 "), "{garbage}");
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(20_000));
    let mut stream = TcpStream::connect(server).unwrap();
    let _ = stream.write_all(long.as_bytes());
    let answer = ask(server, "GET /grub.cfg HTTP/1.0\r\n\r\n");
    assert!(answer.ends_with("grub.cfg"), "{answer}");
    drop(silent);
}
