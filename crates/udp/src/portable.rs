//! One datagram a system call, through `socket2`.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{Ipv6Addr, SocketAddr};

use socket2::{MsgHdr, SockAddr};

use crate::address::{canonical, for_socket};
use crate::cmsg::{Arrival, Control};
use crate::recv::{RecvBatch, STRIDE, Slot};
use crate::send::{Outgoing, Refused, SendBatch, Sent, drive};
use crate::socket::Socket;

/// Receives until nothing waits or the batch is full.
pub(crate) fn recv(socket: &Socket, batch: &mut RecvBatch) -> io::Result<usize> {
    for memory in batch.memory.chunks_exact_mut(STRIDE) {
        match recv_one(socket, memory) {
            Ok(slot) => batch.slots.push(slot),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            // What already came counts. A lasting error shows again at the next call.
            Err(_) if !batch.slots.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(batch.slots.len())
}

/// Sends one after the other.
pub(crate) fn send(socket: &Socket, batch: &SendBatch<'_>) -> Sent {
    drive(batch.len(), |from| match batch.rest(from).next() {
        Some(datagram) => send_one(socket, &datagram).map(|()| 1).map_err(Refused::one),
        None => Ok(0),
    })
}

fn recv_one(socket: &Socket, memory: &mut [u8]) -> io::Result<Slot> {
    loop {
        match recv_message(socket, memory) {
            // Not about this datagram: a signal, or news of one that was sent earlier.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::Interrupted
                        | io::ErrorKind::ConnectionRefused
                        | io::ErrorKind::ConnectionReset
                ) => {}
            result => return result,
        }
    }
}

fn send_one(socket: &Socket, datagram: &Outgoing<'_>) -> io::Result<()> {
    let name = SockAddr::from(for_socket(datagram.to.peer, socket.v6));
    let parts = [IoSlice::new(datagram.head), IoSlice::new(datagram.payload)];
    let mut control = Control::new();
    // A socket bound to one address leaves from it anyway.
    let source = datagram.to.local.filter(|_| socket.fixed.is_none());
    let length = source.map_or(0, |local| control.encode(datagram.to.peer, local));
    let mut message = MsgHdr::new().with_addr(&name).with_buffers(&parts);
    if length > 0 {
        message = message.with_control(control.bytes().get(..length).unwrap_or_default());
    }
    socket.inner.sendmsg(&message, 0).map(drop)
}

#[cfg(unix)]
fn recv_message(socket: &Socket, memory: &mut [u8]) -> io::Result<Slot> {
    use crate::cmsg;
    use socket2::{MaybeUninitSlice, MsgHdrMut};

    // Long enough for both families; the system writes the real one over it.
    let mut name = SockAddr::from(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)));
    let mut parts = [MaybeUninitSlice::new(writable(memory))];
    let mut control = Control::new();
    let mut message = MsgHdrMut::new().with_addr(&mut name).with_buffers(&mut parts);
    if socket.fixed.is_none() {
        message = message.with_control(writable(control.bytes_mut()));
    }
    let length = socket.inner.recvmsg(&mut message, 0)?;
    let described = message.control_len();
    let arrival =
        socket.fixed.or_else(|| cmsg::decode(control.bytes().get(..described).unwrap_or_default()));
    slot(length, &name, arrival)
}

#[cfg(not(unix))]
fn recv_message(socket: &Socket, memory: &mut [u8]) -> io::Result<Slot> {
    let (length, name) = socket.inner.recv_from(writable(memory))?;
    slot(length, &name, socket.fixed)
}

fn slot(length: usize, name: &SockAddr, arrival: Option<Arrival>) -> io::Result<Slot> {
    let peer = name.as_socket().ok_or(io::ErrorKind::InvalidData)?;
    let arrival = arrival.unwrap_or(Arrival::UNKNOWN);
    Ok(Slot { length, peer: canonical(peer), arrival, segment: 0 })
}

/// `bytes` in the type that `socket2` receives into.
fn writable(bytes: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    let length = bytes.len();
    // SAFETY: the same memory in a type of the same layout, borrowed as long. `socket2` passes it
    // to the system, which only writes initialised bytes, so `bytes` stays initialised.
    unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), length) }
}
