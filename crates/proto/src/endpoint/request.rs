//! From a datagram on a listening socket to a session, or to a refusal.

use std::time::Duration;

use crate::counters::DropReason;
use crate::endpoint::Endpoint;
use crate::endpoint::admission::reason_to_drop;
use crate::endpoint::session::{Session, State};
use crate::files::{Answer, FileRequest, Files};
use crate::negotiate::{Agreed, Asked, Limits, TftpOption, negotiate};
use crate::netascii;
use crate::packet::{ErrorCode, Packet, ParseError};
use crate::receiver::{Receiver, Side};
use crate::record::{Kind, Outcome};
use crate::refusal::Refusal;
use crate::request::{Mode, Request};
use crate::route::{Datagram, Route, SessionId};
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
        match packet {
            Ok(Packet::Read(request)) => self.handle_request(now, datagram, Kind::Read, &request),
            Ok(Packet::Write(request)) => self.handle_request(now, datagram, Kind::Write, &request),
            Ok(packet) => match self.session_on_listening(datagram, &packet) {
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

    /// The session that a packet other than a request belongs to: any in single-port operation, and for
    /// an ERROR also one that runs elsewhere, since some firmware sends it here. That may not be one
    /// whose client has answered, or nobody had to know its port to end it.
    fn session_on_listening(
        &self,
        datagram: &Datagram<'_>,
        packet: &Packet<'_>,
    ) -> Option<SessionId> {
        let route = &datagram.route;
        let elsewhere = || match packet {
            Packet::Error { .. } => self.newcomer(route),
            _ => None,
        };
        let id = self.session_of(route, packet).or_else(elsewhere);
        id.filter(|_| datagram.directed)
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
        if self.is_repeat(now, datagram) || !self.is_heard(now, datagram, kind) {
            return;
        }
        let route = &datagram.route;
        if let Some(newcomer) = self.newcomer(route) {
            self.end(now, newcomer, Outcome::Superseded);
        }
        let admitted = self.admit(request);
        match admitted.and_then(|mode| self.make_room(now, route, kind).map(|()| mode)) {
            Ok(mode) => self.begin_session(now, datagram, kind, mode),
            Err(refusal) => self.turn_away(datagram, kind, refusal),
        }
    }

    /// Whether a request is a copy of one that is served. It makes us send the first packet again if that
    /// was not answered, and brings nothing if it was only late.
    fn is_repeat(&mut self, now: Time, datagram: &Datagram<'_>) -> bool {
        let route = &datagram.route;
        for id in [self.newcomer(route), self.incumbent(route)].into_iter().flatten() {
            let Some(session) = self.sessions.get_mut(id) else { continue };
            let is_recent = |heard| now.since(heard) < LATE_REPEAT;
            if *session.request != *datagram.payload || !session.heard().is_none_or(is_recent) {
                continue;
            }
            session.repeats = session.repeats.saturating_add(1);
            if session.half_open {
                session.repeat_first(now);
            }
            self.touch(id);
            return true;
        }
        false
    }

    fn begin_session(&mut self, now: Time, datagram: &Datagram<'_>, kind: Kind, mode: Mode) {
        let route = Route { socket: self.pick_socket(&datagram.route), ..datagram.route };
        self.forget_closed(&route);
        let incumbent = self.incumbent(&route);
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
            rival: None,
            filed: None,
        });
        let is_half_open = |id| self.sessions.get(id).is_some_and(Session::is_half_open);
        self.census.begin(id, route.peer.ip(), kind, is_half_open);
        match incumbent {
            Some(incumbent) => self.begin_beside(now, id, incumbent),
            None => self.ask_storage(now, id),
        }
    }

    /// Forgets what is over on this route. A committed upload stays until its client has answered: it
    /// may still have to be told that it is done.
    fn forget_closed(&mut self, route: &Route) {
        let is_closed = |_, session: &Session<F>| matches!(session.state, State::Closed);
        while let Some(closed) = self.sessions.find_at(route, is_closed) {
            self.forget(closed);
        }
    }

    /// Opens the file of a read, or begins an upload.
    pub(super) fn ask_storage(&mut self, now: Time, id: SessionId) {
        let kept = self.kept_content(id);
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.state = State::Opening;
        let (kind, route) = (session.kind, session.route);
        let starts_over = self.incumbent(&route).is_some();
        let Some(request) = self.sessions.get(id).and_then(Session::file_request) else { return };
        // What the upload before holds is free again when it counts.
        let announced = request.announced.filter(|_| !starts_over);
        let request = FileRequest { announced, ..request };
        if kind == Kind::Write {
            return match self.files.begin(id, &request) {
                Answer::Now(result) => self.begun(now, id, result),
                Answer::Later => self.touch(id),
            };
        }
        let answer = match kept {
            Some(content) => Answer::Now(Ok(content)),
            None => self.files.open(id, &request),
        };
        match answer {
            Answer::Now(result) => self.opened(now, id, result),
            Answer::Later => self.touch(id),
        }
    }

    /// The version of a read that starts over on the same port of ours.
    ///
    /// If the request was only late and the client is in the middle of its first transfer, it cannot
    /// tell the blocks of the two apart. So they must be of the same version.
    fn kept_content(&self, id: SessionId) -> Option<F::Content> {
        let session = self.sessions.get(id)?;
        let incumbent = self.sessions.get(self.incumbent_at(&session.route, Some(id))?)?;
        match &incumbent.state {
            State::Sending(sender) if incumbent.request == session.request => {
                Some(sender.content().clone())
            }
            _ => None,
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
