//! The half of a transfer that receives DATA: a server's write, a client's get.

use std::time::Duration;

use crate::block::{BlockIndex, on_the_wire, widen};
use crate::config::{Patience, Timing};
use crate::control::ControlPacket;
use crate::negotiate::Agreed;
use crate::netascii::Decoder;
use crate::repeats::Repeats;
use crate::request::Mode;
use crate::rtt::Rtt;
use crate::sender::Expiry;
use crate::time::Time;

/// The shortest wait before an ACK is repeated. It is the sender's part to repeat first; an old one
/// answers each spare ACK with spare DATA.
const ACK_FLOOR: Duration = Duration::from_millis(200);

/// The shortest wait before a server repeats its ACK 0 unasked. It is the writer's part to repeat its
/// request or its block 1 first, and tftp-hpa begins its 5 s anew at each ACK 0.
const FIRST_FLOOR: Duration = Duration::from_secs(8);

/// How often it does so: the request may be forged.
const FIRST_REPEATS: u8 = 2;

/// Nothing of the transfer before is under way any more, this long after our answer to the request.
const PAST: Duration = Duration::from_secs(3);

/// Takes blocks in order and acknowledges each window (RFC 7440). Lock-step is a window of one.
///
/// Order of calls: any `handle_*`, then [`poll_transmit`](Receiver::poll_transmit), then
/// [`poll_timeout`](Receiver::poll_timeout). Extra calls are harmless.
///
/// The last block is not acknowledged here: [`Receiver::finish`] gives a [`LastBlock`], and only
/// together with the receipt of a commit that becomes a [`Dally`], which can.
#[derive(Debug)]
pub struct Receiver {
    blksize: u16,
    windowsize: u16,
    /// The block that is wanted next.
    expected: BlockIndex,
    /// The block at which the sender's window ends and waits for our ACK.
    window_end: BlockIndex,
    out_of_order: Bursts,
    decoder: Option<Decoder>,
    /// Our OACK stands for ACK 0, until a block has answered it.
    opening: bool,
    /// A server whose writer has not sent a block yet.
    awaiting_first: bool,
    /// How often its ACK 0 may still be repeated unasked.
    first_repeats: u8,
    ack_due: bool,
    complete: bool,
    /// When the last acknowledgement was sent.
    answered: Time,
    /// When an acknowledgement was sent, once, whose answer measures the round trip.
    sample: Option<Time>,
    sent_once: bool,
    repeats: Repeats,
    /// When a repeat of our answer may leave.
    ack_at: Option<Time>,
    /// The last acknowledgement was repeated because nothing came.
    repeated: bool,
    rtt: Rtt,
    patience: Patience,
    deadline: Time,
    heard: Time,
    bytes: u64,
    retransmissions: u32,
}

/// What a DATA packet did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was the block wanted, and more are to come.
    Taken,
    /// It was the last block: call [`Receiver::finish`].
    Complete,
    /// It was seen before, or one before it is missing.
    OutOfOrder,
    /// It is longer than the block size agreed.
    TooLong,
}

/// What a receiver wants to send.
#[derive(Clone, Copy, Debug)]
pub enum Acknowledgement {
    /// The OACK: [`Agreed::option_ack`].
    Opening,
    /// An ACK.
    Ack(ControlPacket),
}

/// Who receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A server. Its first answer is the OACK if there are options, else ACK 0.
    Server,
    /// A client, whose ACK 0 is the answer to an OACK.
    Client,
}

impl Receiver {
    /// Starts a transfer.
    pub fn new(now: Time, agreed: &Agreed, mode: Mode, side: Side, timing: &Timing) -> Receiver {
        let mut timing = timing.with_timeout_option(agreed.timeout);
        timing.floor = timing.floor.max(ACK_FLOOR);
        let rtt = Rtt::new(&timing);
        Receiver {
            blksize: agreed.blksize,
            windowsize: agreed.windowsize,
            expected: 1,
            window_end: u64::from(agreed.windowsize),
            out_of_order: Bursts::default(),
            decoder: (mode == Mode::Netascii).then(Decoder::default),
            opening: side == Side::Server && agreed.has_options(),
            awaiting_first: side == Side::Server,
            first_repeats: FIRST_REPEATS,
            ack_due: true,
            complete: false,
            answered: now,
            sample: None,
            sent_once: false,
            repeats: Repeats::default(),
            ack_at: None,
            repeated: false,
            deadline: now + rtt.timeout(),
            rtt,
            patience: Patience::new(&timing),
            heard: now,
            bytes: 0,
            retransmissions: 0,
        }
    }

    /// The same with a round trip that was measured before the transfer began.
    #[must_use]
    pub fn measured(mut self, round_trip: Option<Duration>) -> Receiver {
        if let Some(round_trip) = round_trip {
            self.rtt.sample(round_trip);
        }
        self
    }

    /// Takes a DATA packet. `store` gets the bytes of the file, in order, each once.
    ///
    /// # Errors
    /// The error of `store`. The transfer cannot go on then.
    pub fn handle_data<E>(
        &mut self,
        now: Time,
        block: u16,
        payload: &[u8],
        store: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Verdict, E> {
        let index = widen(block, self.expected);
        if self.complete || index != Some(self.expected) {
            // Before the first block only others of the first window are of this transfer. Any other
            // is a late one of the transfer before, and says nothing of our OACK.
            if self.is_proven()
                || self.is_in_window(block, payload)
                || self.is_behind_a_lost_block(now, block, payload)
            {
                self.note_out_of_order(now, index);
            }
            return Ok(Verdict::OutOfOrder);
        }
        if payload.len() > usize::from(self.blksize) {
            return Ok(Verdict::TooLong);
        }
        let last = payload.len() < usize::from(self.blksize);
        self.decode(payload, last, store)?;
        if let Some(sent) = self.sample.take() {
            // Later than that, it may be a repeated block that answers an OACK.
            let round_trip = now.since(sent);
            if round_trip <= self.rtt.timeout() {
                self.rtt.sample(round_trip);
            }
        } else if std::mem::take(&mut self.repeated) {
            self.rtt.moved_on();
        }
        self.expected += 1;
        self.bytes += payload.len() as u64;
        (self.opening, self.awaiting_first) = (false, false);
        self.heard = now;
        self.out_of_order = Bursts::default();
        self.complete = last;
        self.ack_due = !last && self.expected > self.window_end;
        self.sent_once = false;
        self.arm(now);
        Ok(if last { Verdict::Complete } else { Verdict::Taken })
    }

    fn decode<E>(
        &mut self,
        payload: &[u8],
        last: bool,
        mut store: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(decoder) = &mut self.decoder else { return store(payload) };
        decoder.decode(payload, &mut store)?;
        if last { decoder.finish(store) } else { Ok(()) }
    }

    /// A block that is not the one wanted. The first of a burst counts: a missing block makes all
    /// behind it wrong, and an old one shows where the sender's window has started over.
    fn note_out_of_order(&mut self, now: Time, index: Option<BlockIndex>) {
        // A block of the first window proves that the sender has our OACK, so what it needs is ACK 0.
        (self.opening, self.awaiting_first) = (false, false);
        let begins = self.out_of_order.begins(index);
        let Some(index) = index.filter(|_| begins && !self.complete) else { return };
        let end = index + u64::from(self.windowsize) - 1;
        if (self.expected..).contains(&end) && index < self.expected {
            // Answered before the end of that window, the sender would start over again, with
            // blocks that are then old, too, and so on. Right behind our ACK it is only a copy.
            if now.since(self.answered) > self.rtt.smoothed() / 2 {
                self.window_end = self.window_end.min(end);
            }
        } else {
            self.ack_due = true;
        }
    }

    /// To be called when [`poll_timeout`](Receiver::poll_timeout) has passed.
    pub fn handle_timeout(&mut self, now: Time) -> Expiry {
        if self.ack_at.is_some_and(|at| at <= now) {
            self.ack_at = None;
        }
        if now < self.deadline || self.complete {
            return Expiry::Waiting;
        }
        if now >= self.heard + self.patience() {
            return Expiry::GivenUp;
        }
        if self.awaiting_first {
            let Some(left) = self.first_repeats.checked_sub(1) else {
                self.arm(now);
                return Expiry::Waiting;
            };
            self.first_repeats = left;
        }
        self.rtt.back_off();
        self.repeated = true;
        self.ack_due = true;
        self.arm(now);
        Expiry::Waiting
    }

    /// Sends the first packet again, because the peer has repeated its request.
    pub fn repeat_first(&mut self) {
        self.ack_due |= !self.is_proven();
    }

    /// What to send now.
    pub fn poll_transmit(&mut self, now: Time) -> Option<Acknowledgement> {
        if !self.ack_due {
            return None;
        }
        // The OACK and the ACK 0 behind it are two answers.
        let answer = self.expected * 2 + u64::from(self.opening);
        if self.sent_once
            && let Err(at) = self.repeats.admit(now, answer, self.rtt.smoothed())
        {
            self.ack_at = Some(at);
            return None;
        }
        (self.ack_due, self.ack_at) = (false, None);
        if std::mem::replace(&mut self.sent_once, true) {
            self.sample = None;
            self.retransmissions = self.retransmissions.saturating_add(1);
        } else {
            self.sample = Some(now);
        }
        self.answered = now;
        self.window_end = self.expected - 1 + u64::from(self.windowsize);
        self.arm(now);
        Some(match self.opening {
            true => Acknowledgement::Opening,
            false => Acknowledgement::Ack(ControlPacket::ack(self.expected - 1)),
        })
    }

    /// When [`handle_timeout`](Receiver::handle_timeout) is next needed; `None` once complete.
    pub fn poll_timeout(&self) -> Option<Time> {
        let ours = self.ack_at.map_or(self.deadline, |at| at.min(self.deadline));
        (!self.complete).then_some(ours)
    }

    /// Ends a complete transfer.
    pub fn finish(&self) -> Option<LastBlock> {
        self.complete.then_some(LastBlock(self.expected - 1))
    }

    /// Whether the peer has sent a block.
    pub fn is_proven(&self) -> bool {
        self.expected > 1
    }

    /// Whether this is the block behind the first window, whole, long after our answer: atftp goes on with
    /// it after a time-out when a block of that window was lost, and then waits for an ACK.
    fn is_behind_a_lost_block(&self, now: Time, block: u16, payload: &[u8]) -> bool {
        let is_next = u64::from(block) == u64::from(self.windowsize) + 1;
        let is_whole = payload.len() == usize::from(self.blksize);
        is_next && is_whole && now.since(self.answered) >= PAST
    }

    /// Whether a DATA packet is of the window that is wanted.
    pub(crate) fn is_in_window(&self, block: u16, payload: &[u8]) -> bool {
        let window = self.expected..self.expected + u64::from(self.windowsize);
        let index = widen(block, self.expected);
        payload.len() <= usize::from(self.blksize)
            && index.is_some_and(|index| window.contains(&index))
    }

    /// Whether the ACK of what was taken so far travels as that of block 0.
    pub(crate) fn passes_for_first(&self) -> bool {
        on_the_wire(self.expected - 1) == 0
    }

    /// Whether a DATA packet is of that window or repeats one of the window before.
    pub(crate) fn is_near(&self, block: u16, payload: &[u8]) -> bool {
        let before = widen(block, self.expected).is_some_and(|index| {
            (1..self.expected).contains(&index)
                && index + u64::from(self.windowsize) >= self.expected
        });
        self.is_in_window(block, payload) || before
    }

    /// When the peer last moved the transfer on; at first, when it began.
    pub fn last_heard(&self) -> Time {
        self.heard
    }

    /// Blocks taken.
    pub fn blocks(&self) -> u64 {
        self.expected - 1
    }

    /// Bytes of blocks taken, as they travelled.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Packets that were sent again.
    pub fn retransmissions(&self) -> u32 {
        self.retransmissions
    }

    fn patience(&self) -> Duration {
        self.patience.with(self.is_proven())
    }

    fn arm(&mut self, now: Time) {
        let wait = match (self.opening, self.awaiting_first) {
            // An OACK is repeated for a repeated request alone. curl takes a second one for the ACK of
            // its block 1, sends what is behind it as block 1, and the file loses its beginning.
            (true, _) => self.patience(),
            (false, true) if self.first_repeats == 0 => self.patience(),
            (false, true) => FIRST_FLOOR.max(self.rtt.timeout() * 2),
            (false, false) => self.rtt.timeout(),
        };
        self.deadline = (now + wait).min(self.heard + self.patience());
    }
}

/// Tells the bursts apart in which blocks come that are not wanted: within one, numbers rise. In
/// lock-step each is a burst of its own.
#[derive(Debug, Default)]
struct Bursts {
    previous: Option<BlockIndex>,
}

impl Bursts {
    /// Whether a new burst begins with this block.
    fn begins(&mut self, index: Option<BlockIndex>) -> bool {
        let previous = std::mem::replace(&mut self.previous, index);
        previous.is_none_or(|previous| index.is_none_or(|index| index <= previous))
    }
}

/// The last block of an upload that has arrived but is not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastBlock(BlockIndex);

/// After the commit: the last ACK, again whenever the last block comes again (RFC 1350 section 6).
///
/// It can only be made from the receipt of a commit.
#[derive(Debug)]
pub struct Dally<R> {
    last: BlockIndex,
    repeated: Bursts,
    ack_due: bool,
    repeats: Repeats,
    _receipt: R,
}

impl<R> Dally<R> {
    /// The upload is committed, as `receipt` proves: its last block may be acknowledged.
    pub fn new(last: LastBlock, receipt: R) -> Dally<R> {
        Dally {
            last: last.0,
            repeated: Bursts::default(),
            ack_due: true,
            repeats: Repeats::default(),
            _receipt: receipt,
        }
    }

    /// Takes a DATA packet that came after the commit. The peer repeats its last window: the first
    /// block of it is answered, should the last be lost again.
    pub fn handle_data(&mut self, now: Time, block: u16) {
        let index = widen(block, self.last);
        let asks = self.repeated.begins(index) || index == Some(self.last);
        self.ack_due |= asks && self.repeats.admit(now, self.last, Duration::ZERO).is_ok();
    }

    /// Whether there is an ACK to send.
    pub fn is_due(&self) -> bool {
        self.ack_due
    }

    /// The ACK to send now.
    pub fn poll_transmit(&mut self) -> Option<ControlPacket> {
        std::mem::take(&mut self.ack_due).then(|| ControlPacket::ack(self.last))
    }
}
