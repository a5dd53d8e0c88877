//! The addresses of this machine and what fits through them.

use std::collections::HashMap;
use std::net::IpAddr;

/// The MTU of an interface that we know nothing about: Ethernet's.
const USUAL_MTU: u32 = 1_500;

/// The MTU of loopback where the system does not say.
const LOOPBACK_MTU: u32 = 65_536;

/// What IP, UDP and TFTP headers take of a packet, with room for a tunnel or VLAN tag.
const OVERHEAD_V4: u32 = 32;
const OVERHEAD_V6: u32 = 52;

/// The addresses of this machine with their MTUs, as they were when it was made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interfaces {
    mtu: HashMap<IpAddr, u32>,
}

impl Interfaces {
    /// Asks the system. Addresses that come later count as Ethernet's.
    pub(crate) fn read() -> Interfaces {
        let found = if_addrs::get_if_addrs().unwrap_or_else(|error| {
            tracing::warn!("cannot list the network interfaces: {error}");
            Vec::new()
        });
        let mtu = found.iter().map(|found| (found.ip(), mtu_of(&found.name, found.is_loopback())));
        Interfaces { mtu: mtu.collect() }
    }

    /// The addresses, IPv4 first. Link-local ones are left out: they mean nothing without a scope.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        let link_local = |address: &IpAddr| match address {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        };
        let mut addresses: Vec<IpAddr> =
            self.mtu.keys().filter(|address| !link_local(address)).copied().collect();
        addresses.sort();
        addresses
    }

    /// The largest block that leaves from `local` in one piece.
    pub(crate) fn max_blksize(&self, local: Option<IpAddr>) -> u16 {
        let overhead = match local {
            Some(IpAddr::V6(_)) => OVERHEAD_V6,
            _ => OVERHEAD_V4,
        };
        let known = local.and_then(|local| self.mtu.get(&local).copied());
        let mtu = known.unwrap_or_else(|| {
            // All of 127.0.0.0/8 is ours, but only one address of it is listed.
            if local.is_some_and(|local| local.is_loopback()) { LOOPBACK_MTU } else { USUAL_MTU }
        });
        u16::try_from(mtu.saturating_sub(overhead)).unwrap_or(u16::MAX)
    }
}

fn mtu_of(name: &str, loopback: bool) -> u32 {
    let file = format!("/sys/class/net/{name}/mtu");
    let said = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
    said.unwrap_or(if loopback { LOOPBACK_MTU } else { USUAL_MTU })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_fit_the_interface() {
        let ip = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        let known = [("192.0.2.1", 1_280), ("2001:db8::1", 9_000)];
        let mtu = known.iter().map(|(address, mtu)| (address.parse().unwrap(), *mtu)).collect();
        let interfaces = Interfaces { mtu };
        assert_eq!(interfaces.max_blksize(ip("192.0.2.1")), 1_248);
        assert_eq!(interfaces.max_blksize(ip("2001:db8::1")), 8_948);
        assert_eq!(interfaces.max_blksize(ip("192.0.2.9")), 1_468);
        assert_eq!(interfaces.max_blksize(ip("2001:db8::9")), 1_448);
        assert_eq!(interfaces.max_blksize(ip("127.0.0.9")), 65_504);
        assert_eq!(interfaces.max_blksize(None), 1_468);
    }

    #[test]
    fn the_system_lists_loopback() {
        let addresses = Interfaces::read().addresses();
        assert!(addresses.contains(&"127.0.0.1".parse().unwrap()), "{addresses:?}");
    }
}
