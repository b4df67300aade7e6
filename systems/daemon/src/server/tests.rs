//! Real sockets on the loopback.

use super::{CLIENTS_MAX, HEAD_MAX, Server, serve_client};
use crate::health::Reported;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

fn reported() -> Reported {
    Reported {
        root: "/".into(),
        release: "7".to_owned(),
    }
}

/// A server that lives as long as the test process.
fn started() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    Server::start(vec![listener], reported()).unwrap();
    address
}

fn asked(address: SocketAddr, pieces: &[&[u8]]) -> String {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_nodelay(true).unwrap();
    for piece in pieces {
        client.write_all(piece).unwrap();
    }
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn each_kind_of_request_gets_its_status() {
    let address = started();
    for (request, status) in [
        ("GET /health HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK"),
        (
            "HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n",
            "HTTP/1.1 200 OK",
        ),
        ("GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 404 Not Found"),
        (
            "POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
            "HTTP/1.1 405 Method Not Allowed",
        ),
        ("GARBAGE\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        (
            "\x16\x03\x01 a TLS client\r\n\r\n",
            "HTTP/1.1 400 Bad Request",
        ),
        (
            "GET /health HTTP/3.0\r\n\r\n",
            "HTTP/1.1 505 HTTP Version Not Supported",
        ),
    ] {
        let answer = asked(address, &[request.as_bytes()]);
        assert!(answer.starts_with(status), "{request:?}: {answer}");
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        assert_eq!(
            body.is_empty(),
            request.starts_with("HEAD"),
            "{request:?}: {answer}"
        );
    }
}

#[test]
fn a_request_one_byte_at_a_time_is_the_same_request() {
    let request: Vec<&[u8]> = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
        .chunks(1)
        .collect();
    let answer = asked(started(), &request);
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("\"status\":\"ok\""), "{answer}");
}

#[test]
fn an_endless_head_is_cut_off() {
    let answer = asked(started(), &[&vec![b'a'; HEAD_MAX + 1024]]);
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[test]
fn a_request_that_ends_too_early_is_malformed() {
    let mut client = TcpStream::connect(started()).unwrap();
    client
        .write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n")
        .unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn a_slow_client_gets_its_time_and_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut slow = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (client, _) = listener.accept().unwrap();
    let time = Duration::from_millis(200);
    let server = thread::spawn(move || {
        let began = Instant::now();
        drop(serve_client(client, &reported(), time));
        began.elapsed()
    });
    // a byte now and then: the time counts from the start, not from the last byte
    while !server.is_finished() && slow.write_all(b"a").is_ok() {
        thread::sleep(Duration::from_millis(20));
    }
    let took = server.join().unwrap();
    assert!(took >= time && took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn more_clients_than_threads_are_all_answered() {
    let address = started();
    let clients: Vec<_> = (0..CLIENTS_MAX * 4)
        .map(|_| {
            thread::spawn(move || asked(address, &[b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"]))
        })
        .collect();
    for client in clients {
        assert!(client.join().unwrap().starts_with("HTTP/1.1 200 OK"));
    }
}

#[test]
fn who_was_accepted_before_the_end_is_served_and_who_waits_is_not_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let kept = listener.try_clone().unwrap();
    let server = Server::start(vec![listener], reported()).unwrap();
    let mut accepted = TcpStream::connect(address).unwrap();
    accepted.write_all(b"GET /health HTTP/1.1\r\n").unwrap();
    thread::sleep(Duration::from_millis(200));
    let stopping = thread::spawn(move || server.stop(Duration::from_secs(60)));
    thread::sleep(Duration::from_millis(200));
    let late = thread::spawn(move || asked(address, &[b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"]));
    accepted.write_all(b"Host: a\r\n\r\n").unwrap();
    let mut answer = String::new();
    accepted.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("\"version\":\"7\""), "{answer}");
    stopping.join().unwrap();
    assert!(!late.is_finished());
    Server::start(vec![kept], reported()).unwrap();
    assert!(late.join().unwrap().starts_with("HTTP/1.1 200 OK"));
}

#[test]
fn an_end_does_not_wait_for_a_silent_client() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let server = Server::start(vec![listener], reported()).unwrap();
    thread::sleep(Duration::from_millis(100));
    let began = Instant::now();
    server.stop(Duration::from_millis(300));
    assert!(began.elapsed() < Duration::from_secs(4));
    drop(silent);
}
