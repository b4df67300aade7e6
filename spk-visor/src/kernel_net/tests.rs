//! Beacons and donors over the loopback interface, whose broadcast address is 127.255.255.255.

use super::KernelNetwork;
use crate::discovery::Listener;
use crate::socket;
use receiver::donor::Network;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;
use wire::code::Code;

const LOOPBACK_BROADCAST: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 255);

fn code() -> Code {
    Code::parse("e13gts2").unwrap()
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// A network towards a donor's listener, and where its stream is.
fn network(beacon_port: u16) -> (KernelNetwork, SocketAddr) {
    let stream_port = free_port();
    let network =
        KernelNetwork::open_towards(beacon_port, stream_port, vec![LOOPBACK_BROADCAST]).unwrap();
    (
        network,
        SocketAddr::from((Ipv4Addr::LOCALHOST, stream_port)),
    )
}

/// Finds the beacon, which shows that somebody listens, and connects.
fn connect(listener: &Listener, to: SocketAddr) -> TcpStream {
    assert_eq!(
        listener.find(&code(), Duration::from_secs(10)).unwrap(),
        IpAddr::from(Ipv4Addr::LOCALHOST)
    );
    socket::connect(to, None).unwrap()
}

#[test]
fn a_donor_finds_the_beacon_and_its_bytes_arrive() {
    let listener = Listener::open(0, None).unwrap();
    let (mut network, to) = network(listener.port().unwrap());
    let donor = thread::spawn(move || {
        let mut stream = connect(&listener, to);
        stream.write_all(b"packages").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        stream
            .read_to_end(&mut Vec::new())
            .map(|_| stream.local_addr().unwrap())
    });
    let mut accepted = network.accept("e13gts2", 4).unwrap();
    let peer = accepted.peer();
    let mut bytes = Vec::new();
    accepted.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"packages");
    accepted.succeed().unwrap();
    assert_eq!(donor.join().unwrap().unwrap(), peer);
}

#[test]
fn failure_reaches_the_donor_as_a_reset_and_the_next_donor_is_accepted() {
    let listener = Listener::open(0, None).unwrap();
    let (mut network, to) = network(listener.port().unwrap());
    let donor = thread::spawn(move || {
        let first = connect(&listener, to).read(&mut [0]).unwrap_err().kind();
        let mut second = connect(&listener, to);
        second.shutdown(Shutdown::Write).unwrap();
        (first, second.read(&mut [0]).unwrap())
    });
    network.accept("e13gts2", 4).unwrap().fail();
    network.accept("e13gts2", 4).unwrap().succeed().unwrap();
    assert_eq!(donor.join().unwrap(), (ErrorKind::ConnectionReset, 0));
}

#[test]
fn a_second_donor_is_refused_while_the_first_is_served() {
    let listener = Listener::open(0, None).unwrap();
    let (mut network, to) = network(listener.port().unwrap());
    let donor = thread::spawn(move || connect(&listener, to));
    let accepted = network.accept("e13gts2", 4).unwrap();
    let _first = donor.join().unwrap();
    assert_eq!(
        socket::connect(to, None).unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    accepted.fail();
}

#[test]
fn success_reaches_a_donor_that_keeps_its_side_open() {
    let listener = Listener::open(0, None).unwrap();
    let (mut network, to) = network(listener.port().unwrap());
    let donor = thread::spawn(move || connect(&listener, to).read(&mut [0]).unwrap());
    network.accept("e13gts2", 4).unwrap().succeed().unwrap();
    assert_eq!(donor.join().unwrap(), 0);
}

#[test]
fn a_code_that_is_none_is_never_broadcast() {
    let (mut network, _) = network(free_port());
    assert_eq!(
        network.accept("E13", 4).err().unwrap().kind(),
        ErrorKind::InvalidInput
    );
}

#[test]
fn our_own_address_on_a_network_is_told() {
    let (network, _) = network(free_port());
    assert_eq!(network.addresses(), [IpAddr::from(Ipv4Addr::LOCALHOST)]);
}
