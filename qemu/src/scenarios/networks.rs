//! Networks that are not one cable with a DHCP server: a VLAN, IPv6 alone, an address that a person
//! chose.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;

use wire::secret::Secret;
use wire::stage::Stage;

use crate::actors::donor::Order;
use crate::actors::exit::Exit;
use crate::actors::policy::{Credential, Shown};
use crate::actors::stranger::{RawDonor, hear_beacon_from};
use crate::error::{HarnessError, Result};
use crate::eyes::transcript;
use crate::lab::{BOOT, DEPLOY, DISK_MIB, Lab, STEP, await_shown};
use crate::machine::running::Running;
use crate::machine::{Firmware, Machine, Medium, NicModel};
use crate::network::{BRIDGE, DONOR_ADDRESS, SECOND_ADDRESS, SECOND_BRIDGE};
use crate::process::run;

use super::{deploy_and_power_off, image};

const VLAN: u16 = 5;
/// In the network that the router announces, by the hardware address of the first card.
const SLAAC: Ipv6Addr = Ipv6Addr::new(0xfd09, 0, 0, 0, 0x5054, 0xff, 0xfe09, 1);
/// The address that dnsmasq gives to the first card of a scenario.
const LEASED: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 10);
/// Nobody hands it out.
const CHOSEN: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 177);

/// The machine's only card is in a switch port that knows one VLAN by its tag.
pub(super) fn vlan(lab: &mut Lab) -> Result<()> {
    let disk = lab.disk("disk", DISK_MIB)?;
    let medium = lab.kernel(&format!("smv.after=poweroff smv.vlan={VLAN}"));
    let nic = lab.network().trunk(NicModel::Virtio, VLAN)?;
    let trunk = nic.trunk.clone();
    let machine = Machine {
        nics: vec![nic],
        ..lab.machine(Firmware::Bios, vec![disk], medium)?
    };
    deploy_and_power_off(lab, &machine)?;
    match trunk.map_or(0, |trunk| trunk.strays()) {
        0 => Ok(()),
        strays => Err(HarnessError::unexpected(
            "the card",
            "no frame outside of its VLAN",
            strays.to_string(),
        )),
    }
}

/// No IPv4 anywhere, and a cable that comes late. An address in the network that a router announces
/// is connected to, and the machine is found by its beacon.
pub(super) fn ipv6_only(lab: &mut Lab) -> Result<()> {
    let disk = lab.disk("disk", DISK_MIB)?;
    let medium = lab.kernel("smv.after=poweroff");
    let mut machine = lab.machine(Firmware::Bios, vec![disk], medium)?;
    for nic in &mut machine.nics {
        nic.cabled = false;
    }
    let mut target = lab.start(&machine)?;
    let shown = await_shown(&mut target)?;
    target.set_link(0, true)?;
    await_network(&mut target, &[&format!("addr={SLAAC}/64"), "source=slaac"])?;
    let other = Secret::draw([0x5a; 5]).to_string();
    let guessed = Order::new(&shown, &lab.artifacts.demo)
        .with(Credential::Secret(other))
        .and(&["--to", &format!("[{SLAAC}]:9192")]);
    lab.donor(&guessed)?.must_exit(Exit::Pairing, STEP)?;
    image(&machine).must_be_untouched()?;
    let packages = lab.artifacts.demo.clone();
    lab.deploy_shown(&mut target, &shown, &packages)?;
    target.await_power_off(STEP)?;
    image(&machine).must_be_complete()
}

/// Two cards, each in a network of its own: the code is announced in both, and a donor in either
/// deploys.
pub(super) fn two_networks(lab: &mut Lab) -> Result<()> {
    let disk = lab.disk("first", DISK_MIB)?;
    let medium = lab.kernel("smv.after=poweroff");
    let mut machine = lab.machine(Firmware::Bios, vec![disk], medium)?;
    machine.nics.push(lab.network().second(NicModel::E1000e)?);
    let donors = [
        ("second", SECOND_BRIDGE, SECOND_ADDRESS),
        ("first", BRIDGE, DONOR_ADDRESS),
    ];
    for (name, bridge, donor) in donors {
        machine.disks = vec![lab.disk(name, DISK_MIB)?];
        let mut target = lab.start(&machine)?;
        let shown = await_shown(&mut target)?;
        for card in ["if=eth0", "if=eth1"] {
            await_network(&mut target, &[card, "source=dhcp"])?;
        }
        for own in [DONOR_ADDRESS, SECOND_ADDRESS] {
            let is_there = |from| is_neighbour(from, own);
            let (code, _) = hear_beacon_from(STEP, is_there)?;
            if code != shown.code {
                return Err(HarnessError::unexpected("the beacon", shown.code, code));
            }
        }
        let order = Order::new(&shown, &lab.artifacts.demo).and(&["--interface", bridge]);
        let mut deployed = lab.donor(&order)?;
        let facts = target.console.await_stage(Stage::Accepted, STEP)?;
        if !facts.contains(&format!("peer={donor}:")) {
            return Err(HarnessError::unexpected(
                "the donor's address",
                donor.to_string(),
                facts,
            ));
        }
        deployed.must_succeed(DEPLOY)?;
        target.await_power_off(STEP)?;
        image(&machine).must_be_complete()?;
    }
    Ok(())
}

/// Whether both are in the same network of 24 bits.
fn is_neighbour(one: IpAddr, own: Ipv4Addr) -> bool {
    matches!(one, IpAddr::V4(one) if one.octets()[..3] == own.octets()[..3])
}

/// Two cards with a cable: the address is for the second one, which is named in either way, and
/// packets are large or small. At first another machine has it.
pub(super) fn chosen_address(lab: &mut Lab) -> Result<()> {
    let disk = lab.disk("disk", DISK_MIB)?;
    let mut machine = lab.machine(Firmware::Bios, vec![disk], Medium::None)?;
    let second = lab.network().nic(NicModel::Virtio, true)?;
    let large = format!(
        "smv.ip={CHOSEN}/24,gw=10.9.0.1,mac={} smv.mtu=9000",
        second.mac
    );
    let small = format!("smv.after=poweroff smv.ip={CHOSEN}/24,if=eth1 smv.mtu=600");
    machine.nics.push(second);
    lab.network().take_jumbo_frames(&machine.nics)?;
    machine.medium = lab.kernel(&large);
    let by = lab.network().occupy(CHOSEN)?;
    let mut target = lab.start(&machine)?;
    await_warning(
        &mut target,
        &["if=eth1", &format!("addr={CHOSEN}"), &format!("mac={by}")],
    )?;
    let lost = format!("lost={CHOSEN}");
    await_network(&mut target, &["if=eth1", &lost])?;
    lab.network().vacate(CHOSEN)?;
    await_again(&mut target, &lost, &format!("addr={CHOSEN}/24"))?;
    await_chosen(&mut target, 9000)?;
    target.quit()?;

    machine.medium = lab.kernel(&small);
    let mut target = lab.start(&machine)?;
    let shown = await_chosen(&mut target, 600)?;
    let packages = lab.artifacts.demo.clone();
    lab.deploy_shown(&mut target, &shown, &packages)?;
    target.await_power_off(STEP)?;
    image(&machine).must_be_complete()
}

/// The DHCP server leases another machine's address: the shim declines it and gets another one. It
/// is a machine of its own, or its answers to that address would not leave the host.
pub(super) fn taken_lease(lab: &mut Lab) -> Result<()> {
    let disk = lab.disk("disk", DISK_MIB)?;
    let medium = lab.kernel("smv.after=poweroff");
    let machine = lab.machine(Firmware::Bios, vec![disk], medium)?;
    let by = lab.network().occupy(LEASED)?;
    let mut target = lab.start(&machine)?;
    await_warning(
        &mut target,
        &[&format!("addr={LEASED}"), &format!("mac={by}")],
    )?;
    await_again(&mut target, &format!("lost={LEASED}"), "source=dhcp")?;
    let mac = machine.nics.first().map(|nic| nic.mac.clone());
    let lease = lab.network().lease(&mac.unwrap_or_default());
    if lease.is_none_or(|lease| lease == LEASED) {
        return Err(HarnessError::unexpected(
            "the lease",
            "another one",
            format!("{lease:?}"),
        ));
    }
    let said = std::fs::read_to_string("dnsmasq.log").unwrap_or_default();
    if !said.contains(&format!("DHCPDECLINE(eth0) {LEASED}")) {
        return Err(HarnessError::unexpected(
            "dnsmasq",
            "a decline",
            transcript::tail(&said, 10),
        ));
    }
    lab.deploy_demo(&mut target)?;
    target.await_power_off(STEP)?;
    image(&machine).must_be_complete()
}

/// Waits for a line of stage network with one word, behind one with another.
fn await_again(target: &mut Running, before: &str, word: &str) -> Result<()> {
    let what = format!("stage network with {word} behind {before}");
    target.console.await_since(0, &what, STEP, |text| {
        let mut lines = text.lines().filter_map(Stage::of_line);
        let has = |facts: &str, word: &str| facts.split(' ').any(|fact| fact == word);
        lines.find(|(_, facts)| has(facts, before))?;
        lines
            .find(|(stage, facts)| *stage == Stage::Network && has(facts, word))
            .map(drop)
    })
}

/// Waits for a warning with all these words.
fn await_warning(target: &mut Running, words: &[&str]) -> Result<()> {
    let what = format!("a warning with {}", words.join(" "));
    target.console.await_since(0, &what, BOOT, |text| {
        let mut warnings = text.lines().filter(|line| line.contains("smv: warning: "));
        warnings
            .any(|line| words.iter().all(|word| line.contains(word)))
            .then_some(())
    })
}

/// The screen once the second card has the address and announces packets of that size.
fn await_chosen(target: &mut Running, mtu: u32) -> Result<Shown> {
    let shown = await_shown(target)?;
    await_network(target, &["if=eth0", "unused"])?;
    await_network(
        target,
        &["if=eth1", &format!("addr={CHOSEN}/24"), "source=static"],
    )?;
    let _connection = RawDonor::connect(IpAddr::V4(CHOSEN))?;
    let told = run(Command::new("ss").args([
        "-tinH",
        "state",
        "established",
        "dst",
        &CHOSEN.to_string(),
    ]))?;
    let words = told.split_whitespace();
    let mss = words.filter_map(|word| word.strip_prefix("mss:")).next();
    // IPv4's header and TCP's, and the kernel counts its time stamps where both ends have them.
    let expected = [(mtu - 40).to_string(), (mtu - 52).to_string()];
    match mss {
        Some(mss) if expected.iter().any(|expected| expected == mss) => Ok(shown),
        _ => Err(HarnessError::unexpected(
            "the connection's mss",
            expected.join(" or "),
            told,
        )),
    }
}

/// Waits for a line of stage network with all these words, since the machine was started.
pub(super) fn await_network(target: &mut Running, words: &[&str]) -> Result<()> {
    let what = format!("stage network with {}", words.join(" "));
    target.console.await_since(0, &what, STEP, |text| {
        text.lines()
            .filter_map(Stage::of_line)
            .find(|(stage, facts)| {
                let is_in = |word: &&str| {
                    facts
                        .split(' ')
                        .any(|fact| fact.trim_end_matches(':') == *word)
                };
                *stage == Stage::Network && words.iter().all(is_in)
            })
            .map(drop)
    })
}
