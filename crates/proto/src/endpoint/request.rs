//! From a datagram on a listening socket to a session, or to a refusal.

use std::time::Duration;

use crate::control::ControlPacket;
use crate::counters::DropReason;
use crate::endpoint::session::{Session, State, is_service_port, record_without_session};
use crate::endpoint::{Endpoint, SHUTTING_DOWN};
use crate::files::{Answer, FileRequest, Files};
use crate::negotiate::{Agreed, Asked, Limits, TftpOption, negotiate};
use crate::netascii;
use crate::packet::{ErrorCode, Packet, ParseError};
use crate::receiver::{Receiver, Side};
use crate::record::{Kind, Outcome};
use crate::refusal::{Refusal, RefusalReason};
use crate::request::{Mode, Request};
use crate::route::{Datagram, Route, SessionId, SocketId};
use crate::sender::Sender;
use crate::source::Source;
use crate::time::Time;

/// Files up to this are read through to answer `tsize` in netascii, where the size on the wire is
/// another than the file's. For larger ones the option is left out, so that no request costs more.
const MAX_COUNTED_NETASCII: usize = 1 << 20;

/// A window in netascii is encoded ahead and held in memory, so it is smaller.
const MAX_NETASCII_WINDOW: u32 = 64 << 10;

/// The same request again is late, and not a new beginning, if the client has moved its transfer on
/// within this time. With thousands of clients, a request may wait longer in the socket than its
/// client waits before it repeats it, and the repeat is read when the transfer is under way.
const LATE_REPEAT: Duration = Duration::from_secs(1);

impl<F: Files> Endpoint<F> {
    /// A datagram on a listening socket. Only requests are answered.
    pub(super) fn handle_listening(
        &mut self,
        now: Time,
        datagram: &Datagram<'_>,
        packet: Result<Packet<'_>, ParseError>,
    ) {
        let route = &datagram.route;
        match packet {
            Ok(Packet::Read(request)) => self.handle_request(now, datagram, Kind::Read, &request),
            Ok(Packet::Write(request)) => self.handle_request(now, datagram, Kind::Write, &request),
            Ok(packet) => match self.session_on_listening(route, &packet) {
                Some(id) => self.handle_session_packet(now, id, packet),
                None => self.drop_request(Kind::Unrecognized, datagram, DropReason::NotARequest),
            },
            Err(ParseError::Request(error)) => {
                let refusal = Refusal::new(ErrorCode::ILLEGAL, error.to_string());
                if self.is_heard(now, datagram, Kind::Unrecognized) {
                    self.turn_away(datagram, Kind::Unrecognized, refusal);
                }
            }
            Err(_) => self.drop_request(Kind::Unrecognized, datagram, DropReason::NotARequest),
        }
    }

    /// The session that a packet other than a request belongs to: any in single-port operation,
    /// and for an ERROR also one that runs elsewhere, since some firmware sends it here.
    fn session_on_listening(&self, route: &Route, packet: &Packet<'_>) -> Option<SessionId> {
        let id = self.find(route)?;
        let same_socket = self.sessions.get(id)?.route.socket == route.socket;
        (same_socket || matches!(packet, Packet::Error { .. })).then_some(id)
    }

    fn handle_request(
        &mut self,
        now: Time,
        datagram: &Datagram<'_>,
        kind: Kind,
        request: &Request<'_>,
    ) {
        if let Some(reason) = reason_to_drop(datagram) {
            return self.drop_request(kind, datagram, reason);
        }
        // Before any other check: a repeat must not be refused because of what it began itself.
        let mut old = None;
        if let Some(id) = self.find(&datagram.route)
            && let Some(session) = self.sessions.get_mut(id)
        {
            let same = *session.request == *datagram.payload;
            if same && session.is_live() {
                let heard = session.heard();
                if heard.is_none_or(|heard| now.since(heard) < LATE_REPEAT) {
                    session.repeats = session.repeats.saturating_add(1);
                    if heard.is_none() {
                        session.repeat_first(now);
                    }
                    return self.touch(id);
                }
            }
            let socket = session.route.socket;
            let state = self.conclude(now, id, Outcome::Superseded);
            self.forget(id);
            old = Some((socket, state.filter(|_| same)));
        }
        if !self.is_heard(now, datagram, kind) {
            return;
        }
        match self.admit(&datagram.route, kind, request) {
            Ok(mode) => {
                self.make_room(now);
                let avoid = old.as_ref().map(|(socket, _)| *socket);
                let socket = self.pick_socket(datagram.route.socket, avoid);
                let content = old.and_then(|(old, state)| keep_content(old == socket, state));
                self.begin_session(now, datagram, socket, kind, mode, content);
            }
            Err(refusal) => self.turn_away(datagram, kind, refusal),
        }
    }

    /// Whether the client is one we serve, and has not asked too often.
    fn is_heard(&mut self, now: Time, datagram: &Datagram<'_>, kind: Kind) -> bool {
        if !self.is_served(now, datagram, kind) {
            return false;
        }
        let (client, per_second) = (datagram.route.peer.ip(), self.config.max_requests_per_client);
        let allowed = self.client_requests.allow(now, client, per_second);
        if !allowed {
            self.drop_request(kind, datagram, DropReason::ClientRequests);
        }
        allowed
    }

    /// Whether the client is one we serve; if not, it is told so, but not without limit: its address
    /// may be forged to aim our answers.
    fn is_served(&mut self, now: Time, datagram: &Datagram<'_>, kind: Kind) -> bool {
        let Err(refusal) = self.files.admit(datagram.route.peer.ip()) else { return true };
        if self.stray_answers.allow(now, self.config.stray_answers_per_second) {
            self.turn_away(datagram, kind, refusal);
        } else {
            self.drop_request(kind, datagram, DropReason::NotServed);
        }
        false
    }

    fn admit(&self, route: &Route, kind: Kind, request: &Request<'_>) -> Result<Mode, Refusal> {
        if self.draining {
            return Err(shutting_down());
        }
        let (config, of_client) = (&self.config, self.census.of_client(route.peer.ip()));
        let uploads = if kind == Kind::Write { self.census.uploads } else { 0 };
        let limits = [
            (self.census.live, config.max_sessions, "sessions", RefusalReason::Sessions),
            (
                of_client.live as usize,
                config.max_sessions_per_client,
                "sessions of one client",
                RefusalReason::ClientSessions,
            ),
            (
                of_client.half_open as usize,
                config.max_half_open_per_client,
                "sessions that one client has not answered",
                RefusalReason::HalfOpen,
            ),
            (uploads, config.max_uploads, "uploads in flight", RefusalReason::Uploads),
        ];
        if let Some((_, limit, what, reason)) =
            limits.into_iter().find(|(count, limit, ..)| count >= limit)
        {
            return Err(busy(limit, what, reason));
        }
        request.transfer_mode().ok_or_else(|| {
            Refusal::new(ErrorCode::ILLEGAL, "mode is not supported, use octet or netascii")
        })
    }

    /// Ends the oldest half-open session if there are as many as may be. Its client is not told: its
    /// address may be forged, and if it is not, it will ask again.
    fn make_room(&mut self, now: Time) {
        if self.census.half_open < self.config.max_half_open {
            return;
        }
        let is_half_open = |id| self.sessions.get(id).is_some_and(|session| session.half_open);
        if let Some(oldest) = self.census.take_oldest(is_half_open) {
            self.counters.drop(DropReason::HalfOpen);
            self.conclude(now, oldest, Outcome::Dropped(DropReason::HalfOpen));
            self.forget(oldest);
        }
    }

    fn begin_session(
        &mut self,
        now: Time,
        datagram: &Datagram<'_>,
        socket: SocketId,
        kind: Kind,
        mode: Mode,
        content: Option<F::Content>,
    ) {
        let route = Route { socket, ..datagram.route };
        let id = self.sessions.insert(Session {
            route,
            kind,
            mode,
            request: datagram.payload.into(),
            agreed: Agreed::PLAIN,
            started: now,
            repeats: 0,
            state: State::Opening,
            forget_at: now,
            queued: false,
            half_open: true,
            filed: None,
        });
        let is_half_open = |id| self.sessions.get(id).is_some_and(|session| session.half_open);
        self.census.begin(id, route.peer.ip(), kind, is_half_open);
        let Some(request) = self.sessions.get(id).and_then(Session::file_request) else { return };
        if kind == Kind::Write {
            if let Answer::Now(result) = self.files.begin(id, &request) {
                self.begun(now, id, result);
            }
            return;
        }
        let answer = match content {
            Some(content) => Answer::Now(Ok(content)),
            None => self.files.open(id, &request),
        };
        if let Answer::Now(result) = answer {
            self.opened(now, id, result);
        }
    }

    pub(super) fn opened(&mut self, now: Time, id: SessionId, result: Result<F::Content, Refusal>) {
        if !self.is_opening(id, Kind::Read) {
            return;
        }
        let content = match result {
            Ok(content) => content,
            Err(refusal) => return self.refuse(now, id, refusal),
        };
        let limits =
            self.file_request(id).map(|request| self.files.read_limits(&request, &content));
        let size = |mode| size_on_the_wire(content.as_ref(), mode);
        let Some(agreed) = limits.and_then(|limits| self.agree(id, limits, size)) else { return };
        let Some(session) = self.sessions.get_mut(id) else { return };
        let source = Source::new(content, session.mode, agreed.blksize, agreed.windowsize);
        let opening = agreed.has_options();
        session.state =
            State::Sending(Sender::new(now, source, &agreed, opening, &self.config.timing));
        self.touch(id);
    }

    pub(super) fn begun(&mut self, now: Time, id: SessionId, result: Result<F::Upload, Refusal>) {
        if !self.is_opening(id, Kind::Write) {
            return;
        }
        let upload = match result {
            Ok(upload) => upload,
            Err(refusal) => return self.refuse(now, id, refusal),
        };
        let Some(request) = self.file_request(id) else { return };
        let (announced, limits) = (request.announced, self.files.write_limits(&request, &upload));
        let Some(agreed) = self.agree(id, limits, |_| announced) else { return };
        let Some(session) = self.sessions.get_mut(id) else { return };
        let timing = &self.config.timing;
        let receiver = Receiver::new(now, &agreed, session.mode, Side::Server, timing);
        session.state = State::Receiving(receiver, upload);
        self.touch(id);
    }

    fn is_opening(&self, id: SessionId, kind: Kind) -> bool {
        self.sessions
            .get(id)
            .is_some_and(|session| session.kind == kind && matches!(session.state, State::Opening))
    }

    fn file_request(&self, id: SessionId) -> Option<FileRequest<'_>> {
        self.sessions.get(id)?.file_request()
    }

    /// Decides the options; `size` is asked only if the client wants to know it.
    fn agree(
        &mut self,
        id: SessionId,
        mut limits: Limits,
        size: impl FnOnce(Mode) -> Option<u64>,
    ) -> Option<Agreed> {
        let session = self.sessions.get_mut(id)?;
        let asked = Asked::new(session.parse_request()?.options);
        let tsize = asked.value(TftpOption::Tsize).and_then(|_| size(session.mode));
        if session.kind == Kind::Read && session.mode == Mode::Netascii {
            let max_window_bytes = limits.max_window_bytes.min(MAX_NETASCII_WINDOW);
            limits = Limits { max_window_bytes, ..limits };
        }
        session.agreed = negotiate(&asked, &limits, tsize);
        Some(session.agreed)
    }

    /// Refuses what has no session.
    pub(super) fn turn_away(&mut self, datagram: &Datagram<'_>, kind: Kind, refusal: Refusal) {
        if let Some(reason) = reason_to_drop(datagram) {
            return self.drop_request(kind, datagram, reason);
        }
        let socket = self.pick_socket(datagram.route.socket, None);
        let route = Route { socket, ..datagram.route };
        self.send_control(route, ControlPacket::error(refusal.code, &refusal.text));
        let outcome = Outcome::Refused(refusal);
        self.leave(record_without_session(kind, route, datagram.payload, outcome));
    }

    fn drop_request(&mut self, kind: Kind, datagram: &Datagram<'_>, reason: DropReason) {
        self.counters.drop(reason);
        let (route, outcome) = (datagram.route, Outcome::Dropped(reason));
        self.leave(record_without_session(kind, route, datagram.payload, outcome));
    }
}

fn busy(limit: usize, what: &str, reason: RefusalReason) -> Refusal {
    Refusal::new(ErrorCode::UNDEFINED, "server is busy, try again later")
        .because(format!("limit of {limit} {what} reached"))
        .counted_as(reason)
}

fn shutting_down() -> Refusal {
    let refusal = Refusal::new(ErrorCode::UNDEFINED, SHUTTING_DOWN);
    refusal.counted_as(RefusalReason::ShuttingDown)
}

/// The version of a read that starts over on the same port of ours.
///
/// If the request was only late and the client is in the middle of its first transfer, it cannot
/// tell the blocks of the two apart. So they must be of the same version.
fn keep_content<F: Files>(same_port: bool, state: Option<State<F>>) -> Option<F::Content> {
    match state {
        Some(State::Sending(sender)) if same_port => Some(sender.into_content()),
        _ => None,
    }
}

fn reason_to_drop(datagram: &Datagram<'_>) -> Option<DropReason> {
    if datagram.directed {
        is_service_port(datagram.route.peer.port())
    } else {
        Some(DropReason::NotDirected)
    }
}

/// What to answer for `tsize`. curl takes a size of zero for an error, so an empty file has none.
fn size_on_the_wire(content: &[u8], mode: Mode) -> Option<u64> {
    let size = match mode {
        Mode::Octet => content.len() as u64,
        Mode::Netascii if content.len() <= MAX_COUNTED_NETASCII => netascii::encoded_len(content),
        Mode::Netascii => return None,
    };
    (size > 0).then_some(size)
}
