//! What a driver may set.

use std::time::Duration;

use crate::route::SocketId;

/// When to send again and when to give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Wait for the first answer before sending again (RFC 6298: 1 s). The `timeout` option of
    /// RFC 2349 replaces it.
    pub initial: Duration,
    /// The shortest wait, however fast the network. Guards against scheduling noise at the peer.
    pub floor: Duration,
    /// The longest wait; back-off stops here.
    pub ceiling: Duration,
    /// Silence after which a transfer is given up.
    pub patience: Duration,
    /// The same before the peer's first answer.
    pub opening_patience: Duration,
    /// How often the first packet of a sender is repeated unasked before that. A server whose client
    /// may be forged sends no more; one whose client erases its flash waits on.
    pub opening_repeats: u8,
}

/// The repeats of a server's first packet, unasked: in the first 16 s, without the `timeout` option.
const SERVER_REPEATS: u8 = 4;

impl Timing {
    /// The timing of a server that gives a silent client up after this time, be it before or after its
    /// first answer. A session that waits for that costs a place in a table, which a newer one may
    /// take.
    pub fn of_server(patience: Duration) -> Timing {
        let (opening_patience, opening_repeats) = (patience, SERVER_REPEATS);
        Timing { patience, opening_patience, opening_repeats, ..Timing::default() }
    }

    /// This timing under the negotiated `timeout` option, in seconds (RFC 2349).
    pub(crate) fn with_timeout_option(self, seconds: Option<u8>) -> Timing {
        let Some(seconds) = seconds else { return self };
        let asked = Duration::from_secs(u64::from(seconds));
        Timing {
            initial: asked,
            ceiling: self.ceiling.max(asked),
            // Time for a packet and its repeat.
            patience: self.patience.max(asked * 2),
            opening_patience: self.opening_patience.max(asked * 2),
            ..self
        }
    }
}

/// The part of a [`Timing`] that a transfer needs to its end, in little room: there are very many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    // Milliseconds: 49 days.
    proven: u32,
    unproven: u32,
}

impl Patience {
    pub(crate) fn new(timing: &Timing) -> Patience {
        let millis = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        Patience { proven: millis(timing.patience), unproven: millis(timing.opening_patience) }
    }

    /// Silence after which a peer that has answered, or has not, is given up.
    pub(crate) fn with(self, is_proven: bool) -> Duration {
        let millis = if is_proven { self.proven } else { self.unproven };
        Duration::from_millis(u64::from(millis))
    }
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            initial: Duration::from_secs(1),
            floor: Duration::from_millis(20),
            ceiling: Duration::from_secs(8),
            patience: Duration::from_secs(60),
            opening_patience: Duration::from_secs(16),
            opening_repeats: u8::MAX,
        }
    }
}

/// What a socket of the driver is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketRole {
    /// Requests arrive here; each transfer moves to one of these sockets. Naming the socket itself
    /// is single-port operation.
    Listening {
        /// Where transfers of requests that arrive here run; must not be empty.
        transfers: Vec<SocketId>,
    },
    /// Only packets of transfers arrive here.
    Transfer,
}

/// Settings of an [`Endpoint`](crate::Endpoint).
#[derive(Clone, Debug)]
pub struct Config {
    /// The role of each socket; a [`SocketId`] is an index into this.
    pub sockets: Vec<SocketRole>,
    /// When to send again and when to give up.
    pub timing: Timing,
    /// Live sessions. For a request over it the oldest half-open one ends, as at
    /// [`max_half_open`](Config::max_half_open); if there is none, it is refused as busy.
    pub max_sessions: usize,
    /// Live sessions of one client address. For a request over it the oldest half-open one of this
    /// client ends; if there is none, it is refused as busy.
    pub max_sessions_per_client: usize,
    /// Live sessions of writes. For a write request over it the oldest half-open one of a write ends;
    /// if there is none, it is refused as busy.
    pub max_uploads: usize,
    /// Half-open sessions: those whose client has not answered our first packet yet, also while they
    /// wait for storage. For a request over it the oldest of them ends, and its client is not told.
    ///
    /// Nobody is refused, since who fills this with forged requests never answers, while a client
    /// that lives answers within a round trip: it has its place for as long as it takes to fill all.
    /// One whose place was taken repeats its request and begins again.
    pub max_half_open: usize,
    /// Half-open sessions of one client address. For a request over it the oldest of them ends.
    pub max_half_open_per_client: usize,
    /// New requests of one client address, a second; as many may come at once. What is over it is
    /// dropped: a client repeats its request, and an ERROR would make it give up, or ask again at once.
    pub max_requests_per_client: u32,
    /// How long a transfer may take; then it ends with an ERROR, up to 4 s late. One that waits for
    /// storage is left alone.
    pub max_transfer_time: Duration,
    /// How long a finished session is remembered at least, so that a repeated last block is
    /// acknowledged again and late packets are not mistaken for strangers.
    pub linger: Duration,
    /// Committed uploads that are remembered, as many other finished sessions whose client had answered,
    /// and as many whose client had not; over it the oldest of the kind is forgotten.
    pub max_lingering: usize,
    /// Answers to strangers, a second: packets of unknown transfers (RFC 1350: ERROR 5) and clients
    /// that are not served. Over it: silence.
    pub stray_answers_per_second: u32,
    /// Blocks in one [`Transmit::Run`](crate::Transmit::Run), at most. One session sends this much,
    /// then the next has its turn.
    pub max_run: u16,
    /// Seed for the choice of transfer sockets. Take it from the system's randomness.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            sockets: Vec::new(),
            timing: Timing::of_server(Timing::default().patience),
            max_sessions: 100_000,
            max_sessions_per_client: 4_096,
            max_uploads: 16_384,
            max_half_open: 32_768,
            max_half_open_per_client: 8_192,
            max_requests_per_client: 5_000,
            max_transfer_time: Duration::from_secs(4 * 3_600),
            linger: Duration::from_secs(10),
            max_lingering: 4_096,
            stray_answers_per_second: 100,
            max_run: 32,
            seed: 0,
        }
    }
}
