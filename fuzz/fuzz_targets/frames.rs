//! Any frames on the wire of a waiting machine: no panic, no standstill, and nobody is taken for a
//! donor without a connection.
#![no_main]

use std::collections::VecDeque;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use netstack::sim::{Link, Peer, SimInterfaces, reseal};
use netstack::{Config, Stack};
use smoltcp::time::Instant;
use wire::code::Code;

/// Sends one frame after the other, the first when our addresses are settled.
struct Wire {
    frames: VecDeque<Vec<u8>>,
}

impl Peer for Wire {
    fn run(&mut self, now: Instant, _: &[Vec<u8>], out: &mut Vec<Vec<u8>>) -> Option<Instant> {
        const SETTLED: Instant = Instant::from_millis_const(3000);
        if now < SETTLED {
            return Some(SETTLED);
        }
        let mut frame = self.frames.pop_front()?;
        reseal(&mut frame);
        out.push(frame);
        Some(now + smoltcp::time::Duration::from_millis(1))
    }
}

/// Each frame begins with its length in one byte; its first two addresses are filled in, so that it
/// is for us.
fn frames(mut bytes: &[u8]) -> VecDeque<Vec<u8>> {
    const ADDRESSES: [u8; 12] = [2, 0, 0, 0, 0, 0x10, 2, 0, 0, 0, 0, 0x20];
    let mut frames = VecDeque::new();
    while let Some((len, rest)) = bytes.split_first() {
        let len = usize::from(*len).min(rest.len());
        let (frame, rest) = rest.split_at(len);
        frames.push_back([&ADDRESSES, frame].concat());
        bytes = rest;
    }
    frames
}

fuzz_target!(|bytes: &[u8]| {
    let wire = Wire {
        frames: frames(bytes),
    };
    let interfaces = SimInterfaces::new(Link::default(), vec![Box::new(wire)]);
    let stack = Stack::over(interfaces, Config::default(), Box::new(|_| ()), 7);
    let code = Code::parse("e13gts2").unwrap();
    let donor = stack.accept_within(&code, 4, Some(Duration::from_secs(20)));
    assert!(donor.is_ok_and(|donor| donor.is_none()));
});
