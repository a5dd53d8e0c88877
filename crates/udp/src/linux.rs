//! Whole batches a system call: `recvmmsg` and `sendmmsg`.
//!
//! Both take an array of message headers that point to the address, the bytes and the control
//! messages of each datagram. The arrays are allocated once and their pointers are set anew for
//! every call, so none is followed that outlived what it points to.

use std::io;
use std::iter::zip;
use std::mem;
use std::os::fd::AsRawFd;
use std::ptr;

use libc::{iovec, mmsghdr, msghdr};

use crate::BATCH;
use crate::address::{canonical, for_socket};
use crate::cmsg::{self, Arrival, Control};
use crate::name::Name;
use crate::recv::{RecvBatch, STRIDE, Slot};
use crate::send::{Outgoing, Refused, SendBatch, Sent, drive};
use crate::socket::Socket;

/// Receives what waits, with one call.
pub(crate) fn recv(socket: &Socket, batch: &mut RecvBatch) -> io::Result<usize> {
    let RecvBatch { memory, slots, arrays } = batch;
    arrays.point_to(memory, socket.fixed.is_none() || socket.coalesced);
    let count = loop {
        // SAFETY: every header of the slice was just pointed to an address, a buffer and control
        // memory of its own, all borrowed here until after the call, with their true lengths.
        let count = unsafe {
            libc::recvmmsg(
                socket.inner.as_raw_fd(),
                arrays.headers.as_mut_ptr(),
                arrays.headers.len() as _,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        };
        if let Ok(count) = usize::try_from(count) {
            break count;
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::WouldBlock => return Ok(0),
            // News of an earlier datagram is gone once told.
            io::ErrorKind::Interrupted | io::ErrorKind::ConnectionRefused => {}
            _ => return Err(error),
        }
    };
    slots.extend(arrays.received(count, socket));
    Ok(count)
}

/// Sends the batch with as few calls as the system lets it.
pub(crate) fn send(socket: &Socket, batch: &mut SendBatch<'_>) -> Sent {
    drive(batch.len(), |from| {
        loop {
            let (datagrams, arrays) = batch.parts(from);
            let count = arrays.point_to(datagrams, socket);
            match send_messages(socket, arrays.headers.get_mut(..count).unwrap_or_default()) {
                Ok(taken) => return Ok(arrays.joined.iter().take(taken).sum()),
                Err(error) => {
                    let joined = arrays.joined.first().copied().unwrap_or(1);
                    if joined == 1 || !is_about_joining(&error) {
                        return Err(Refused { error, count: joined });
                    }
                    // At once again, by itself: what is joined depends on what was refused.
                    let length = batch.rest(from).next().map_or(0, |datagram| datagram.len());
                    socket.segmentation.refused(error.raw_os_error(), length);
                    if socket.segmentation.longest() >= length {
                        return send_one_by_one(socket, batch, from, joined);
                    }
                }
            }
        }
    })
}

/// Sends `count` datagrams from the `from`th on without joining them.
fn send_one_by_one(
    socket: &Socket,
    batch: &mut SendBatch<'_>,
    from: usize,
    count: usize,
) -> Result<usize, Refused> {
    let (datagrams, arrays) = batch.parts(from);
    let alone = datagrams.take(count).map(|datagram| Outgoing { may_join: false, ..datagram });
    let count = arrays.point_to(alone, socket);
    send_messages(socket, arrays.headers.get_mut(..count).unwrap_or_default()).map_err(Refused::one)
}

/// Whether the system may take the datagrams one by one that it refused as one.
fn is_about_joining(error: &io::Error) -> bool {
    let codes = [libc::EIO, libc::EINVAL, libc::EMSGSIZE, libc::EOPNOTSUPP, libc::ENOPROTOOPT];
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

/// Passes messages to the system. The headers were pointed to what is sent in this function's
/// caller, where all of that is borrowed.
fn send_messages(socket: &Socket, headers: &mut [mmsghdr]) -> io::Result<usize> {
    // SAFETY: each header was just pointed to the address, the bytes and the control messages of
    // its datagrams by `SendArrays::point_to`. All are borrowed by the batch until after the call,
    // which only reads them, and writes the headers' own lengths.
    let taken = unsafe {
        libc::sendmmsg(
            socket.inner.as_raw_fd(),
            headers.as_mut_ptr(),
            headers.len() as _,
            libc::MSG_DONTWAIT as _,
        )
    };
    usize::try_from(taken).map_err(|_| io::Error::last_os_error())
}

/// What `recvmmsg` fills in.
pub(crate) struct RecvArrays {
    headers: Box<[mmsghdr]>,
    vectors: Box<[iovec]>,
    names: Box<[Name]>,
    controls: Box<[Control]>,
}

// SAFETY: the pointers are set before each system call and not followed after it, so it does not
// matter which thread holds them in between.
unsafe impl Send for RecvArrays {}

impl RecvArrays {
    pub(crate) fn new() -> RecvArrays {
        RecvArrays {
            headers: filled(empty_header),
            vectors: filled(empty_vector),
            names: filled(|| Name::EMPTY),
            controls: filled(Control::new),
        }
    }

    /// Points each header to its part of `memory`, and to control memory if that is wanted.
    fn point_to(&mut self, memory: &mut [u8], control_wanted: bool) {
        let places = zip(&mut self.names, &mut self.controls);
        let buffers = zip(&mut self.vectors, memory.chunks_exact_mut(STRIDE));
        for ((header, (name, control)), (vector, bytes)) in
            self.headers.iter_mut().zip(places).zip(buffers)
        {
            vector.iov_base = bytes.as_mut_ptr().cast();
            vector.iov_len = bytes.len();
            let header = &mut header.msg_hdr;
            header.msg_name = ptr::from_mut(name).cast();
            header.msg_namelen = Name::CAPACITY;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            let control = control.bytes_mut();
            header.msg_control = control.as_mut_ptr().cast();
            header.msg_controllen = if control_wanted { control.len() as _ } else { 0 };
        }
    }

    /// The first `count` datagrams, as the system described them to `socket`.
    fn received(&self, count: usize, socket: &Socket) -> impl Iterator<Item = Slot> {
        let described = zip(&self.headers, zip(&self.names, &self.controls));
        described.take(count).map(move |(header, (name, control))| {
            #[allow(clippy::unnecessary_cast, reason = "32 bits wide in some C libraries")]
            let written = header.msg_hdr.msg_controllen as usize;
            let control = control.bytes().get(..written).unwrap_or_default();
            let arrival = socket.fixed.or_else(|| cmsg::decode(control));
            let several = if socket.coalesced { cmsg::segment_length(control) } else { None };
            Slot {
                length: header.msg_len as usize,
                // A UDP socket names no other family; port 0 can not be answered.
                peer: name.decode().map_or_else(no_peer, canonical),
                arrival: arrival.unwrap_or(Arrival::UNKNOWN),
                segment: several.unwrap_or(0),
            }
        })
    }
}

/// What `sendmmsg` reads.
pub(crate) struct SendArrays {
    headers: Box<[mmsghdr]>,
    /// Two for each datagram; those of joined datagrams lie one behind the other.
    vectors: Box<[[iovec; 2]]>,
    names: Box<[Name]>,
    controls: Box<[Control]>,
    /// How many datagrams each header sends as one.
    joined: Box<[usize]>,
}

// SAFETY: as for `RecvArrays`.
unsafe impl Send for SendArrays {}

impl SendArrays {
    pub(crate) fn new() -> SendArrays {
        SendArrays {
            headers: filled(empty_header),
            vectors: filled(|| [empty_vector(), empty_vector()]),
            names: filled(|| Name::EMPTY),
            controls: filled(Control::new),
            joined: filled(|| 0),
        }
    }

    /// Points headers to the datagrams and returns how many there are.
    fn point_to<'a>(
        &mut self,
        datagrams: impl Iterator<Item = Outgoing<'a>>,
        socket: &Socket,
    ) -> usize {
        let longest = socket.segmentation.longest();
        let first_vector: *mut iovec = self.vectors.as_mut_ptr().cast();
        let places = zip(&mut self.names, &mut self.controls).zip(&mut self.joined);
        let mut places = self.headers.iter_mut().zip(places);
        let mut run: Option<Run<'_, 'a>> = None;
        let mut count = 0;
        for (index, (vectors, datagram)) in zip(&mut self.vectors, datagrams).enumerate() {
            *vectors = [vector_of(datagram.head), vector_of(datagram.payload)];
            if let Some(run) = &mut run
                && run.takes(&datagram, longest)
            {
                run.add();
                continue;
            }
            let Some((header, ((name, control), joined))) = places.next() else { break };
            let header = &mut header.msg_hdr;
            header.msg_namelen = name.encode(for_socket(datagram.to.peer, socket.v6));
            header.msg_name = ptr::from_mut(name).cast();
            header.msg_iov = first_vector.wrapping_add(2 * index);
            header.msg_iovlen = 2;
            // A socket bound to one address leaves from it anyway.
            let source = datagram.to.local.filter(|_| socket.fixed.is_none());
            let used = source.map_or(0, |local| control.encode(datagram.to.peer, local));
            header.msg_control = control.bytes_mut().as_mut_ptr().cast();
            header.msg_controllen = used as _;
            *joined = 1;
            run = Some(Run { first: datagram, header, control, used, joined });
            count += 1;
        }
        count
    }
}

/// Datagrams that leave as one, while they are collected.
struct Run<'s, 'a> {
    first: Outgoing<'a>,
    header: &'s mut msghdr,
    control: &'s mut Control,
    /// Bytes of control messages without the one about segments.
    used: usize,
    joined: &'s mut usize,
}

impl Run<'_, '_> {
    /// Whether the next datagram can leave with the others. A shorter last one could, too, but
    /// some kernels and devices get that wrong.
    fn takes(&self, next: &Outgoing<'_>, longest: usize) -> bool {
        let length = self.first.len();
        let most = MAX_JOINED.min(MAX_JOINED_BYTES / length.max(1));
        next.may_join
            && self.first.may_join
            && next.len() == length
            && length <= longest
            && next.to == self.first.to
            && *self.joined < most
    }

    fn add(&mut self) {
        *self.joined += 1;
        self.header.msg_iovlen += 2;
        if *self.joined == 2 {
            let length = u16::try_from(self.first.len()).unwrap_or(u16::MAX);
            self.header.msg_controllen = self.control.encode_segment(self.used, length) as _;
        }
    }
}

/// Datagrams that every kernel takes as one.
const MAX_JOINED: usize = 64;

/// Their bytes: what one datagram may hold.
const MAX_JOINED_BYTES: usize = 65_507;

fn filled<T>(make: impl FnMut() -> T) -> Box<[T]> {
    std::iter::repeat_with(make).take(BATCH).collect()
}

fn empty_header() -> mmsghdr {
    // SAFETY: a struct of integers and raw pointers, for which all zeros is a value. It can not be
    // written field by field, because some C libraries have private padding in it.
    let msg_hdr: msghdr = unsafe { mem::zeroed() };
    mmsghdr { msg_hdr, msg_len: 0 }
}

fn empty_vector() -> iovec {
    iovec { iov_base: ptr::null_mut(), iov_len: 0 }
}

/// The kernel does not write to what it sends, whatever the pointer's type says.
fn vector_of(bytes: &[u8]) -> iovec {
    iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

fn no_peer() -> std::net::SocketAddr {
    (std::net::Ipv4Addr::UNSPECIFIED, 0).into()
}

#[cfg(test)]
#[path = "linux_tests.rs"]
mod tests;
