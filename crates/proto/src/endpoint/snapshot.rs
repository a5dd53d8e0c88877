//! What an endpoint is doing at one moment.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::Endpoint;
use super::census::Among;
use super::session::{Session, State};
use crate::files::Files;
use crate::record::Kind;
use crate::request::Mode;
use crate::route::SocketId;
use crate::time::Time;

/// An endpoint at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Live sessions.
    pub live: usize,
    /// Those whose client has not answered our first packet yet.
    pub half_open: usize,
    /// Those of writes.
    pub uploads: usize,
    /// Finished sessions that are still remembered.
    pub lingering: usize,
    /// Bytes of blocks that the readers among the live have acknowledged, as they travelled.
    pub bytes_sent: u64,
    /// Bytes of blocks that the writers among the live have sent, as they travelled.
    pub bytes_received: u64,
    /// Packets of live sessions that were sent again.
    pub retransmissions: u64,
    /// The live sessions that run longest, the oldest first.
    pub longest: Vec<Progress>,
}

/// How far a live session is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// A read or a write.
    pub kind: Kind,
    /// Whose it is.
    pub peer: SocketAddr,
    /// The address of ours that was asked, if the driver knows it.
    pub local: Option<IpAddr>,
    /// The socket on which it runs.
    pub socket: SocketId,
    /// The datagram that asked.
    pub request: Box<[u8]>,
    /// Bytes of blocks that arrived at the other end, as they travelled.
    pub bytes: u64,
    /// How many there will be: the size of the file that is read, or the size that the writer has
    /// announced, which may be wrong. `None` if it is not known, as in netascii.
    pub total: Option<u64>,
    /// The client has not answered our first packet yet.
    pub half_open: bool,
    /// Packets that were sent again.
    pub retransmissions: u32,
    /// Since the request.
    pub age: Duration,
}

impl<F: Files> Endpoint<F> {
    /// Looks at all sessions, and closely at the `most` that run longest. It takes as long as there
    /// are sessions, so not for each packet.
    pub fn snapshot(&self, now: Time, most: usize) -> Snapshot {
        let mut snapshot = Snapshot {
            live: self.census.live,
            half_open: self.census.half_open(Among::All),
            uploads: self.census.uploads,
            lingering: self.sessions.len().saturating_sub(self.census.live),
            ..Snapshot::default()
        };
        let mut live = Vec::with_capacity(self.census.live);
        for (id, session) in self.sessions.iter().filter(|(_, session)| session.is_live()) {
            let (bytes, again) = session.moved();
            match session.kind {
                Kind::Write => snapshot.bytes_received += bytes,
                Kind::Read | Kind::Unrecognized => snapshot.bytes_sent += bytes,
            }
            snapshot.retransmissions += u64::from(again);
            live.push((session.started, id));
        }
        if live.len() > most {
            live.select_nth_unstable(most);
            live.truncate(most);
        }
        live.sort_unstable();
        let sessions = live.into_iter().filter_map(|(_, id)| self.sessions.get(id));
        snapshot.longest = sessions.map(|session| session.progress(now)).collect();
        snapshot
    }

    /// The uploads that are arriving.
    pub fn uploads(&self) -> impl Iterator<Item = &F::Upload> {
        self.sessions.iter().filter_map(|(_, session)| match &session.state {
            State::Receiving(_, upload) => Some(upload),
            _ => None,
        })
    }
}

impl<F: Files> Session<F> {
    /// Bytes that arrived at the other end, and packets that were sent again.
    fn moved(&self) -> (u64, u32) {
        match &self.state {
            State::Sending(sender) => (sender.bytes(), sender.retransmissions()),
            State::Receiving(receiver, _) | State::Committing(receiver) => {
                (receiver.bytes(), receiver.retransmissions())
            }
            _ => (0, 0),
        }
    }

    fn progress(&self, now: Time) -> Progress {
        let (bytes, retransmissions) = self.moved();
        let total = match &self.state {
            State::Sending(sender) => Some(sender.total()),
            _ => self.file_request().and_then(|request| request.announced),
        };
        Progress {
            kind: self.kind,
            peer: self.route.peer,
            local: self.route.local,
            socket: self.route.socket,
            request: self.request.clone(),
            bytes,
            total: total.filter(|_| self.mode == Mode::Octet),
            half_open: self.is_half_open(),
            retransmissions,
            age: now.since(self.started),
        }
    }
}
