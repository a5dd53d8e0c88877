//! A client made by hand: any packet, from any address, in any order.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::DEADLINE;
use crate::packet::{Options, Packet, ack, data, rrq, wrq};

/// One socket of a client, and the server port that answered it last.
pub struct Raw {
    socket: UdpSocket,
    server: SocketAddr,
    tid: Option<SocketAddr>,
    last: Option<(Packet, SocketAddr)>,
}

impl Raw {
    /// A client on a free port of any address that reaches `server`.
    pub fn new(server: SocketAddr) -> Raw {
        let any: IpAddr = match server.ip() {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        Raw::from(any, server)
    }

    /// A client on a free port of this address.
    pub fn from(own: IpAddr, server: SocketAddr) -> Raw {
        let socket = UdpSocket::bind(SocketAddr::new(own, 0)).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.set_broadcast(true).unwrap();
        Raw { socket, server, tid: None, last: None }
    }

    /// The port of this client.
    pub fn port(&self) -> u16 {
        self.socket.local_addr().unwrap().port()
    }

    /// Where the server's last packet came from.
    ///
    /// # Panics
    /// There was none.
    pub fn tid(&self) -> SocketAddr {
        self.tid.expect("no packet has come yet")
    }

    /// Sends to the listening port.
    pub fn send(&self, bytes: &[u8]) {
        self.send_to(bytes, self.server);
    }

    /// Sends to wherever the last packet came from.
    pub fn reply(&self, bytes: &[u8]) {
        self.send_to(bytes, self.tid());
    }

    /// Sends anywhere.
    pub fn send_to(&self, bytes: &[u8], to: SocketAddr) {
        let sent = self.socket.send_to(bytes, to);
        assert_eq!(sent.unwrap_or_else(|error| panic!("sending to {to}: {error}")), bytes.len());
    }

    /// The next packet, be it the same as the one before.
    ///
    /// # Panics
    /// None comes.
    pub fn receive_any(&mut self) -> Packet {
        let mut buffer = vec![0; 65_536];
        let (len, from) = loop {
            match self.socket.recv_from(&mut buffer) {
                Ok(received) => break received,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("no packet came: {error}"),
            }
        };
        let packet = Packet::decode(&buffer[..len]);
        self.tid = Some(from);
        self.last = Some((packet.clone(), from));
        packet
    }

    /// Whether a packet has come that was not received yet.
    pub fn has_packet(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let peeked = self.socket.peek(&mut [0]);
        self.socket.set_nonblocking(false).unwrap();
        peeked.is_ok()
    }

    /// The next packet that is new: the server may repeat itself while a test takes its time. It
    /// never repeats an ERROR.
    pub fn receive(&mut self) -> Packet {
        loop {
            let last = self.last.clone();
            let packet = self.receive_any();
            let again = last.as_ref() == self.last.as_ref();
            if !again || matches!(packet, Packet::Error(..)) {
                return packet;
            }
        }
    }

    /// Waits for this packet from this port of the server, whatever comes from others.
    ///
    /// # Panics
    /// None comes, or this port sends an ERROR.
    pub fn expect(&mut self, tid: SocketAddr, wanted: &Packet) {
        loop {
            let packet = self.receive_any();
            if self.tid() == tid && packet == *wanted {
                return;
            }
            let ends = self.tid() == tid && matches!(packet, Packet::Error(..));
            assert!(!ends, "{packet:?} instead of {wanted:?}");
        }
    }

    /// Sends to the listening port and gives the answer.
    pub fn ask(&mut self, bytes: &[u8]) -> Packet {
        self.send(bytes);
        self.receive()
    }

    /// Replies and gives what comes back.
    pub fn say(&mut self, bytes: &[u8]) -> Packet {
        self.reply(bytes);
        self.receive()
    }

    /// Reads a file in lock-step. An ERROR is given back.
    pub fn get(&mut self, name: &str, options: Options<'_>) -> Result<Vec<u8>, Packet> {
        let first = self.ask(&rrq(name, options));
        self.get_from(first)
    }

    /// Goes on reading from the packet that came last, to the end of the file.
    ///
    /// # Panics
    /// Blocks come in the wrong order.
    pub fn get_from(&mut self, first: Packet) -> Result<Vec<u8>, Packet> {
        let mut blksize = 512;
        let mut packet = first;
        let mut file = Vec::new();
        let mut wanted = 1_u16;
        loop {
            packet = match packet {
                Packet::Oack(pairs) => {
                    blksize = blksize_of(&pairs);
                    self.say(&ack(0))
                }
                // Sent again, because our ACK was late on a busy machine.
                Packet::Data(block, _) if block == wanted.wrapping_sub(1) => self.receive(),
                Packet::Data(block, bytes) => {
                    assert_eq!(block, wanted, "blocks come in order");
                    file.extend_from_slice(&bytes);
                    wanted = wanted.wrapping_add(1);
                    if bytes.len() < blksize {
                        self.reply(&ack(block));
                        return Ok(file);
                    }
                    self.say(&ack(block))
                }
                other => return Err(other),
            };
        }
    }

    /// Writes a file in lock-step. An ERROR is given back.
    pub fn put(&mut self, name: &str, file: &[u8], options: Options<'_>) -> Result<(), Packet> {
        let first = self.ask(&wrq(name, options));
        self.put_from(first, file)
    }

    /// Goes on writing after the server's first answer.
    pub fn put_from(&mut self, first: Packet, file: &[u8]) -> Result<(), Packet> {
        let blksize = match first {
            Packet::Ack(0) => 512,
            Packet::Oack(pairs) => blksize_of(&pairs),
            other => return Err(other),
        };
        let last = file.len() / blksize;
        for at in 0..=last {
            let block = (at + 1) as u16;
            let end = file.len().min((at + 1) * blksize);
            let mut answer = self.say(&data(block, &file[at * blksize..end]));
            while answer == Packet::Ack(block.wrapping_sub(1)) {
                answer = self.receive();
            }
            match answer {
                Packet::Ack(acknowledged) if acknowledged == block => {}
                other => return Err(other),
            }
        }
        Ok(())
    }
}

fn blksize_of(pairs: &[(String, String)]) -> usize {
    let found = pairs.iter().find(|(name, _)| name == "blksize");
    found.map_or(512, |(_, value)| value.parse().unwrap())
}
