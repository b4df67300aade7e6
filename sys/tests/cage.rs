//! A program that misbehaves in the cage: each attempt runs in a process of its own, freely, behind
//! one wall, and behind all.
//!
//! No harness: the attempts need a process of one thread that becomes what its argument names
//! before anything else runs.

// Helpers of a test outside `mod tests`, which clippy takes for shipped code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::{env, ptr, thread};

use sys::cage::{self, Walls};
use sys::{landlock, seccomp};

const DATA_BYTES: u64 = 64 << 20;
/// The bytes that glibc's malloc reserves for a thread: twice its heap, to align that.
const RESERVED_BYTES: u64 = 128 << 20;
/// The exit code of an attempt.
const DONE: i32 = 0;
const REFUSED: i32 = 10;
const NO_WALL: i32 = 11;

type Attempt = fn() -> bool;

/// One system call of the kernel's own number; true when it did what was asked.
fn call(number: libc::c_long, arguments: [usize; 6]) -> bool {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: each caller below passes numbers, or addresses of memory that outlives the call; what
    // they do to this process is what is being tested, and it ends right after.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    result >= 0
}

fn address<T>(value: &T) -> usize {
    ptr::from_ref(value) as usize
}

const RIGHTS: usize = (libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC) as usize;
const READ_WRITE: usize = (libc::PROT_READ | libc::PROT_WRITE) as usize;
const PRIVATE: usize = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
const STACK: usize = PRIVATE | libc::MAP_GROWSDOWN as usize;
const SHARED: usize = (libc::MAP_SHARED | libc::MAP_ANONYMOUS) as usize;
const PATH: &[u8; 5] = b"/tmp\0";

fn open() -> bool {
    File::open("/proc/self/status").is_ok()
}

fn make_file() -> bool {
    let path = env::temp_dir().join(format!("smv-cage-{}", std::process::id()));
    let made = File::create(&path).is_ok();
    let _ = std::fs::remove_file(path); // not there when it was refused
    made
}

fn tcp() -> bool {
    let Ok(listener) = std::net::TcpListener::bind("127.0.0.1:0") else {
        return false;
    };
    listener.local_addr().is_ok()
}

fn socket_of(family: libc::c_int) -> bool {
    call(
        libc::SYS_socket,
        [family as usize, libc::SOCK_DGRAM as usize, 0, 0, 0, 0],
    )
}

fn run() -> bool {
    let status = Command::new("/bin/true").status();
    status.is_ok_and(|status| status.success())
}

fn exec() -> bool {
    let arguments = [ptr::null::<u8>()];
    // Returns only when it was refused; the new program's end is the success.
    call(
        libc::SYS_execve,
        [
            c"/bin/true".as_ptr() as usize,
            address(&arguments),
            0,
            0,
            0,
            0,
        ],
    )
}

fn fork() -> bool {
    call(libc::SYS_clone, [libc::SIGCHLD as usize, 0, 0, 0, 0, 0])
}

fn signal_parent() -> bool {
    let parent = std::os::unix::process::parent_id() as usize;
    call(libc::SYS_kill, [parent, 0, 0, 0, 0, 0])
}

fn map(len: usize, rights: usize, flags: usize) -> bool {
    call(libc::SYS_mmap, [0, len, rights, flags, usize::MAX, 0])
}

fn make_code() -> bool {
    let page = vec![0_u8; 3 * 4096];
    let inside = (page.as_ptr() as usize).next_multiple_of(4096);
    call(libc::SYS_mprotect, [inside, 4096, RIGHTS, 0, 0, 0])
}

fn gigabyte() -> bool {
    let mut bytes = Vec::<u8>::new();
    bytes.try_reserve_exact(1 << 30).is_ok()
}

fn gigabyte_by_heap() -> bool {
    let mut all = Vec::new();
    for _ in 0..16_384 {
        let mut bytes = Vec::<u8>::new();
        if bytes.try_reserve_exact(64 << 10).is_err() {
            return false;
        }
        all.push(bytes);
    }
    true
}

/// Private memory that can be written a part at a time.
fn gigabyte_made_read_only() -> bool {
    const PART: usize = 32 << 20;
    for _ in 0..32 {
        let bytes = vec![0_u8; PART];
        let inside = (bytes.as_ptr() as usize).next_multiple_of(4096);
        std::mem::forget(bytes);
        let read = libc::PROT_READ as usize;
        if !call(libc::SYS_mprotect, [inside, PART - 4096, read, 0, 0, 0]) {
            return false;
        }
    }
    true
}

fn has_capabilities() -> bool {
    rustix::thread::capabilities(None)
        .is_ok_and(|sets| !(sets.effective | sets.permitted | sets.inheritable).is_empty())
}

fn map_page_zero() -> bool {
    map(4096, READ_WRITE, PRIVATE | libc::MAP_FIXED as usize)
}

/// Each with what it is called, and whether a process that is not shut in can do it on every
/// machine the tests run on.
const ATTEMPTS: &[(&str, bool, Attempt)] = &[
    ("open", true, open),
    ("make-file", true, make_file),
    ("tcp", true, tcp),
    ("socket-unix", true, || socket_of(libc::AF_UNIX)),
    ("socket-netlink", true, || socket_of(libc::AF_NETLINK)),
    ("socket-packet", false, || socket_of(libc::AF_PACKET)),
    ("run", true, run),
    ("exec", true, exec),
    ("fork", true, fork),
    ("signal", true, signal_parent),
    ("ptrace", true, || call(libc::SYS_ptrace, [0; 6])), // PTRACE_TRACEME
    ("map-code", true, || map(4096, RIGHTS, PRIVATE)),
    ("make-code", true, make_code),
    ("map-shared", true, || map(4096, READ_WRITE, SHARED)),
    ("map-stack", true, || map(4096, READ_WRITE, STACK)),
    ("memfd", true, || {
        call(
            libc::SYS_memfd_create,
            [c"x".as_ptr() as usize, 0, 0, 0, 0, 0],
        )
    }),
    ("duplicate", true, || {
        call(libc::SYS_dup, [1, 0, 0, 0, 0, 0])
    }),
    ("ioctl", false, || {
        call(libc::SYS_ioctl, [0, libc::FIONREAD as usize, 0, 0, 0, 0])
    }),
    ("statfs", true, || {
        let room = [0_u64; 64];
        call(
            libc::SYS_statfs,
            [PATH.as_ptr() as usize, address(&room), 0, 0, 0, 0],
        )
    }),
    ("unshare", false, || {
        call(
            libc::SYS_unshare,
            [libc::CLONE_NEWUSER as usize, 0, 0, 0, 0, 0],
        )
    }),
    ("mount", false, || call(libc::SYS_mount, [0; 6])),
    ("reboot", false, || call(libc::SYS_reboot, [0; 6])),
    ("bpf", false, || call(libc::SYS_bpf, [0; 6])),
    ("io-uring", false, || call(libc::SYS_io_uring_setup, [0; 6])),
    ("limit", true, || {
        let room = [0_u64; 2];
        let none = 0;
        call(
            libc::SYS_prlimit64,
            [none, libc::RLIMIT_DATA as usize, none, address(&room), 0, 0],
        )
    }),
];

/// Attempts that the filter allows and the limit does not.
const GREEDY: &[(&str, bool, Attempt)] = &[
    ("gigabyte", true, gigabyte),
    ("gigabyte-by-heap", true, gigabyte_by_heap),
    ("gigabyte-of-stack", true, || {
        map(1 << 30, READ_WRITE, STACK)
    }),
    ("gigabyte-made-read-only", true, gigabyte_made_read_only),
];

/// Attempts that root could make, and that the filter, or a kernel without it, allows.
const PRIVILEGED: &[(&str, bool, Attempt)] = &[
    ("capabilities", false, has_capabilities),
    ("page-zero", false, map_page_zero),
];

fn misbehave(wall: &str, name: &str) -> i32 {
    let is_there = match wall {
        "free" => true,
        "privileges" => cage::give_up_privileges().is_ok(),
        "files" => cage::give_up_privileges().is_ok() && landlock::reach_no_file().is_ok(),
        "calls" => cage::give_up_privileges().is_ok() && seccomp::only_compute().is_ok(),
        _ => cage::enter(DATA_BYTES, RESERVED_BYTES).is_ok(),
    };
    if !is_there {
        return NO_WALL;
    }
    if name == "work" {
        return work();
    }
    if name == "enter" {
        return cage::enter(DATA_BYTES, RESERVED_BYTES)
            .map_or(NO_WALL, |walls| walls.to_byte().into());
    }
    let attempts = ATTEMPTS.iter().chain(GREEDY).chain(PRIVILEGED);
    let (_, _, attempt) = attempts.into_iter().find(|row| row.0 == name).unwrap();
    if attempt() { DONE } else { REFUSED }
}

/// The work of a decoder: reads, computes in threads, writes.
fn work() -> i32 {
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).unwrap();
    let adding = |bytes: Vec<u8>| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    let halves = [bytes.clone(), bytes].map(|bytes| thread::spawn(move || adding(bytes)));
    let sum: u64 = halves.map(|half| half.join().unwrap()).iter().sum();
    std::io::stdout().write_all(&sum.to_le_bytes()).unwrap();
    DONE
}

fn ended(wall: &str, name: &str) -> ExitStatus {
    let mut child = Command::new("/proc/self/exe");
    child
        .args([wall, name])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    child.output().unwrap().status
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    if let [_, wall, name] = arguments.as_slice()
        && !wall.starts_with('-')
    {
        std::process::exit(misbehave(wall, name));
    }
    let has = |wall| ended(wall, "none-of-them").code() != Some(NO_WALL);
    let walls = Walls {
        no_files: has("files"),
        only_computing: has("calls"),
    };
    println!("this kernel: {walls:?}");
    let entered = ended("free", "enter").code();
    assert_eq!(
        entered,
        Some(walls.to_byte().into()),
        "the cage has every wall that the kernel has"
    );
    for (name, is_common, _) in ATTEMPTS.iter().chain(GREEDY) {
        if *is_common {
            assert_eq!(
                ended("free", name).code(),
                Some(DONE),
                "{name} outside of the cage"
            );
        }
    }
    for (name, _, _) in ATTEMPTS {
        let status = ended("all", name);
        if walls.only_computing {
            assert_eq!(status.signal(), Some(libc::SIGSYS), "{name}: {status}");
            let alone = ended("calls", name);
            assert_eq!(
                alone.signal(),
                Some(libc::SIGSYS),
                "{name} behind the filter: {alone}"
            );
        }
    }
    for (name, _, _) in GREEDY {
        let status = ended("all", name);
        assert!(
            status.code() == Some(REFUSED) || status.signal().is_some(),
            "{name}: {status}"
        );
    }
    for (name, _, _) in PRIVILEGED {
        let status = ended("privileges", name);
        assert_eq!(status.code(), Some(REFUSED), "{name} without privileges");
    }
    for name in ["open", "make-file", "exec"] {
        if walls.no_files {
            assert_eq!(
                ended("files", name).code(),
                Some(REFUSED),
                "{name} behind Landlock"
            );
        }
    }
    works();
    println!(
        "{} attempts, every one stopped",
        ATTEMPTS.len() + GREEDY.len() + PRIVILEGED.len()
    );
}

fn works() {
    let mut child = Command::new("/proc/self/exe");
    child
        .args(["all", "work"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = child.spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(&[1; 1 << 20])
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(DONE), "{}", output.status);
    assert_eq!(output.stdout, (2_u64 << 20).to_le_bytes());
}
