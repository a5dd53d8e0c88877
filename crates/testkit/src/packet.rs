//! Packets as a client sees them; apart from the server's own codec on purpose.

/// What a server can say.
#[derive(Clone, PartialEq, Eq)]
pub enum Packet {
    /// A block.
    Data(u16, Vec<u8>),
    /// All blocks up to this one arrived.
    Ack(u16),
    /// Code and text.
    Error(u16, String),
    /// Options with their values, in the order they stand.
    Oack(Vec<(String, String)>),
}

impl Packet {
    /// Reads a datagram, strictly.
    ///
    /// # Panics
    /// It is nothing that a server may send.
    pub fn decode(datagram: &[u8]) -> Packet {
        let odd = || -> ! { panic!("a server never sends {}", datagram.escape_ascii()) };
        match datagram {
            [0, 3, high, low, bytes @ ..] => {
                Packet::Data(u16::from_be_bytes([*high, *low]), bytes.to_vec())
            }
            [0, 4, high, low] => Packet::Ack(u16::from_be_bytes([*high, *low])),
            [0, 5, high, low, text @ .., 0] if !text.contains(&0) => {
                let text = std::str::from_utf8(text).unwrap_or_else(|_| odd());
                Packet::Error(u16::from_be_bytes([*high, *low]), text.to_owned())
            }
            [0, 6, options @ .., 0] => {
                let text = std::str::from_utf8(options).unwrap_or_else(|_| odd());
                let fields: Vec<&str> = text.split('\0').collect();
                let pairs = fields.chunks(2).map(|pair| match pair {
                    [name, value] => ((*name).to_owned(), (*value).to_owned()),
                    _ => odd(),
                });
                Packet::Oack(pairs.collect())
            }
            _ => odd(),
        }
    }

    /// An OACK with these options.
    pub fn oack(pairs: &[(&str, &str)]) -> Packet {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Packet::Oack(pairs.iter().map(owned).collect())
    }

    /// Code and text of an ERROR.
    ///
    /// # Panics
    /// It is another packet.
    pub fn refusal(self) -> (u16, String) {
        match self {
            Packet::Error(code, text) => (code, text),
            other => panic!("not refused: {other:?}"),
        }
    }
}

impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Packet::Data(block, bytes) => write!(f, "DATA {block} ({} bytes)", bytes.len()),
            Packet::Ack(block) => write!(f, "ACK {block}"),
            Packet::Error(code, text) => write!(f, "ERROR {code} {text:?}"),
            Packet::Oack(pairs) => write!(f, "OACK {pairs:?}"),
        }
    }
}

/// Options of a request.
pub type Options<'a> = &'a [(&'a str, &'a str)];

/// RRQ in octet mode.
pub fn rrq(name: impl AsRef<[u8]>, options: Options<'_>) -> Vec<u8> {
    request(1, name, "octet", options)
}

/// WRQ in octet mode.
pub fn wrq(name: impl AsRef<[u8]>, options: Options<'_>) -> Vec<u8> {
    request(2, name, "octet", options)
}

/// RRQ (1) or WRQ (2), made of any bytes.
pub fn request(
    opcode: u8,
    name: impl AsRef<[u8]>,
    mode: impl AsRef<[u8]>,
    options: Options<'_>,
) -> Vec<u8> {
    let mut bytes = vec![0, opcode];
    let options = options.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
    for field in [name.as_ref(), mode.as_ref()].into_iter().chain(options) {
        bytes.extend_from_slice(field);
        bytes.push(0);
    }
    bytes
}

/// DATA.
pub fn data(block: u16, bytes: &[u8]) -> Vec<u8> {
    [&[0, 3], &block.to_be_bytes()[..], bytes].concat()
}

/// ACK.
pub fn ack(block: u16) -> Vec<u8> {
    [&[0, 4], &block.to_be_bytes()[..]].concat()
}

/// ERROR.
pub fn error(code: u16, text: impl AsRef<[u8]>) -> Vec<u8> {
    [&[0, 5], &code.to_be_bytes()[..], text.as_ref(), &[0]].concat()
}
