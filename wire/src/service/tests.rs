//! Golden text both ways, every truncation, every changed byte, every rule of `bundles.md` 3 broken
//! once.

use super::{ARGUMENTS_MAX, Address, LEN_MAX, LISTEN_MAX, Mode, Ready, Service};
use crate::chain::chain;
extern crate std;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

const GOLDEN: &str = include_str!("../../tests/golden/service.txt");

fn refused(text: &str) -> String {
    chain(&Service::parse(text.as_bytes()).expect_err(text)).to_string()
}

fn changed(from: &str, to: &str) -> String {
    assert!(GOLDEN.contains(from), "{from}");
    GOLDEN.replacen(from, to, 1)
}

#[test]
fn golden_service_is_read_and_written() {
    let service = Service::parse(GOLDEN.as_bytes()).unwrap();
    assert_eq!(
        (service.program, service.user),
        ("bin/smechvisord", "smechvisord")
    );
    assert_eq!(
        service.arguments(),
        ["--store=/var/lib/vm", "--name the first"]
    );
    let names: Vec<_> = service.listen().iter().map(|socket| socket.name).collect();
    assert_eq!(names, ["http", "v6", "control"]);
    assert_eq!(
        service.listen()[0].address,
        Address::Tcp("0.0.0.0:8080".parse().unwrap())
    );
    assert_eq!(
        service.listen()[2].address,
        Address::Unix("/run/smechvisord/control.sock")
    );
    assert_eq!((service.ready, service.mode), (Ready::Notify, Mode::Queue));
    assert_eq!(service.health, Some("http://127.0.0.1:8080/health"));
    assert_eq!(service.selftest, Some("--selftest"));
    assert_eq!(service.to_string(), GOLDEN);
}

#[test]
fn a_plain_service_has_neither_sockets_nor_arguments() {
    let text = "smechvisor-service 1\nprogram x\nuser root\nready started\nhealth -\nselftest -\n\
                mode plain\nend\n";
    let service = Service::parse(text.as_bytes()).unwrap();
    assert!(service.arguments().is_empty() && service.listen().is_empty());
    assert_eq!((service.health, service.selftest), (None, None));
    assert_eq!(service.to_string(), text);
}

#[test]
fn every_truncation_is_refused() {
    for len in 0..GOLDEN.len() {
        assert!(Service::parse(&GOLDEN.as_bytes()[..len]).is_err(), "{len}");
    }
}

/// What is taken all the same says something else, and is the one way to say it.
#[test]
fn every_changed_byte_is_refused_or_says_something_else() {
    let golden = Service::parse(GOLDEN.as_bytes()).unwrap();
    for at in 0..GOLDEN.len() {
        for byte in 0..=u8::MAX {
            let mut bytes = Vec::from(GOLDEN);
            bytes[at] = byte;
            if byte == GOLDEN.as_bytes()[at] {
                continue;
            }
            if let Ok(service) = Service::parse(&bytes) {
                assert_ne!(service, golden, "byte {at}: {byte}");
                assert_eq!(service.to_string().as_bytes(), bytes);
            }
        }
    }
}

#[test]
fn a_wrong_line_says_what_is_wrong() {
    for (from, to, shown) in [
        ("service 1", "service 2", "reading line 1 of the service"),
        ("bin/smechvisord", "/bin/sh", "a path in the bundle"),
        ("bin/smechvisord", "../bin/sh", "a path in the bundle"),
        ("--name the first", "", "printable ASCII"),
        ("user smechvisord", "user 0", "a user's name"),
        ("user smechvisord", "user Root", "a user's name"),
        ("http tcp", "http udp", "NAME tcp ADDRESS:PORT"),
        ("0.0.0.0:8080", "0.0.0.0:0", "NAME tcp ADDRESS:PORT"),
        ("0.0.0.0:8080", "0.0.0.0:08080", "NAME tcp ADDRESS:PORT"),
        ("[::1]:8081", "[0::1]:8081", "NAME tcp ADDRESS:PORT"),
        ("0.0.0.0:8080", "localhost:8080", "NAME tcp ADDRESS:PORT"),
        ("unix /run", "unix run", "NAME tcp ADDRESS:PORT"),
        ("unix /run", "unix /run/..", "NAME tcp ADDRESS:PORT"),
        ("listen v6", "listen http", "another name and address"),
        ("[::1]:8081", "0.0.0.0:8080", "another name and address"),
        ("notify", "soon", "notify, health or started"),
        ("http://127", "https://127", "http://HOST[:PORT]/PATH"),
        ("http://127.0.0.1:8080/health", "http://", "http://HOST"),
        ("selftest --selftest", "selftest ", "one argument or -"),
        ("mode queue", "mode handover", "queue, overlap or plain"),
        ("mode queue", "mode plain", "which have sockets"),
        ("\nend\n", "\nend\n\n", "1 bytes follow its end"),
    ] {
        let text = refused(&changed(from, to));
        assert!(text.contains(shown), "{to}: {text}");
    }
    let no_url = changed("http://127.0.0.1:8080/health", "-");
    assert!(Service::parse(no_url.as_bytes()).is_ok());
    let text = refused(&no_url.replace("ready notify", "ready health"));
    assert!(text.contains("a URL: ready is health"), "{text}");
    let without = |mode: &str, ready: &str| {
        let lines = GOLDEN.lines().filter(|line| !line.starts_with("listen"));
        let lines: String = lines.map(|line| format!("{line}\n")).collect();
        lines
            .replace("mode queue", mode)
            .replace("ready notify", ready)
    };
    let text = refused(&without("mode overlap", "ready notify"));
    assert!(text.contains("no socket to listen on"), "{text}");
    let text = refused(&without("mode plain", "ready notify"));
    assert!(text.contains("which hear that it is ready"), "{text}");
    assert!(Service::parse(without("mode plain", "ready health").as_bytes()).is_ok());
}

#[test]
fn limits_are_exact() {
    let lines = |count: usize, kind: &str| -> String {
        (0..count)
            .map(|at| match kind {
                "argument" => format!("argument {at}\n"),
                _ => format!("listen s{at} unix /run/{at}\n"),
            })
            .collect()
    };
    let with = |arguments: usize, sockets: usize| {
        format!(
            "smechvisor-service 1\nprogram x\n{}user root\n{}ready started\nhealth -\n\
             selftest -\nmode queue\nend\n",
            lines(arguments, "argument"),
            lines(sockets, "listen")
        )
    };
    let most = with(ARGUMENTS_MAX, LISTEN_MAX);
    let service = Service::parse(most.as_bytes()).unwrap();
    assert_eq!(service.arguments().len(), ARGUMENTS_MAX);
    assert_eq!(service.to_string(), most);
    assert!(refused(&with(ARGUMENTS_MAX + 1, 1)).contains("at most 32 lines"));
    assert!(refused(&with(0, LISTEN_MAX + 1)).contains("at most 16 lines"));
    let long = |len: usize| changed("--name the first", &"x".repeat(len));
    assert!(Service::parse(long(256).as_bytes()).is_ok());
    assert!(refused(&long(257)).contains("1 to 256"));
    let path = |len: usize| {
        changed(
            "/run/smechvisord/control.sock",
            &format!("/{}", "x".repeat(len)),
        )
    };
    assert!(Service::parse(path(106).as_bytes()).is_ok());
    assert!(refused(&path(107)).contains("NAME unix"));
    assert!(refused(&[GOLDEN, &"x".repeat(LEN_MAX)].concat()).contains("8192 is the most"));
}
