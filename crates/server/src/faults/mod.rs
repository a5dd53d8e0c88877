//! Faults between the sockets and the endpoint, for tests.
//!
//! With a plan a worker gives every datagram, one at a time, to [`Faults`] instead of its endpoint
//! or its socket. Without one there is no [`Faults`], and nothing of this runs.

mod held;
mod plan;
mod rules;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use foldhash::quality::RandomState;
use memtftp_proto::{
    ControlPacket, Datagram, Endpoint, ErrorCode, Packet, Refusal, Time, Transmit,
};
use memtftp_store::Name;
use memtftp_udp::{Destination, SendBuffer};

use self::held::{Held, Parcel};
use self::plan::{Direction, Sight};
use crate::library::Library;
use crate::outbox::Outbox;

pub use self::plan::{Fault, FaultPlan, Packets};
pub(crate) use self::rules::Rules;

/// Client ports whose file is known, at most. Over it all are forgotten, and rules for a file
/// select only transfers that begin from then on.
const MAX_PORTS: usize = 16_384;

/// What the record of a transfer says that a fault has ended.
const REASON: &str = "by the fault plan";

/// The faults of one worker.
#[derive(Debug)]
pub(crate) struct Faults {
    rules: Arc<Rules>,
    /// What each client port asked for last.
    files: HashMap<SocketAddr, Name, RandomState>,
    held: Held,
}

/// What becomes of a packet now.
enum Fate {
    /// These go on, maybe none.
    Pass(Vec<Parcel>),
    /// The client gets an ERROR.
    Refuse(Parcel, Refusal),
}

/// Where packets go to.
pub(crate) struct Ends<'a> {
    pub(crate) endpoint: &'a mut Endpoint<Library>,
    pub(crate) outboxes: &'a [Outbox],
    pub(crate) buffer: &'a mut SendBuffer,
}

impl Faults {
    pub(crate) fn new(rules: Arc<Rules>) -> Faults {
        Faults { rules, files: HashMap::default(), held: Held::default() }
    }

    /// Takes a datagram that has arrived.
    pub(crate) fn receive(
        &mut self,
        now: Time,
        datagram: &Datagram<'_>,
        endpoint: &mut Endpoint<Library>,
    ) {
        self.learn(datagram);
        let &Datagram { route, directed, payload } = datagram;
        let direction = Direction::FromClient;
        match self.judge(now, Parcel { direction, route, directed, bytes: payload.to_vec() }) {
            Fate::Pass(parcels) => parcels.iter().for_each(|parcel| deliver(now, parcel, endpoint)),
            Fate::Refuse(_, refusal) => endpoint.refuse_datagram(now, datagram, refusal),
        }
    }

    /// Lets go on what was held back until now, and sends all that the endpoint has to send. Gives
    /// the number of datagrams that the system would not send; they are lost.
    pub(crate) fn send(&mut self, now: Time, ends: &mut Ends<'_>) -> u64 {
        let mut lost = self.release(now, ends);
        while let Some(transmit) = ends.endpoint.poll_transmit(now) {
            let mut number = 0;
            while let Some(bytes) = nth_datagram(ends.endpoint, &transmit, number) {
                number += 1;
                let (direction, route) = (Direction::ToClient, *transmit.route());
                let parcel = Parcel { direction, route, directed: true, bytes };
                match self.judge(now, parcel) {
                    Fate::Pass(parcels) => lost += ends.post_all(&parcels),
                    Fate::Refuse(parcel, refusal) => lost += ends.refuse(now, parcel, refusal),
                }
            }
        }
        lost
    }

    fn release(&mut self, now: Time, ends: &mut Ends<'_>) -> u64 {
        let mut lost = 0;
        while let Some(parcel) = self.held.due(now) {
            match parcel.direction {
                Direction::FromClient => deliver(now, &parcel, ends.endpoint),
                Direction::ToClient => lost += ends.post(&parcel),
            }
        }
        lost
    }

    /// When [`Faults::send`] is next needed, whether or not the endpoint has anything to send.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.held.next_at()
    }

    /// Remembers what a client asks for.
    fn learn(&mut self, datagram: &Datagram<'_>) {
        let Ok(Packet::Read(request) | Packet::Write(request)) = Packet::parse(datagram.payload)
        else {
            return;
        };
        if self.files.len() >= MAX_PORTS {
            self.files.clear();
        }
        match Name::parse(request.name) {
            Ok(name) => self.files.insert(datagram.route.peer, name),
            Err(_) => self.files.remove(&datagram.route.peer),
        };
    }

    fn judge(&mut self, now: Time, parcel: Parcel) -> Fate {
        let packet = Packet::parse(&parcel.bytes).ok();
        let sight = Sight {
            direction: parcel.direction,
            kind: packet.map(|packet| packet.opcode()),
            block: match packet {
                Some(Packet::Data { block, .. } | Packet::Ack { block }) => Some(block),
                _ => None,
            },
            client: parcel.route.peer,
            file: self.files.get(&parcel.route.peer),
        };
        let Some((fault, random)) = self.rules.judge(&sight) else {
            return self.pass(parcel, 1);
        };
        match fault {
            Fault::Lost => {}
            Fault::Late(delay) => self.held.delay(now, *delay, parcel),
            Fault::Swapped => self.held.swap(now, parcel),
            Fault::Twice => return self.pass(parcel, 2),
            Fault::Damaged => {
                let at = random as usize % parcel.bytes.len().max(1);
                return self.pass(damaged(parcel, at, random), 1);
            }
            Fault::DamagedAt(at) => return self.pass(damaged(parcel, *at, random), 1),
            Fault::Error { code, text } => {
                let refusal = Refusal::new(ErrorCode(*code), text.clone());
                return Fate::Refuse(parcel, refusal.because(format!("{text} ({REASON})")));
            }
        }
        Fate::Pass(Vec::new())
    }

    /// Lets a packet go on so many times, and behind it those that it overtakes.
    fn pass(&mut self, parcel: Parcel, times: usize) -> Fate {
        let overtaken = self.held.overtaken(&parcel);
        let mut parcels = vec![parcel; times];
        parcels.extend(overtaken);
        Fate::Pass(parcels)
    }
}

impl Ends<'_> {
    /// Tells the client no in the place of a packet, which it does not get.
    fn refuse(&mut self, now: Time, mut parcel: Parcel, refusal: Refusal) -> u64 {
        let answer = ControlPacket::error(refusal.code, &refusal.text);
        if matches!(Packet::parse(&parcel.bytes), Ok(Packet::Error { .. })) {
            return self.post(&parcel);
        }
        if self.endpoint.refuse_transfer(now, &parcel.route, refusal) {
            // The endpoint offers the ERROR next.
            return 0;
        }
        // The transfer is over, or there was none: only the packet is another.
        parcel.bytes = answer.as_bytes().to_vec();
        self.post(&parcel)
    }

    fn post_all(&mut self, parcels: &[Parcel]) -> u64 {
        parcels.iter().map(|parcel| self.post(parcel)).sum()
    }

    /// Sends one datagram; gives 1 if it is lost. A socket without room is not waited for: in a
    /// test it has some.
    fn post(&mut self, parcel: &Parcel) -> u64 {
        let Some((header, payload)) = parcel.bytes.split_first_chunk() else { return 1 };
        let Some(outbox) = self.outboxes.get(usize::from(parcel.route.socket.0)) else { return 1 };
        let to = Destination { peer: parcel.route.peer, local: parcel.route.local };
        let mut batch = self.buffer.start();
        batch.push(to, *header, payload);
        let sent = outbox.socket().send(&mut batch);
        u64::from(sent.blocked || sent.failed > 0)
    }
}

fn deliver(now: Time, parcel: &Parcel, endpoint: &mut Endpoint<Library>) {
    let Parcel { route, directed, ref bytes, .. } = *parcel;
    endpoint.handle_datagram(now, &Datagram { route, directed, payload: bytes });
}

/// One of the datagrams that `transmit` stands for, if it has so many and they are still wanted.
fn nth_datagram(
    endpoint: &Endpoint<Library>,
    transmit: &Transmit,
    number: usize,
) -> Option<Vec<u8>> {
    match transmit {
        Transmit::Control { packet, .. } => (number == 0).then(|| packet.as_bytes().to_vec()),
        Transmit::Run(run) => {
            let (header, payload) = run.datagrams(endpoint.payload(run)?).nth(number)?;
            Some([&header, payload].concat())
        }
    }
}

/// The same with another byte at `at`, or else at the end.
fn damaged(mut parcel: Parcel, at: usize, random: u64) -> Parcel {
    let last = parcel.bytes.len().saturating_sub(1);
    if let Some(byte) = parcel.bytes.get_mut(at.min(last)) {
        // Any value but the one it has.
        *byte ^= u8::try_from((random >> 32) % 255).unwrap_or_default() + 1;
    }
    parcel
}
