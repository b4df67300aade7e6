//! Network cards as events: sysfs describes the hardware, the network stack reports addresses.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::thread;

use machine::cards::{self, SYS_CLASS_NET};
use netstack::{AddressSource, NetworkFact};
use wizard::event::{Address, MachineEvent, Nic};
use wizard::host::Inbox;

/// The network stack's last reports about a card.
#[derive(Debug, Default)]
struct Known {
    addresses: Vec<Address>,
    trouble: Option<String>,
    /// Another machine uses one of our addresses.
    rival: Option<String>,
}

/// Reports every card and its changes, in a thread of its own: a driver may be slow to report its
/// speed.
///
/// # Errors
/// No thread.
pub fn follow(network: Receiver<NetworkFact>, inbox: Inbox) -> io::Result<()> {
    let serve = move || {
        let mut known = BTreeMap::new();
        tell(&known, &inbox);
        while let Ok(fact) = network.recv() {
            if let NetworkFact::Gone { interface } = &fact {
                inbox.tell(MachineEvent::NicGone(interface.clone()));
            }
            learn(&mut known, &fact);
            // Several come together when a card gets its addresses: one look is enough for them.
            for fact in network.try_iter() {
                learn(&mut known, &fact);
            }
            tell(&known, &inbox);
        }
    };
    thread::Builder::new()
        .name("cards".to_owned())
        .spawn(serve)?;
    Ok(())
}

fn tell(known: &BTreeMap<String, Known>, inbox: &Inbox) {
    for card in cards::look(Path::new(SYS_CLASS_NET)) {
        let known = known.get(&card.name);
        inbox.tell(MachineEvent::Nic(Nic {
            addresses: known
                .map(|known| known.addresses.clone())
                .unwrap_or_default(),
            trouble: known
                .and_then(|known| known.trouble.as_ref().or(known.rival.as_ref()).cloned()),
            ..Nic::from(card)
        }));
    }
}

fn learn(all: &mut BTreeMap<String, Known>, fact: &NetworkFact) {
    match fact {
        NetworkFact::LinkUp { interface, .. } => {
            all.entry(interface.clone()).or_default().trouble = None;
        }
        NetworkFact::LinkDown { interface } | NetworkFact::Gone { interface } => {
            all.remove(interface);
        }
        NetworkFact::AddressConfigured {
            interface,
            address,
            prefix_len,
            gateway,
            source,
            lease,
            ..
        } => {
            let known = all.entry(interface.clone()).or_default();
            known.rival = None;
            let addresses = &mut known.addresses;
            addresses.retain(|known| known.address != *address);
            addresses.push(Address {
                address: *address,
                prefix_len: *prefix_len,
                gateway: *gateway,
                source: name(*source),
                lease: *lease,
            });
        }
        NetworkFact::AddressLost { interface, address } => {
            let known = all.entry(interface.clone()).or_default();
            known.addresses.retain(|known| known.address != *address);
        }
        NetworkFact::AddressTaken {
            interface,
            address,
            by,
            ..
        } => {
            let rival = format!("{address} belongs to another machine, {by}");
            all.entry(interface.clone()).or_default().rival = Some(rival);
        }
        NetworkFact::AddressShared {
            interface,
            address,
            by,
            ..
        } => {
            let rival = format!("{address} is also used by another machine, {by}");
            all.entry(interface.clone()).or_default().rival = Some(rival);
        }
        NetworkFact::NotMeant { interface, .. } => {
            let trouble = "not the card that was named".to_owned();
            all.entry(interface.clone()).or_default().trouble = Some(trouble);
        }
        NetworkFact::Unusable { interface, reason } => {
            all.entry(interface.clone()).or_default().trouble = Some(reason.clone());
        }
        NetworkFact::MtuRefused { .. } => {} // it can be used all the same
    }
}

/// As on the console.
const fn name(source: AddressSource) -> &'static str {
    match source {
        AddressSource::Dhcp => "dhcp",
        AddressSource::LinkLocal => "linklocal",
        AddressSource::Slaac => "slaac",
        AddressSource::Static => "static",
    }
}

#[cfg(test)]
mod tests {
    use super::learn;
    use netstack::{AddressSource, Mac, NetworkFact};
    use std::collections::BTreeMap;

    fn configured(last: u8) -> NetworkFact {
        NetworkFact::AddressConfigured {
            interface: "eth0".to_owned(),
            mac: Mac([2, 0, 0, 0, 0, 1]),
            address: [10, 9, 0, last].into(),
            prefix_len: 24,
            gateway: None,
            source: AddressSource::Dhcp,
            lease: None,
        }
    }

    #[test]
    fn a_card_has_the_addresses_that_were_told_and_not_taken_back() {
        let mut all = BTreeMap::new();
        let interface = || "eth0".to_owned();
        let lost = NetworkFact::AddressLost {
            interface: interface(),
            address: [10, 9, 0, 5].into(),
        };
        for fact in [configured(5), configured(5), configured(6), lost] {
            learn(&mut all, &fact);
        }
        let addresses = &all["eth0"].addresses;
        assert_eq!(addresses.len(), 1);
        assert_eq!(
            (addresses[0].address, addresses[0].source),
            ([10, 9, 0, 6].into(), "dhcp")
        );
        let taken = NetworkFact::AddressTaken {
            interface: interface(),
            address: [10, 9, 0, 6].into(),
            by: Mac([2, 0, 0, 0, 0, 9]),
            unshown: 0,
        };
        learn(&mut all, &taken);
        assert_eq!(
            all["eth0"].rival.as_deref(),
            Some("10.9.0.6 belongs to another machine, 02:00:00:00:00:09")
        );
        learn(&mut all, &configured(6));
        assert_eq!(all["eth0"].rival, None);
        learn(
            &mut all,
            &NetworkFact::LinkDown {
                interface: interface(),
            },
        );
        assert!(all.is_empty());
    }
}
