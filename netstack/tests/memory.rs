//! The memory that strangers can make a waiting target keep: the bound that `netstack::Config`
//! states, measured on a process of its own.

// The lint knows test functions only; this whole file is a test.
#![allow(clippy::unwrap_used)]

use std::env;
use std::fs;
use std::io::Read;
use std::net::Ipv4Addr;
use std::process::Command;

use netstack::sim::{Crowd, Donor, Link, SimInterfaces};
use netstack::{Addressing, Config, Fixed, InterfaceFilter, Stack};
use smoltcp::time::{Duration, Instant};
use wire::code::Code;

const CHILD: &str = "SMV_MEMORY_TEST";
const OURS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 15);
/// Of a machine below 128 MiB.
const WINDOW_BYTES: usize = 0xffff << 4;

#[test]
fn connections_without_an_opening_take_four_windows_at_most() {
    if env::var_os(CHILD).is_some() {
        return measure();
    }
    // As musl's allocator does it in the real thing: what is large goes back to the system when it
    // is freed. glibc would move its threshold up with the first such block and keep the others.
    let status = Command::new(env::current_exe().unwrap())
        .env(CHILD, "1")
        .env("MALLOC_MMAP_THRESHOLD_", "131072")
        .status()
        .unwrap();
    assert!(status.success());
}

/// The most that was resident since [`forget_peak`]: what strangers took is given back when one of
/// them is chosen.
fn peak_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.unwrap().trim().strip_suffix(" kB").unwrap();
    kib.parse::<usize>().unwrap() << 10
}

/// The peak is what is resident now (proc_pid_clear_refs(5)).
fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}

fn measure() {
    // Four strangers that fill their window and are dropped after five seconds, again and again.
    let (crowd, log) = Crowd::peer(
        66,
        OURS,
        4,
        Instant::ZERO,
        Duration::from_millis(1),
        &[0x5a; 512],
    );
    let (donor, _) = Donor::peer(2, vec![7; 300_000], Instant::from_secs(20), false);
    let interfaces = SimInterfaces::new(Link::default(), vec![crowd, donor]);
    let own = Fixed {
        address: OURS,
        prefix_len: 24,
        gateway: None,
    };
    let config = Config {
        addressing: Addressing {
            on: InterfaceFilter::First,
            ipv4: Some(own),
            ipv6: None,
        },
        memory_bytes: 64 << 20,
        ..Config::default()
    };
    assert_eq!(config.window_bytes(), WINDOW_BYTES);
    let stack = Stack::over(interfaces, config, Box::new(|_| ()), 7);
    forget_peak();
    let before = peak_bytes();
    // Nobody says so long an opening; the donor is handed over because it closes its side.
    let mut stream = stack
        .accept(&Code::parse("e13gts2").unwrap(), 2 * WINDOW_BYTES)
        .unwrap();
    let taken = peak_bytes().saturating_sub(before);
    let dropped = log.lock().unwrap().lasted.len();
    stream.read_exact(&mut [0; 300_000]).unwrap();
    assert!(dropped >= 12, "{dropped} were dropped");
    let bounds = 2 * WINDOW_BYTES..5 * WINDOW_BYTES;
    assert!(bounds.contains(&taken), "{taken} of {bounds:?} bytes");
}
