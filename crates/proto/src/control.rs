//! Small packets that are kept by value: ACK, OACK, ERROR.

use std::fmt;

use crate::block::{BlockIndex, on_the_wire};
use crate::packet::{ErrorCode, Packet};

/// The longest text of an ERROR that we send. UEFI clients keep 127 characters.
const MAX_ERROR_TEXT: usize = 127;

/// Room for the longest packet of this kind: an ERROR with the longest text and its NUL. An OACK
/// with all four options at their longest values is shorter.
const CAPACITY: usize = 4 + MAX_ERROR_TEXT + 1;

/// One of our ACK, OACK or ERROR packets, ready to travel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ControlPacket {
    len: u8,
    bytes: [u8; CAPACITY],
}

impl ControlPacket {
    /// ACK of everything up to `index`.
    pub fn ack(index: BlockIndex) -> ControlPacket {
        ControlPacket::from(&Packet::Ack { block: on_the_wire(index) })
    }

    /// ERROR with a text of printable ASCII, cut to what UEFI clients can hold.
    pub fn error(code: ErrorCode, text: &str) -> ControlPacket {
        let printable = |byte: u8| if matches!(byte, b' '..=b'~') { byte } else { b'?' };
        let mut clean = [0; MAX_ERROR_TEXT];
        let mut len = 0;
        for (slot, byte) in clean.iter_mut().zip(text.bytes()) {
            *slot = printable(byte);
            len += 1;
        }
        ControlPacket::from(&Packet::Error { code, text: clean.get(..len).unwrap_or_default() })
    }

    /// The packet as it travels.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl From<&Packet<'_>> for ControlPacket {
    /// Only for packets that fit; the rest of a longer one is cut off.
    fn from(packet: &Packet<'_>) -> ControlPacket {
        let mut control = ControlPacket { len: 0, bytes: [0; CAPACITY] };
        packet.encode(&mut control);
        control
    }
}

impl Extend<u8> for ControlPacket {
    fn extend<I: IntoIterator<Item = u8>>(&mut self, bytes: I) {
        for byte in bytes {
            if let Some(slot) = self.bytes.get_mut(usize::from(self.len)) {
                *slot = byte;
                self.len += 1;
            }
        }
    }
}

impl fmt::Debug for ControlPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Packet::parse(self.as_bytes()))
    }
}
