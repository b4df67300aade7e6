//! Port numbers for targets that do not listen all the time.
//!
//! The kernel gives port 0 and connections numbers of a range of its own (`ip_local_port_range`,
//! ip(7)): one of those that a test has let go of may be somebody's when its target listens again.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

const LOWEST: u16 = 10_000;
/// Where the kernel's range begins, unless it says otherwise.
const USUAL_END: u16 = 32_768;

/// A number that nobody uses now, that the kernel gives to nobody, and that this process has not
/// had before.
#[must_use]
pub fn free() -> u16 {
    static TAKEN: AtomicUsize = AtomicUsize::new(0);
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = range.split_whitespace().next().map(str::parse);
    let end = match first {
        Some(Ok(first)) if first > 2 * LOWEST => first,
        _ => USUAL_END,
    };
    let ports: Vec<u16> = (LOWEST..end).collect();
    // Two processes at the same time begin at places far from each other.
    let begin = process::id() as usize * 1009;
    for _ in &ports {
        let port = ports[(begin + TAKEN.fetch_add(1, Ordering::Relaxed)) % ports.len()];
        let any = (Ipv4Addr::UNSPECIFIED, port);
        if TcpListener::bind(any).is_ok() && UdpSocket::bind(any).is_ok() {
            return port;
        }
    }
    panic!("no port from {LOWEST} to {end} is free");
}
