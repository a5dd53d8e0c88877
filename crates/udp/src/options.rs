//! Socket options the standard library and `socket2` do not set.

use std::io;

use socket2::Socket;

/// Usable bytes of a socket's kernel buffers.
///
/// Every queued datagram is charged with the kernel's bookkeeping too, so small ones fill a buffer
/// several times faster than their payload suggests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffers {
    /// Bytes granted for datagrams that wait to be read.
    pub recv: usize,
    /// Bytes granted for datagrams that wait to leave.
    pub send: usize,
}

/// Asks for buffers of `recv` and `send` bytes, 0 for the system's own size, and tells what was
/// granted. Less than asked is no error: the system has a limit.
pub(crate) fn set_buffers(socket: &Socket, recv: usize, send: usize) -> io::Result<Buffers> {
    if recv > 0 && !force_recv_buffer(socket, recv) {
        halve_until(recv, |size| socket.set_recv_buffer_size(size));
    }
    if send > 0 && !force_send_buffer(socket, send) {
        halve_until(send, |size| socket.set_send_buffer_size(size));
    }
    buffers(socket)
}

/// What is granted now.
pub(crate) fn buffers(socket: &Socket) -> io::Result<Buffers> {
    // Linux doubles the size it is asked for to cover its bookkeeping, and reports the double.
    let share = if cfg!(any(target_os = "linux", target_os = "android")) { 2 } else { 1 };
    Ok(Buffers {
        recv: socket.recv_buffer_size()? / share,
        send: socket.send_buffer_size()? / share,
    })
}

/// Linux cuts a size over its limit down by itself; other systems refuse it.
fn halve_until(mut size: usize, mut set: impl FnMut(usize) -> io::Result<()>) {
    while size >= SMALLEST_BUFFER && set(size).is_err() {
        size /= 2;
    }
}

/// Below this the system's own size is as good.
const SMALLEST_BUFFER: usize = 4096;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod imp {
    use super::*;
    use libc::{IPPROTO_IP, IPPROTO_IPV6};

    /// Past the limit of ordinary users; `false` when that is not permitted.
    pub(crate) fn force_recv_buffer(socket: &Socket, size: usize) -> bool {
        set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, clamp(size)).is_ok()
    }

    /// Past the limit of ordinary users; `false` when that is not permitted.
    pub(crate) fn force_send_buffer(socket: &Socket, size: usize) -> bool {
        set(socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, clamp(size)).is_ok()
    }

    /// Lets routers fragment: no don't-fragment bit, and no datagram refused for its size.
    ///
    /// Boot firmware is known to stumble over the bit.
    pub(crate) fn allow_fragments(socket: &Socket, v6: bool) -> io::Result<()> {
        // The IPv4 option counts on an IPv6 socket as well, for its IPv4 peers.
        set(socket, IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT)?;
        if v6 {
            set(socket, IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DONT)?;
        }
        Ok(())
    }

    /// Makes each datagram tell the address it was sent to.
    pub(crate) fn report_local(socket: &Socket, v6: bool) -> io::Result<()> {
        if v6 {
            set(socket, IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
        }
        // On a dual-stack socket too: only this form shows a subnet broadcast.
        set(socket, IPPROTO_IP, libc::IP_PKTINFO, 1)
    }

    /// Lets a socket be bound to an address that no interface has.
    pub(crate) fn allow_absent(socket: &Socket, v6: bool) -> io::Result<()> {
        if v6 { socket.set_freebind_v6(true) } else { socket.set_freebind_v4(true) }
    }

    /// Whether the kernel can cut a run of equal datagrams apart.
    pub(crate) fn can_segment(socket: &Socket) -> bool {
        // Off for the socket as a whole: each run says its own length.
        set(socket, libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok()
    }

    /// Takes equal datagrams of one peer that came one after the other as one; `false` where the
    /// kernel cannot.
    pub(crate) fn coalesce(socket: &Socket) -> bool {
        set(socket, libc::SOL_UDP, libc::UDP_GRO, 1).is_ok()
    }

    fn clamp(size: usize) -> i32 {
        // The kernel doubles the number.
        i32::try_from(size).unwrap_or(i32::MAX).min(i32::MAX / 2)
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::{BindOptions, Socket as Bound};
        use std::os::fd::AsRawFd;

        fn get(socket: &Socket, level: i32, name: i32) -> i32 {
            let mut value = -1_i32;
            let mut length = size_of::<i32>() as libc::socklen_t;
            let target = (&raw mut value).cast();
            // SAFETY: `value` and `length` outlive the call and fit each other.
            let code =
                unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, target, &mut length) };
            assert_eq!(code, 0, "{}", io::Error::last_os_error());
            value
        }

        #[test]
        fn fragments_are_allowed_for_both_families() {
            for address in ["0.0.0.0:0", "[::]:0", "127.0.0.1:0", "[::1]:0"] {
                let bound = Bound::bind(address.parse().unwrap(), &BindOptions::default()).unwrap();
                let socket = &bound.inner;
                let v4 = get(socket, IPPROTO_IP, libc::IP_MTU_DISCOVER);
                assert_eq!(v4, libc::IP_PMTUDISC_DONT, "{address}");
                if bound.v6 {
                    let v6 = get(socket, IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER);
                    assert_eq!(v6, libc::IPV6_PMTUDISC_DONT, "{address}");
                }
            }
        }

        #[test]
        fn neither_error_queue_nor_broadcast_nor_address_reuse_is_on() {
            let address = "[::]:0".parse().unwrap();
            let bound = Bound::bind(address, &BindOptions::default()).unwrap();
            let socket = &bound.inner;
            assert_eq!(get(socket, IPPROTO_IP, libc::IP_RECVERR), 0);
            assert_eq!(get(socket, IPPROTO_IPV6, libc::IPV6_RECVERR), 0);
            assert_eq!(get(socket, libc::SOL_SOCKET, libc::SO_BROADCAST), 0);
            assert_eq!(get(socket, libc::SOL_SOCKET, libc::SO_REUSEADDR), 0);
            assert_eq!(get(socket, libc::SOL_SOCKET, libc::SO_REUSEPORT), 0);
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod imp {
    use super::*;

    pub(crate) fn force_recv_buffer(_socket: &Socket, _size: usize) -> bool {
        false
    }

    pub(crate) fn force_send_buffer(_socket: &Socket, _size: usize) -> bool {
        false
    }

    /// Not known how.
    pub(crate) fn allow_absent(_socket: &Socket, _v6: bool) -> io::Result<()> {
        Err(io::ErrorKind::AddrNotAvailable.into())
    }

    pub(crate) fn can_segment(_socket: &Socket) -> bool {
        false
    }

    pub(crate) fn coalesce(_socket: &Socket) -> bool {
        false
    }

    /// Fragments are allowed unless a program forbids them.
    pub(crate) fn allow_fragments(_socket: &Socket, _v6: bool) -> io::Result<()> {
        Ok(())
    }

    /// Makes each datagram tell the address it was sent to.
    #[cfg(target_vendor = "apple")]
    pub(crate) fn report_local(socket: &Socket, v6: bool) -> io::Result<()> {
        if v6 {
            // Covers the IPv4 peers of a dual-stack socket, which takes no IPv4 option.
            set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)
        } else {
            set(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)
        }
    }

    /// Not known how: datagrams stay without their local address.
    #[cfg(not(target_vendor = "apple"))]
    pub(crate) fn report_local(_socket: &Socket, _v6: bool) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) use imp::{allow_absent, allow_fragments, can_segment, coalesce, report_local};
use imp::{force_recv_buffer, force_send_buffer};

/// Sets an option that is one integer.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn set(socket: &Socket, level: i32, name: i32, value: i32) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    let source = (&raw const value).cast();
    let length = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the descriptor is open as long as `socket`, and `source` points to `length` bytes
    // that outlive the call.
    let code = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, source, length) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
