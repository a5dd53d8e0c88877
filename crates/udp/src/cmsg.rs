//! Control messages: which local address a datagram came to, and which one it leaves from.
//!
//! Both directions are byte code over a buffer. The layout comes from libc's `CMSG_*` arithmetic
//! and structs, which are right for each platform; nothing here follows a pointer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use libc::{IPPROTO_IP, IPPROTO_IPV6, c_int, cmsghdr, in_pktinfo, in6_pktinfo};

use crate::address::Cast;

/// Where a datagram arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// The address of this host to answer from.
    pub(crate) local: Option<IpAddr>,
    pub(crate) cast: Cast,
}

impl Arrival {
    /// What is assumed when the system says nothing.
    pub(crate) const UNKNOWN: Arrival = Arrival { local: None, cast: Cast::Unicast };

    /// Of a datagram on a socket bound to `address`.
    pub(crate) fn at(address: IpAddr) -> Arrival {
        let cast = Cast::of(address);
        Arrival { local: (cast == Cast::Unicast).then_some(address), cast }
    }
}

/// Memory for the control messages of one datagram.
#[derive(Clone)]
#[repr(C, align(8))]
pub(crate) struct Control([u8; CAPACITY]);

impl Control {
    pub(crate) fn new() -> Control {
        Control([0; CAPACITY])
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Writes the message that makes a datagram to `peer` leave from `local` and returns its
    /// length in bytes: 0 when the two are not of one family, which leaves the choice to the
    /// system.
    ///
    /// The kind of message follows the peer, not the socket: an IPv4 peer of a dual-stack socket
    /// takes the IPv4 one.
    pub(crate) fn encode(&mut self, peer: SocketAddr, local: IpAddr) -> usize {
        match (peer.ip().to_canonical(), local.to_canonical()) {
            (IpAddr::V4(_), IpAddr::V4(local)) => {
                // An interface index would change the route the datagram takes: only the source
                // is wanted.
                let info = in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(local.octets()) },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                self.write(0, IPPROTO_IP, libc::IP_PKTINFO, info)
            }
            (IpAddr::V6(_), IpAddr::V6(local)) => {
                // The scope of a link-local peer already names the interface.
                let info = in6_pktinfo {
                    ipi6_addr: libc::in6_addr { s6_addr: local.octets() },
                    ipi6_ifindex: 0,
                };
                self.write(0, IPPROTO_IPV6, libc::IPV6_PKTINFO, info)
            }
            _ => 0,
        }
    }

    /// Writes, behind `used` bytes, the message that cuts what is sent into datagrams of `length`
    /// bytes, and returns the length of all.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn encode_segment(&mut self, used: usize, length: u16) -> usize {
        used + self.write(used, libc::SOL_UDP, libc::UDP_SEGMENT, length)
    }

    /// Writes a message at `start` and returns its length.
    fn write<T: Plain>(&mut self, start: usize, level: c_int, kind: c_int, data: T) -> usize {
        let place = self.0.get_mut(start..).unwrap_or_default();
        let Some((head, body)) = place.split_at_mut_checked(HEADER) else { return 0 };
        let mut header: cmsghdr = zeroed();
        header.cmsg_level = level;
        header.cmsg_type = kind;
        header.cmsg_len = (HEADER + size_of::<T>()) as _;
        if store(head, header) && store(body, data) { space(size_of::<T>()) } else { 0 }
    }
}

/// Reads the messages of a received datagram; `None` when none of them tells the address.
pub(crate) fn decode(control: &[u8]) -> Option<Arrival> {
    let mut found = None;
    for (level, kind, data) in messages(control) {
        match (level, kind) {
            // A dual-stack socket may report an IPv4 datagram in both forms. Only this one tells
            // a subnet broadcast apart, so it wins.
            (IPPROTO_IP, libc::IP_PKTINFO) => return load(data).map(arrival_v4),
            (IPPROTO_IPV6, libc::IPV6_PKTINFO) => found = load(data).map(arrival_v6).or(found),
            _ => {}
        }
    }
    found
}

/// The length of each datagram, of all but the last, when several came as one.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn segment_length(control: &[u8]) -> Option<usize> {
    let gro =
        |(level, kind, _): &(c_int, c_int, _)| (*level, *kind) == (libc::SOL_UDP, libc::UDP_GRO);
    let (_, _, data) = messages(control).find(gro)?;
    usize::try_from(load::<c_int>(data)?).ok().filter(|length| *length > 0)
}

/// The messages as level, kind and data.
fn messages(mut control: &[u8]) -> impl Iterator<Item = (c_int, c_int, &[u8])> {
    std::iter::from_fn(move || {
        let header = load::<cmsghdr>(control)?;
        #[allow(clippy::unnecessary_cast, reason = "32 bits wide in some C libraries")]
        let data = control.get(HEADER..header.cmsg_len as usize)?;
        control = control.get(space(data.len())..).unwrap_or_default();
        Some((header.cmsg_level, header.cmsg_type, data))
    })
}

fn arrival_v4(info: in_pktinfo) -> Arrival {
    let address = Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes());
    let own = Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes());
    // Linux sets both to the same address unless the datagram was sent to a broadcast or multicast
    // address; then `own` is that of the interface. This is the only sign of a subnet broadcast. It
    // is missing on a datagram that came before the socket was asked to tell.
    let told = cfg!(any(target_os = "linux", target_os = "android")) && !own.is_unspecified();
    let cast = match Cast::of(address.into()) {
        Cast::Unicast if told && own != address => Cast::Broadcast,
        Cast::Unicast => return Arrival { local: Some(address.into()), cast: Cast::Unicast },
        group => group,
    };
    let is_own = Cast::of(own.into()) == Cast::Unicast && own != address;
    let usable = is_own && !own.is_unspecified();
    Arrival { local: usable.then_some(own.into()), cast }
}

fn arrival_v6(info: in6_pktinfo) -> Arrival {
    Arrival::at(Ipv6Addr::from(info.ipi6_addr.s6_addr).to_canonical())
}

/// A struct of the C library that is the same as its bytes.
///
/// # Safety
///
/// Every bit pattern is a valid value, and there is no padding.
unsafe trait Plain: Copy {}

// SAFETY: integers only; where the C struct has a hole, libc declares it as a field.
unsafe impl Plain for cmsghdr {}
// SAFETY: integers.
unsafe impl Plain for c_int {}
// SAFETY: integers.
unsafe impl Plain for u16 {}
// SAFETY: three 32-bit integers.
unsafe impl Plain for in_pktinfo {}
// SAFETY: sixteen bytes and a 32-bit integer.
unsafe impl Plain for in6_pktinfo {}

/// The value at the start of `bytes`; `None` when they are too few.
fn load<T: Plain>(bytes: &[u8]) -> Option<T> {
    let bytes = bytes.get(..size_of::<T>())?;
    // SAFETY: the slice holds `size_of::<T>()` bytes, any bytes are a `T`, alignment is not needed.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// Puts `value` at the start of `bytes`; `false` when they are too few.
fn store<T: Plain>(bytes: &mut [u8], value: T) -> bool {
    let Some(bytes) = bytes.get_mut(..size_of::<T>()) else { return false };
    // SAFETY: the slice holds `size_of::<T>()` bytes, a `T` has no padding that would leave bytes
    // uninitialised, alignment is not needed.
    unsafe { bytes.as_mut_ptr().cast::<T>().write_unaligned(value) };
    true
}

fn zeroed<T: Plain>() -> T {
    // SAFETY: every bit pattern is a `T`.
    unsafe { std::mem::zeroed() }
}

/// Bytes a message with `data` bytes takes, the gap to the next one included.
const fn space(data: usize) -> usize {
    // SAFETY: plain arithmetic.
    unsafe { libc::CMSG_SPACE(data as u32) as usize }
}

/// Bytes from the start of a message to its data.
// SAFETY: plain arithmetic.
const HEADER: usize = unsafe { libc::CMSG_LEN(0) as usize };

/// Bytes of a [`Control`].
const CAPACITY: usize = 96;

const _: () = {
    // A dual-stack socket reports both forms, and with them the length of a datagram when several
    // came as one. None of these may be cut off.
    let both = space(size_of::<in_pktinfo>()) + space(size_of::<in6_pktinfo>());
    assert!(CAPACITY >= both + space(size_of::<c_int>()));
};

#[cfg(test)]
#[path = "cmsg_tests.rs"]
mod tests;
