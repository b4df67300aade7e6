//! An interface's addresses: which it looks for, which smoltcp has, and what becomes of a donor
//! when they change.
//!
//! In: the configuration, what DHCP, the link and routers have said, time. Out: the interface's
//! addresses and routes, and facts.

use std::net::IpAddr;

use smoltcp::iface::PollResult;
use smoltcp::phy::Device;
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::IpCidr;

use super::{EGRESS_ROUNDS, Nic, Readdressed, send};
use crate::address::{Addresses, Assigned, Rivalry};
use crate::config::{Config, InterfaceFilter};
use crate::fact::{AddressSource, Mac, NetworkFact};
use crate::ip6::{Assigned6, InUse, Ip6, MTU_MIN};

impl<D: Device> Nic<D> {
    /// Begins to look for addresses as the configuration says.
    pub(crate) fn take_addresses(
        &mut self,
        config: &Config,
        is_first: bool,
        seed: u64,
        now: Instant,
    ) {
        let is_meant = match &config.addressing.on {
            InterfaceFilter::Every => true,
            InterfaceFilter::First => is_first,
            InterfaceFilter::Name(name) => *name == self.name,
            InterfaceFilter::Mac(wanted) => *wanted == self.mac.0,
        };
        self.addresses = match &config.addressing.ipv4 {
            _ if !is_meant => Addresses::None,
            None => Addresses::automatic(self.mac, &mut self.sockets, now),
            Some(chosen) => Addresses::fixed(self.mac, chosen, now).unwrap_or(Addresses::None),
        };
        let can_ipv6 = is_meant && self.device.capabilities().ip_mtu() >= MTU_MIN;
        let chosen = config.addressing.ipv6.as_ref();
        self.ip6 = can_ipv6.then(|| Ip6::new(self.mac, seed, chosen, now));
    }

    /// Goes without any address from now on, once all connections have been reset under the old
    /// ones.
    pub(crate) fn give_up_addresses(&mut self, now: Instant, tell: &mut dyn FnMut(NetworkFact)) {
        let guests: Vec<_> = self.listener.guests().collect();
        guests.into_iter().for_each(|guest| self.dismiss(guest));
        self.listener.close(&mut self.sockets);
        for _ in 0..EGRESS_ROUNDS {
            let sent = self
                .interface
                .poll_egress(now, &mut self.device, &mut self.sockets);
            if sent == PollResult::None {
                break;
            }
        }
        self.listener.tidy(&mut self.sockets);
        self.addresses.end(&mut self.sockets);
        self.ip6 = None;
        let lost: Vec<IpAddr> = self.addresses().collect();
        (self.assigned, self.gateway6) = (None, None);
        self.assigned6 = InUse::new();
        self.assign();
        for address in lost {
            tell(NetworkFact::AddressLost {
                interface: self.name.clone(),
                address,
            });
        }
    }

    /// Brings the interface's address in line with the one that is wanted.
    ///
    /// Not while a donor is connected here: its connection would end with the address. So a lease
    /// that runs out, or is taken back, stays in use until the deploy is over (against
    /// RFC 2131 4.4.5: half a system on a disk is worse), and a link-local address is kept when a
    /// server turns up at last. But when a server leases us another address in place of its first,
    /// that one may be somebody else's from now on, or we are on another network: the connection is
    /// reset, and a donor that can resume finds us under the new one.
    pub(super) fn settle_address(&mut self, now: Instant, tell: &mut dyn FnMut(NetworkFact)) {
        self.addresses.poll(&mut self.sockets, now);
        if let Some(decline) = self.addresses.take_decline() {
            send(&mut self.device, &decline.frame(), now);
        }
        if let Some(rivalry) = self.addresses.take_rivalry(now) {
            tell(self.contested(rivalry));
        }
        while let Some(arp) = self.addresses.due(now) {
            arp.send(&mut self.device, now);
        }
        let wanted = self.addresses.wanted();
        if wanted == self.assigned {
            return;
        }
        if self.must_stay() {
            match (self.assigned, wanted) {
                (Some(old), Some(new)) if is_other_lease(&old, &new) => {
                    self.readdress_donor(&old, &new, now);
                }
                _ => return,
            }
        }
        if let Some(lost) = self.address()
            && wanted.is_none_or(|wanted| wanted.cidr.address() != lost)
        {
            tell(NetworkFact::AddressLost {
                interface: self.name.clone(),
                address: lost.into(),
            });
        }
        self.assigned = wanted;
        self.assign();
        if let Some(assigned) = wanted {
            tell(self.configured(assigned));
        }
    }

    /// Resets the donor's connection while the address is still ours to speak from.
    fn readdress_donor(&mut self, old: &Assigned, new: &Assigned, now: Instant) {
        if self.readdressed.is_some() {
            return;
        }
        self.readdressed = Some(Readdressed {
            from: old.cidr.address(),
            to: new.cidr.address(),
        });
        for guest in self.listener.guests() {
            self.sockets.get_mut::<tcp::Socket>(guest).abort();
        }
        self.interface
            .poll_egress(now, &mut self.device, &mut self.sockets);
    }

    /// The change of address that ended the donor's connection, if one did.
    pub(crate) const fn readdressed(&self) -> Option<Readdressed> {
        self.readdressed
    }

    /// The same for IPv6. Nothing changes while a donor is connected here, for the same reason:
    /// what runs out then stays in use.
    pub(super) fn settle_ipv6(&mut self, now: Instant, tell: &mut dyn FnMut(NetworkFact)) {
        let Some(ip6) = &mut self.ip6 else {
            return;
        };
        while let Some(frame) = ip6.poll(now) {
            send(&mut self.device, &frame, now);
        }
        if let Some((address, by)) = ip6.take_conflict() {
            tell(NetworkFact::AddressTaken {
                interface: self.name.clone(),
                address: address.into(),
                by: Mac(by.0),
                unshown: 0,
            });
        }
        let wanted = ip6.in_use();
        let gateway = ip6.gateway();
        if (&wanted, gateway) == (&self.assigned6, self.gateway6) || self.must_stay() {
            return;
        }
        let before = std::mem::replace(&mut self.assigned6, wanted.clone());
        self.gateway6 = gateway;
        self.assign();
        for lost in before.iter().filter(|own| !wanted.contains(own)) {
            tell(NetworkFact::AddressLost {
                interface: self.name.clone(),
                address: lost.cidr.address().into(),
            });
        }
        for own in wanted.iter().filter(|own| !before.contains(own)) {
            tell(self.configured6(own));
        }
    }

    /// Gives the interface what is assigned.
    fn assign(&mut self) {
        let assigned = self.assigned;
        let assigned6 = &self.assigned6;
        self.interface.update_ip_addrs(|addresses| {
            addresses.clear();
            let ipv4 = assigned.map(|assigned| IpCidr::Ipv4(assigned.cidr));
            let ipv6 = assigned6.iter().map(|own| IpCidr::Ipv6(own.cidr));
            for cidr in ipv4.into_iter().chain(ipv6) {
                // So many fit.
                let _ = addresses.push(cidr);
            }
        });
        self.device
            .set_ours(assigned6.iter().map(|own| own.cidr.address()).collect());
        let routes = self.interface.routes_mut();
        routes.remove_default_ipv4_route();
        routes.remove_default_ipv6_route();
        // Two routes fit.
        if let Some(gateway) = assigned.and_then(|assigned| assigned.gateway) {
            let _ = routes.add_default_ipv4_route(gateway);
        }
        if let Some(gateway) = self.gateway6.filter(|_| !assigned6.is_empty()) {
            let _ = routes.add_default_ipv6_route(gateway);
        }
    }

    fn contested(&self, rivalry: Rivalry) -> NetworkFact {
        let interface = self.name.clone();
        let address = rivalry.address.into();
        let by = Mac(rivalry.by.0);
        if rivalry.is_kept {
            NetworkFact::AddressShared {
                interface,
                address,
                by,
                unshown: rivalry.unshown,
            }
        } else {
            NetworkFact::AddressTaken {
                interface,
                address,
                by,
                unshown: rivalry.unshown,
            }
        }
    }

    fn configured(&self, assigned: Assigned) -> NetworkFact {
        NetworkFact::AddressConfigured {
            interface: self.name.clone(),
            mac: Mac(self.mac.0),
            address: assigned.cidr.address().into(),
            prefix_len: assigned.cidr.prefix_len(),
            gateway: assigned.gateway.map(IpAddr::V4),
            source: assigned.source,
            lease: self.addresses.lease_time(),
        }
    }

    fn configured6(&self, own: &Assigned6) -> NetworkFact {
        let is_local = own.source == AddressSource::LinkLocal;
        NetworkFact::AddressConfigured {
            interface: self.name.clone(),
            mac: Mac(self.mac.0),
            address: own.cidr.address().into(),
            prefix_len: own.cidr.prefix_len(),
            gateway: self.gateway6.filter(|_| !is_local).map(IpAddr::V6),
            source: own.source,
            lease: None,
        }
    }
}

fn is_other_lease(old: &Assigned, new: &Assigned) -> bool {
    (old.source, new.source) == (AddressSource::Dhcp, AddressSource::Dhcp)
        && old.cidr.address() != new.cidr.address()
}
