//! Limits of connections at one time: so many in all, and few of one address.
//!
//! One machine needs one or two connections. A stranger with one address cannot take the places of
//! a whole rack.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Connections that are answered at the same time; more wait in the kernel.
pub const AT_ONCE: usize = 64;
/// Connections of one address among them; more are closed.
pub const PER_ADDRESS: usize = 4;

/// Why a connection has no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// One will be free in a while.
    All,
    /// Its own address has them.
    Address,
}

/// The places that are taken, by address.
#[derive(Clone, Debug, Default)]
pub struct Places(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

/// One place; free again when dropped.
#[derive(Debug)]
pub struct Place {
    places: Places,
    address: IpAddr,
}

impl Places {
    /// Takes one.
    ///
    /// # Errors
    /// No place is free.
    pub fn take(&self, address: IpAddr) -> Result<Place, Full> {
        self.with(|taken| {
            let own = taken.get(&address).copied().unwrap_or(0);
            if own >= PER_ADDRESS {
                return Err(Full::Address);
            }
            if taken.values().sum::<usize>() >= AT_ONCE {
                return Err(Full::All);
            }
            taken.insert(address, own.saturating_add(1));
            Ok(())
        })?;
        Ok(Place {
            places: self.clone(),
            address,
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<IpAddr, usize>) -> T) -> T {
        // Nothing in here panics between two states.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.with(|taken| {
            if let Some(own) = taken.get_mut(&self.address) {
                *own = own.saturating_sub(1);
                if *own == 0 {
                    taken.remove(&self.address);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{AT_ONCE, Full, PER_ADDRESS, Places};
    use std::net::{IpAddr, Ipv4Addr};

    #[test]
    fn places_are_counted_in_all_and_by_address_and_come_back() {
        let places = Places::default();
        let address = |number| IpAddr::from(Ipv4Addr::from(number));
        let mut taken = Vec::new();
        for number in 0..(AT_ONCE / PER_ADDRESS) as u32 {
            for _ in 0..PER_ADDRESS {
                taken.push(places.take(address(number)).unwrap());
            }
            assert_eq!(places.take(address(number)).unwrap_err(), Full::Address);
        }
        assert_eq!(places.take(address(1 << 20)).unwrap_err(), Full::All);
        taken.pop();
        assert!(places.take(address(1 << 20)).is_ok());
        drop(taken);
        assert!(places.with(|taken| taken.is_empty()));
    }
}
