//! A TFTP server inside tests: `cargo test --example in_a_test`.
//!
//! What is tested is [`back_up`], with which a switch saves its configuration. The tests below show
//! that it arrives, that a lost packet is made up for, and that an error is passed on.

use std::io::{self, Error, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use memtftp_server::{Server, WaitError};

/// Bytes in a block.
const BLOCK: usize = 512;

/// Writes a file to a TFTP server.
fn back_up(server: SocketAddr, name: &str, content: &[u8]) -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    let mut peer = ask(&socket, server, &[b"\0\x02", name.as_bytes(), b"\0octet\0"].concat(), 0)?;
    let whole = [content, &[]].concat();
    let mut blocks: Vec<&[u8]> = whole.chunks(BLOCK).collect();
    if whole.len().is_multiple_of(BLOCK) {
        // Only a short block ends a file.
        blocks.push(&[]);
    }
    for (block, bytes) in (1_u16..).zip(blocks) {
        let data = [&[0, 3], &block.to_be_bytes()[..], bytes].concat();
        peer = ask(&socket, peer, &data, block)?;
    }
    Ok(())
}

/// Sends a packet until its ACK comes; gives where that came from.
fn ask(socket: &UdpSocket, to: SocketAddr, packet: &[u8], block: u16) -> io::Result<SocketAddr> {
    let mut answer = [0; 600];
    for _ in 0..50 {
        socket.send_to(packet, to)?;
        let Ok((length, from)) = socket.recv_from(&mut answer) else { continue };
        match answer.get(..length) {
            Some([0, 4, high, low]) if u16::from_be_bytes([*high, *low]) == block => {
                return Ok(from);
            }
            Some([0, 5, _, _, text @ .., 0]) => {
                return Err(Error::other(String::from_utf8_lossy(text)));
            }
            _ => {}
        }
    }
    Err(ErrorKind::TimedOut.into())
}

/// The same outside of a test.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder().start()?;
    back_up(server.address(), "sw1.cfg", b"hostname sw1\n")?;
    let saved: Result<_, WaitError> = server.wait_for_upload("sw1.cfg", Duration::from_secs(10));
    println!("{} holds {} bytes", server.url("sw1.cfg"), saved?.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use memtftp_server::{ErrorCode, Fault, FaultPlan, Kind, Opcode, Outcome, Packets};

    use super::*;

    type Result = std::result::Result<(), Box<dyn std::error::Error>>;

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn a_configuration_is_saved() -> Result {
        let server = Server::builder().keep_records(10).start()?;
        back_up(server.address(), "sw1.cfg", &[b'!'; 2 * BLOCK])?;

        let saved = server.wait_for_upload("sw1.cfg", SOON)?;
        assert_eq!(saved.as_ref(), [b'!'; 2 * BLOCK]);
        let record = server.wait_for_record(SOON, |record| record.kind() == Kind::Write)?;
        assert!(record.is_complete(), "{record}");
        assert_eq!((record.file(), record.blocks()), ("sw1.cfg".into(), 3));
        Ok(())
    }

    #[test]
    fn a_lost_packet_is_made_up_for() -> Result {
        let acks = Packets::to_client().kind(Opcode::Ack);
        let plan = FaultPlan::seeded(1).on(acks.block(1).nth(1), Fault::Lost);
        let server = Server::builder().faults(plan).start()?;
        back_up(server.address(), "sw1.cfg", &[b'!'; 700])?;

        assert_eq!(server.wait_for_upload("sw1.cfg", SOON)?.len(), 700);
        assert_eq!(server.faults_met(), 1);
        Ok(())
    }

    #[test]
    fn an_error_is_passed_on() -> Result {
        let data = Packets::from_client().kind(Opcode::Data).file("sw1.cfg");
        let plan = FaultPlan::seeded(1).on(data.nth(2), Fault::error(3, "disk full"));
        let server = Server::builder().keep_records(10).faults(plan).start()?;

        let failed = back_up(server.address(), "sw1.cfg", &[b'!'; 700]);
        assert!(failed.is_err_and(|error| error.to_string() == "disk full"));
        let record = server.wait_for_record(SOON, |_| true)?;
        let refused = |code| matches!(record.outcome(), Outcome::Refused(no) if no.code == code);
        assert!(refused(ErrorCode::FULL), "{record}");
        assert!(server.get("sw1.cfg").is_none(), "half a file is no file");
        Ok(())
    }
}
