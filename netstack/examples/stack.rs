//! A station by hand: opens the interfaces of this network namespace, prints facts, accepts one donor, counts its bytes.
//!
//! `unshare -n` first, or it takes every interface of the machine up.

use std::io::Read;

use netstack::{Config, Station};
use wire::code::Code;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let station = Station::open(Config::default(), |fact| println!("{fact:?}"))?;
    let mut stream = station.accept(&Code::parse("e13gts2")?, 4)?;
    println!("accepted {} on {:?}", stream.peer(), station.addresses());
    let (mut buffer, mut total) = (vec![0; 1 << 16], 0_u64);
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
