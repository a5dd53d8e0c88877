//! What the fuzzer runs, and what the tests replay its findings with. Each function takes any bytes
//! and panics if a promise is broken.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use memtftp_proto::{
    Asked, Config, Datagram, Decoder, Endpoint, Limits, Mode, Packet, Route, SocketId, SocketRole,
    Source, Time, Transmit, encoded_len, negotiate,
};
use memtftp_store::Name;

use crate::simulation::library::Library;

/// One target: takes any bytes.
pub type Target = fn(&[u8]);

/// The targets by name, as `cargo fuzz run` and the corpus folders know them.
pub const TARGETS: [(&str, Target); 5] = [
    ("packet", packet),
    ("negotiate", negotiation),
    ("netascii", netascii),
    ("name", name),
    ("endpoint", endpoint),
];

/// Parsing never panics, and what it understood it writes so that it reads the same again.
pub fn packet(bytes: &[u8]) {
    let Ok(packet) = Packet::parse(bytes) else { return };
    let mut wire = Vec::new();
    packet.encode(&mut wire);
    assert_eq!(Packet::parse(&wire), Ok(packet));
}

/// An OACK has only what was asked, in that order, and never more than was asked.
pub fn negotiation(bytes: &[u8]) {
    let Some(([blksize, windowsize, bytes_in_window], request)) = bytes.split_first_chunk() else {
        return;
    };
    let Ok(Packet::Read(request) | Packet::Write(request)) = Packet::parse(request) else { return };
    let asked = Asked::new(request.options);
    let limits = Limits {
        max_blksize: u16::from(*blksize) * 256,
        max_windowsize: u16::from(*windowsize) * 64,
        max_window_bytes: u32::from(*bytes_in_window) * 1_000,
    };
    let agreed = negotiate(&asked, &limits, Some(77));
    assert!((8..=65_464).contains(&agreed.blksize) && agreed.windowsize >= 1);
    let mut order = request.options.iter();
    for (option, value) in agreed.options() {
        let name = option.name();
        assert!(order.any(|(asked, _)| asked.eq_ignore_ascii_case(name.as_bytes())), "{name}");
        if name != "tsize" {
            assert!(asked.value(option).is_some_and(|asked| value <= asked), "{name}={value}");
        }
    }
    match agreed.option_ack() {
        None => assert_eq!(agreed.options().count(), 0),
        Some(oack) => {
            let Ok(Packet::OptionAck(options)) = Packet::parse(oack.as_bytes()) else {
                panic!("an OACK that is none")
            };
            assert_eq!(options.as_bytes().len() + 2, oack.as_bytes().len());
            assert_eq!(options.iter().count(), agreed.options().count());
        }
    }
}

/// Whatever the blocks, decoding gives back what was encoded; anything decodes without a panic.
pub fn netascii(bytes: &[u8]) {
    let Some(([blksize, windowsize, step], file)) = bytes.split_first_chunk() else { return };
    let (blksize, windowsize) = (8 + u16::from(*blksize), 1 + u16::from(*windowsize % 8));
    let mut source = Source::new(file, Mode::Netascii, blksize, windowsize);
    let mut wire = Vec::new();
    for index in 1.. {
        let block = source.payload(index, 1);
        wire.extend_from_slice(block);
        if block.len() < usize::from(blksize) {
            break;
        }
        source.release(index);
    }
    assert_eq!(wire.len() as u64, encoded_len(file));
    let step = usize::from(*step) + 1;
    assert!(decode(&wire, step) == file);
    decode(file, step);
}

fn decode(wire: &[u8], step: usize) -> Vec<u8> {
    let mut decoder = Decoder::default();
    let mut file = Vec::new();
    let mut keep = |bytes: &[u8]| {
        file.extend_from_slice(bytes);
        Ok::<(), Infallible>(())
    };
    for block in wire.chunks(step) {
        let Ok(()) = decoder.decode(block, &mut keep);
    }
    let Ok(()) = decoder.finish(keep);
    file
}

/// A name that is accepted stays inside, is bounded, and is accepted unchanged again.
pub fn name(bytes: &[u8]) {
    let Ok(name) = Name::parse(bytes) else { return };
    let key = name.as_bytes();
    assert!(!key.is_empty() && key.len() <= Name::MAX);
    assert!(key.iter().all(|byte| *byte >= 0x20 && *byte != 0x7f && *byte != b'\\'));
    for part in key.split(|byte| *byte == b'/') {
        assert!(!part.is_empty() && part != b"." && part != b"..");
    }
    assert_eq!(Name::parse(key), Ok(name));
}

/// Any datagrams at any times, on any socket, from a few clients: the endpoint keeps its bounds and
/// forgets everything in the end.
pub fn endpoint(bytes: &[u8]) {
    let mut endpoint = Endpoint::new(config(), Library::new(100_000));
    for (name, len) in [("a", 0), ("b", 512), ("c", 3_000)] {
        endpoint.files().seed(Time::ZERO, name, vec![b'\n'; len]);
    }
    let mut now = Time::ZERO;
    let mut rest = bytes;
    while let Some(([pause, from, len], after)) = rest.split_first_chunk() {
        let len = usize::from(*len).min(after.len());
        let (payload, after) = after.split_at(len);
        rest = after;
        // Pauses from a millisecond to half a minute.
        now = now + Duration::from_millis(1 << (pause % 16));
        let peer = SocketAddr::from(([192, 0, 2, 7], 2_000 + u16::from(from % 4)));
        let route = Route { socket: SocketId(u16::from(from / 4 % 6)), peer, local: None };
        let directed = *pause < 250;
        endpoint.handle_datagram(now, &Datagram { route, directed, payload });
        settle(&mut endpoint, now);
    }
    while let Some(deadline) = endpoint.poll_timeout() {
        now = now.max(deadline);
        settle(&mut endpoint, now);
    }
    assert_eq!((endpoint.sessions(), endpoint.live_sessions()), (0, 0));
    let library = endpoint.files();
    assert_eq!(library.budget_used(), library.live_bytes());
}

fn config() -> Config {
    let transfers = (1..4).map(SocketId).collect();
    let single = SocketRole::Listening { transfers: vec![SocketId(1)] };
    let mut sockets = vec![SocketRole::Listening { transfers }, single];
    sockets.resize(4, SocketRole::Transfer);
    Config {
        sockets,
        max_sessions: 3,
        max_sessions_per_client: 2,
        max_uploads: 2,
        max_half_open: 2,
        max_requests_per_client: 8,
        max_transfer_time: Duration::from_secs(60),
        ..Config::default()
    }
}

fn settle(endpoint: &mut Endpoint<Library>, now: Time) {
    endpoint.handle_timeout(now);
    assert!(endpoint.poll_timeout().is_none_or(|deadline| deadline > now));
    let mut sent = 0;
    while let Some(transmit) = endpoint.poll_transmit(now) {
        sent += 1;
        // Three sessions with windows of 32,767 blocks at most, sent in runs.
        assert!(sent <= 3 * 1_100 + 16, "the endpoint does not come to rest");
        if let Transmit::Run(run) = transmit {
            let bytes = endpoint.payload(&run).map(<[u8]>::len);
            let full = usize::from(run.blocks) * usize::from(run.blksize);
            let short = full - usize::from(run.blksize);
            assert!(bytes.is_some_and(|len| (short..=full).contains(&len)));
        }
    }
    while endpoint.poll_record().is_some() {}
    assert!(endpoint.live_sessions() <= 3 && endpoint.half_open_sessions() <= 2);
    let library = endpoint.files();
    assert!(library.budget_used() <= library.budget_limit());
}
