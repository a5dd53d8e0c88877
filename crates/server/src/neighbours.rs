//! The hardware addresses of clients, as the system knows them.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use foldhash::quality::RandomState;
use thiserror::Error;

/// An Ethernet address: of the client itself, if it is on a network of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HardwareAddress(pub [u8; 6]);

impl HardwareAddress {
    /// Its bytes, in the order they are written.
    pub fn bytes(&self) -> [u8; 6] {
        self.0
    }
}

impl fmt::Display for HardwareAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.map(|byte| format!("{byte:02x}")).join(":"))
    }
}

/// Not a hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("give a hardware address like 52:54:00:12:34:56")]
pub struct HardwareAddressError;

impl FromStr for HardwareAddress {
    type Err = HardwareAddressError;

    /// Six bytes of two hexadecimal digits, with colons or dashes between them.
    fn from_str(text: &str) -> Result<HardwareAddress, HardwareAddressError> {
        let byte = |digits: &str| {
            let hexadecimal = digits.len() == 2 && digits.bytes().all(|d| d.is_ascii_hexdigit());
            u8::from_str_radix(digits, 16).ok().filter(|_| hexadecimal)
        };
        let bytes: Option<Vec<u8>> = text.split([':', '-']).map(byte).collect();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(HardwareAddress).ok_or(HardwareAddressError)
    }
}

/// The system's table of neighbours at one moment.
#[derive(Debug, Default)]
pub(crate) struct Neighbours(HashMap<(IpAddr, u32), HardwareAddress, RandomState>);

impl Neighbours {
    /// Asks the system. Blocks for that moment.
    pub(crate) fn read() -> io::Result<Neighbours> {
        system::read().map(Neighbours)
    }

    /// The hardware address behind a client's address.
    pub(crate) fn of(&self, client: SocketAddr) -> Option<HardwareAddress> {
        let scope = match client {
            SocketAddr::V6(client) if client.ip().is_unicast_link_local() => client.scope_id(),
            _ => 0,
        };
        self.0.get(&(client.ip(), scope)).copied()
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::collections::HashMap;
    use std::io;
    use std::net::IpAddr;

    use foldhash::quality::RandomState;
    use netlink_packet_core::{
        NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    };
    use netlink_packet_route::RouteNetlinkMessage;
    use netlink_packet_route::neighbour::{
        NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
    };
    use netlink_sys::protocols::NETLINK_ROUTE;
    use netlink_sys::{Socket, SocketAddr};

    use super::HardwareAddress;

    pub(super) fn read() -> io::Result<HashMap<(IpAddr, u32), HardwareAddress, RandomState>> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let question = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(question));
        message.finalize();
        let mut packet = vec![0; message.buffer_len()];
        message.serialize(&mut packet);
        socket.send(&packet, 0)?;

        let mut table = HashMap::default();
        loop {
            let (packet, _) = socket.recv_from_full()?;
            let mut rest = packet.as_slice();
            while !rest.is_empty() {
                let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                let length = usize::try_from(message.header.length).unwrap_or(usize::MAX);
                match message.payload {
                    NetlinkPayload::Done(_) => return Ok(table),
                    NetlinkPayload::Error(error) => return Err(error.to_io()),
                    NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(entry)) => {
                        table.extend(known(&entry));
                    }
                    _ => {}
                }
                // Messages are padded to four bytes; the last may lack its padding.
                rest = rest.get(length.max(1).next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }

    /// An entry whose owner has answered at some time.
    fn known(entry: &NeighbourMessage) -> Option<((IpAddr, u32), HardwareAddress)> {
        if matches!(entry.header.state, NeighbourState::Incomplete | NeighbourState::Failed) {
            return None;
        }
        let (mut address, mut hardware) = (None, None);
        for attribute in &entry.attributes {
            match attribute {
                NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => {
                    address = Some(IpAddr::from(*ip));
                }
                NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => {
                    address = Some(IpAddr::from(*ip));
                }
                NeighbourAttribute::LinkLocalAddress(bytes) => {
                    hardware = bytes.as_slice().try_into().ok().map(HardwareAddress);
                }
                _ => {}
            }
        }
        let scope = match address? {
            IpAddr::V6(ip) if ip.is_unicast_link_local() => entry.header.ifindex,
            _ => 0,
        };
        Some(((address?, scope), hardware.filter(|address| address.0 != [0; 6])?))
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::collections::HashMap;
    use std::io;
    use std::net::IpAddr;

    use foldhash::quality::RandomState;

    use super::HardwareAddress;

    pub(super) fn read() -> io::Result<HashMap<(IpAddr, u32), HardwareAddress, RandomState>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_addresses_are_read_and_written() {
        let address: HardwareAddress = "52:54:00:AB:cd:ef".parse().unwrap();
        assert_eq!(address, "52-54-00-ab-cd-ef".parse().unwrap());
        assert_eq!(address.to_string(), "52:54:00:ab:cd:ef");
        for wrong in
            ["", "52:54:00:ab:cd", "52:54:00:ab:cd:ef:01", "5:54:00:ab:cd:ef", "+1:54:00:ab:cd:ef"]
        {
            assert_eq!(wrong.parse::<HardwareAddress>(), Err(HardwareAddressError), "{wrong}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_tells_its_neighbours_and_a_stranger_is_none() {
        let neighbours = Neighbours::read().unwrap();
        assert_eq!(neighbours.of("192.0.2.77:69".parse().unwrap()), None);
    }
}
