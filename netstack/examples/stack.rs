//! Runs a stack by hand: opens the interfaces of this network namespace, prints facts, accepts one
//! donor, counts its bytes.
//!
//! Use `unshare -n`, or it brings up every interface of the machine.

use std::io::Read;

use netstack::{Config, Stack};
use wire::code::Code;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let stack = Stack::open(Config::default(), |fact| println!("{fact:?}"))?;
    let mut stream = stack.accept(&Code::parse("e13gts2")?, 4)?;
    println!("accepted {} on {:?}", stream.peer(), stack.addresses());
    let mut buffer = vec![0; 1 << 16];
    let mut total = 0_u64;
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            len => total = total.saturating_add(len as u64),
        }
    }
    println!("received {total} bytes");
    stream.finish()?;
    Ok(())
}
