//! One client's request while it is served, and for a while after.

use std::time::Duration;

use crate::counters::DropReason;
use crate::files::{FileRequest, Files};
use crate::negotiate::{Agreed, Asked, TftpOption};
use crate::packet::Packet;
use crate::receiver::{Dally, Receiver};
use crate::record::{Kind, Outcome, Record};
use crate::request::{Mode, Request};
use crate::route::{Route, SessionId};
use crate::sender::Sender;
use crate::time::Time;
use crate::timer::Filed;

/// How long storage may take for an answer that comes later.
const STORAGE_PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Session<F: Files> {
    pub(super) route: Route,
    pub(super) kind: Kind,
    pub(super) mode: Mode,
    /// The datagram that asked, which is also how a repeat of it is known.
    pub(super) request: Box<[u8]>,
    pub(super) agreed: Agreed,
    pub(super) started: Time,
    pub(super) repeats: u32,
    pub(super) state: State<F>,
    /// When a finished session is forgotten.
    pub(super) forget_at: Time,
    /// In the queue of sessions that may have something to send.
    pub(super) queued: bool,
    /// The client has not answered our first packet; see [`Session::is_half_open`].
    pub(super) half_open: bool,
    /// A newer session of this client.
    pub(super) rival: Option<SessionId>,
    pub(super) filed: Filed,
}

pub(super) enum State<F: Files> {
    /// A request in the name of a client whose transfer on the same port was heard of a moment ago:
    /// storage is not asked before it has been quiet until then.
    Doubted { until: Time },
    /// Storage has not answered the request yet.
    Opening,
    /// A read.
    Sending(Sender<F::Content>),
    /// A write.
    Receiving(Receiver, F::Upload),
    /// The last block is there; storage has not answered the commit yet.
    Committing(Receiver),
    /// Finished: committed, the last ACK is repeated when asked for.
    Dallying(Dally<F::Receipt>),
    /// Finished: what still comes is absorbed.
    Closed,
}

impl<F: Files> Session<F> {
    /// Whether the outcome is still open.
    pub(super) fn is_live(&self) -> bool {
        !matches!(self.state, State::Dallying(_) | State::Closed)
    }

    /// When the client last moved its transfer on; `None` until it has answered our first packet,
    /// and once the transfer is finished.
    pub(super) fn heard(&self) -> Option<Time> {
        match &self.state {
            State::Sending(sender) => sender.is_proven().then(|| sender.last_heard()),
            State::Receiving(receiver, _) | State::Committing(receiver) => {
                receiver.is_proven().then(|| receiver.last_heard())
            }
            State::Doubted { .. } | State::Opening | State::Dallying(_) | State::Closed => None,
        }
    }

    /// Whether the client has still to answer our first packet.
    pub(super) fn is_half_open(&self) -> bool {
        self.half_open && self.is_live()
    }

    /// Whether the transfer is under way: its client has answered.
    pub(super) fn is_answered(&self) -> bool {
        !self.half_open && self.is_live()
    }

    /// Whether our first packet has been made.
    pub(super) fn has_spoken(&self) -> bool {
        !matches!(self.state, State::Doubted { .. } | State::Opening)
    }

    /// Moves the end of a finished session's memory: long enough for a repeat by the client's own
    /// time-out, if it told us that.
    pub(super) fn linger(&mut self, now: Time, least: Duration) {
        let timeout = Duration::from_secs(self.agreed.timeout.unwrap_or_default().into());
        self.forget_at = now + least.max(timeout * 2);
    }

    pub(super) fn repeat_first(&mut self, now: Time) {
        match &mut self.state {
            State::Sending(sender) => sender.repeat_first(now),
            State::Receiving(receiver, _) => receiver.repeat_first(),
            _ => {}
        }
    }

    /// When the session is to be visited; `None` once all has arrived. A reader may be `slack` late
    /// with its ACK.
    pub(super) fn deadline(&self, slack: Duration) -> Option<Time> {
        match &self.state {
            State::Doubted { until } => Some(*until),
            State::Opening => Some(self.started + STORAGE_PATIENCE),
            State::Committing(receiver) => Some(receiver.last_heard() + STORAGE_PATIENCE),
            State::Sending(sender) => Some(sender.due(slack)),
            State::Receiving(receiver, _) => receiver.poll_timeout(),
            State::Dallying(_) | State::Closed => Some(self.forget_at),
        }
    }

    /// The request, read again from its datagram.
    pub(super) fn file_request(&self) -> Option<FileRequest<'_>> {
        let request = self.parse_request()?;
        let announced = Asked::new(request.options).value(TftpOption::Tsize);
        Some(FileRequest {
            peer: self.route.peer,
            local: self.route.local,
            name: request.name,
            mode: self.mode,
            announced: announced.filter(|_| self.kind == Kind::Write),
        })
    }

    pub(super) fn parse_request(&self) -> Option<Request<'_>> {
        match Packet::parse(&self.request) {
            Ok(Packet::Read(request) | Packet::Write(request)) => Some(request),
            _ => None,
        }
    }

    /// Whether the client wanted the size only: it asked for it and has not answered.
    pub(super) fn is_probe(&self) -> bool {
        let asked_size = self
            .parse_request()
            .is_some_and(|request| Asked::new(request.options).value(TftpOption::Tsize).is_some());
        match &self.state {
            State::Sending(sender) => asked_size && !sender.is_proven(),
            _ => false,
        }
    }

    /// Makes the record of a session that ends. It takes the request along, which nobody needs any
    /// more.
    pub(super) fn record(&mut self, now: Time, outcome: Outcome) -> Record {
        let (blocks, bytes, retransmissions) = match &self.state {
            State::Sending(s) => (s.blocks(), s.bytes(), s.retransmissions()),
            State::Receiving(r, _) | State::Committing(r) => {
                (r.blocks(), r.bytes(), r.retransmissions())
            }
            _ => (0, 0, 0),
        };
        let request = std::mem::take(&mut self.request);
        Record {
            kind: self.kind,
            outcome,
            peer: self.route.peer,
            local: self.route.local,
            socket: self.route.socket,
            request_len: request.len(),
            request,
            agreed: self.has_spoken().then_some(self.agreed),
            bytes,
            blocks,
            duration: now.since(self.started),
            retransmissions,
            repeats: self.repeats,
            answered: !self.half_open,
        }
    }
}

/// The outcome of a request that never became a session.
pub(super) fn record_without_session(
    kind: Kind,
    route: Route,
    datagram: &[u8],
    outcome: Outcome,
) -> Record {
    let kept = datagram.get(..crate::MAX_REQUEST).unwrap_or(datagram);
    Record {
        kind,
        outcome,
        peer: route.peer,
        local: route.local,
        socket: route.socket,
        request: kept.into(),
        request_len: datagram.len(),
        agreed: None,
        bytes: 0,
        blocks: 0,
        duration: Duration::ZERO,
        retransmissions: 0,
        repeats: 0,
        answered: false,
    }
}

/// Why a request from `port` gets no answer, if that is the port of a service which answers whatever
/// it gets: echo, systat, daytime, qotd, chargen, time, DNS, the port mapper, NTP. Such a request is
/// forged, to make two servers answer each other. Port 0 cannot be answered at all.
///
/// Port 69 is not among them. Some boot firmware asks from there, and two TFTP servers cannot be made
/// to answer each other for ever: our answers go to the other's listening port, where only a request
/// is answered, and an ERROR is never answered.
pub(super) fn service_port(port: u16) -> Option<DropReason> {
    let answers_anything = matches!(port, 0 | 7 | 11 | 13 | 17 | 19 | 37 | 53 | 111 | 123);
    answers_anything.then_some(DropReason::ServicePort)
}

impl<F: Files> std::fmt::Debug for State<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            State::Doubted { .. } => "Doubted",
            State::Opening => "Opening",
            State::Sending(_) => "Sending",
            State::Receiving(..) => "Receiving",
            State::Committing(_) => "Committing",
            State::Dallying(_) => "Dallying",
            State::Closed => "Closed",
        })
    }
}
