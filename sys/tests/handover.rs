//! A real program gets sockets, its own number and nothing else.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;

use sys::handover::{Identity, Program, Reserved, start};

fn shell(script: &str) -> Vec<OsString> {
    vec!["-c".into(), script.into()]
}

/// What a script says that is started with two sockets, by way of a connection to the first.
fn said(script: &str, identity: Option<&Identity>) -> String {
    let reserved = Reserved::new().unwrap();
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let aside = listeners.each_ref().map(|one| reserved.aside(one).unwrap());
    let sockets = [("http", aside[0].as_fd()), ("v6", aside[1].as_fd())];
    let out = tempfile_in_tmp();
    let arguments = shell(&format!("exec >{out}; {script}"));
    let program = Program {
        path: Path::new("/bin/sh"),
        arguments: &arguments,
        environment: &[("PATH".into(), "/usr/bin:/bin".into())],
        sockets: &sockets,
        identity,
    };
    let mut child = start(&reserved, &program).unwrap();
    let pid = child.id().to_string();
    assert!(child.wait().unwrap().success());
    let text = std::fs::read_to_string(&out).unwrap();
    std::fs::remove_file(&out).unwrap();
    text.replace(&pid, "PID")
}

fn tempfile_in_tmp() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("/tmp/handover.{}.{number}", std::process::id())
}

#[test]
fn a_program_finds_its_sockets_and_its_number() {
    let text = said("echo $LISTEN_FDS $LISTEN_FDNAMES $LISTEN_PID $$; pwd", None);
    assert_eq!(text, "2 http:v6 PID PID\n/\n");
    // Nothing else of this process: two sockets, and what every program is handed that it starts.
    let script = "exec ls -l /proc/self/fd";
    let open = said(script, None);
    assert_eq!(open.matches("socket:[").count(), 2, "{open}");
    let plain = Command::new("/bin/sh").args(["-c", script]).output();
    let plain = String::from_utf8(plain.unwrap().stdout).unwrap();
    let mut expected = numbers(&plain);
    expected.extend([3, 4]);
    assert_eq!(numbers(&open), expected, "{open}");
    let kinds = said("for fd in 3 4; do readlink /proc/$$/fd/$fd; done", None);
    assert_eq!(kinds.matches("socket:[").count(), 2, "{kinds}");
}

/// The descriptors in a listing, without that of the listing.
fn numbers(listing: &str) -> BTreeSet<u32> {
    let links = listing.lines().filter_map(|line| line.split_once(" -> "));
    let links = links.filter(|(_, target)| !target.starts_with("/proc/"));
    links
        .map(|(line, _)| line.split(' ').next_back().unwrap().parse().unwrap())
        .collect()
}

#[test]
fn nothing_is_blocked_and_sigpipe_ends_it_as_usual() {
    // A shell that waits for a program has everything blocked.
    let status = said("exec grep -E 'Sig(Blk|Ign)' /proc/self/status", None);
    let masks: Vec<u64> = status
        .lines()
        .map(|line| u64::from_str_radix(line.split_whitespace().last().unwrap(), 16).unwrap())
        .collect();
    assert_eq!(masks[0], 0, "{status}");
    assert_eq!(masks[1] & 1 << 12, 0, "{status}");
}

#[test]
fn what_cannot_be_started_says_why() {
    let reserved = Reserved::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let aside = reserved.aside(&listener).unwrap();
    let mut program = Program {
        path: Path::new("/nonexistent"),
        arguments: &[],
        environment: &[],
        sockets: &[("http", aside.as_fd())],
        identity: None,
    };
    let error = start(&reserved, &program).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    program.path = Path::new("/etc/passwd");
    let error = start(&reserved, &program).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EACCES));
    let many = [("http", aside.as_fd()); 17];
    program.sockets = &many;
    assert!(start(&reserved, &program).is_err());
    // What failed has taken nothing with it.
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    drop(listener.accept().unwrap());
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}

#[test]
#[ignore = "needs root"]
fn it_runs_as_its_user_with_its_groups() {
    let identity = Identity {
        uid: 65534,
        gid: 65533,
        groups: vec![7, 65533],
    };
    let text = said(
        "grep -E '^(Uid|Gid|Groups)' /proc/$$/status",
        Some(&identity),
    );
    // The file was opened by the same user, in /tmp.
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().skip(1).collect())
        .collect();
    assert_eq!(lines[0], ["65534"; 4]);
    assert_eq!(lines[1], ["65533"; 4]);
    assert_eq!(lines[2], ["7", "65533"]);
}
