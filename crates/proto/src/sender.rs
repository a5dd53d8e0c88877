//! The half of a transfer that sends DATA: a server's read, a client's put.

use std::time::Duration;

use crate::block::{BlockIndex, on_the_wire};
use crate::config::{Patience, Timing};
use crate::joining::Joining;
use crate::negotiate::Agreed;
use crate::repeats::Repeats;
use crate::rtt::Rtt;
use crate::source::Source;
use crate::time::Time;

/// The pause between the bursts of a window that is sent in parts.
const BURST_GAP: Duration = Duration::from_millis(1);

/// How long an unclear ACK is doubted beyond a round trip.
const DOUBT: Duration = Duration::from_millis(2);

/// A window shrinks after this many lossy windows in a row; fewer are chance.
const LOSSES_BEFORE_SHRINKING: u8 = 3;

/// A shrunk window is sent in this many bursts at most.
const MAX_BURSTS: u16 = 4;

/// A file of so many bytes fits one block of the plain protocol, which every path carries.
const SMALL: u64 = 512;

/// Sends the blocks of a [`Source`] in windows (RFC 7440). Lock-step is a window of one.
///
/// Order of calls: any `handle_*`, then [`poll_transmit`](Sender::poll_transmit) until it gives
/// nothing, then [`poll_timeout`](Sender::poll_timeout). Extra calls are harmless.
///
/// A duplicate ACK never brings DATA again (RFC 1123 section 4.2.3.1), but an ACK that reports a
/// gap in a window does, once, however many copies of it come.
#[derive(Debug)]
pub struct Sender<C> {
    source: Source<C>,
    /// Our OACK has not been acknowledged; the DATA waits for that.
    opening: bool,
    opening_due: bool,
    windowsize: u16,
    /// Blocks sent in one go; below `windowsize` only while the path shows loss. The receiver
    /// acknowledges whole windows of the agreed size, so a window is stretched, never cut.
    burst: u16,
    /// What is left of the current burst.
    allowance: u16,
    /// Windows with loss, in a row.
    losses: u8,
    joining: Joining,
    /// Everything up to here has been acknowledged.
    acked: BlockIndex,
    /// The next block to send.
    next: BlockIndex,
    /// One past the highest block ever sent; the opening counts as block 0.
    high: BlockIndex,
    /// The highest block that had been sent when the window last started over. Until it is
    /// acknowledged, ACKs may still be answers to what was sent before.
    restarted: BlockIndex,
    /// When the OACK was sent, if once.
    opening_sent: Option<Time>,
    /// When the first block of the current window was sent.
    launched: Time,
    /// The first block of the current window that had never been sent before. An ACK from here on
    /// answers this window and no earlier one, so it measures the round trip (Karn's rule).
    fresh: BlockIndex,
    /// The current window started over at an ACK, not at a time-out. The receiver had nothing of it
    /// then, so every ACK measures the round trip, unless it comes too soon.
    reported: bool,
    /// When to take an unclear ACK for a gap after all.
    doubt_at: Option<Time>,
    rtt: Rtt,
    patience: Patience,
    /// When to send again or give up.
    deadline: Time,
    /// When to send the next burst of the window.
    burst_at: Option<Time>,
    /// Repeats of the first block that is missing.
    repeats: Repeats,
    /// When to send it again, as a peer has asked too soon.
    repeat_at: Option<Time>,
    /// When the peer last moved the transfer on.
    heard: Time,
    /// Nothing has come from the peer yet.
    unproven: bool,
    /// How often the first packet may still be repeated unasked before that.
    opening_repeats: u8,
    bytes: u64,
    retransmissions: u32,
}

/// What an ACK did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckOutcome {
    /// It moved the transfer on, or restarted the window at a gap.
    Taken,
    /// It was for the last block: the transfer is complete.
    Complete,
    /// It said nothing new.
    Ignored,
}

/// What the passing of time did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Nothing, or something is due to be sent.
    Waiting,
    /// The peer has been silent for too long.
    GivenUp,
}

/// What a sender wants to send.
#[derive(Clone, Copy, Debug)]
pub enum Offer {
    /// The OACK: [`Agreed::option_ack`].
    Opening,
    /// Consecutive blocks; see [`Sender::payload`].
    Run {
        /// The first block.
        first: BlockIndex,
        /// How many, from 1.
        blocks: u16,
    },
}

impl<C: AsRef<[u8]>> Sender<C> {
    /// Starts a transfer. With `opening`, the DATA waits until ACK 0 has answered it. A server that
    /// agreed to a window always has one, so it never sends a window to an address that may be
    /// forged.
    pub fn new(
        now: Time,
        mut source: Source<C>,
        agreed: &Agreed,
        opening: bool,
        timing: &Timing,
    ) -> Sender<C> {
        let timing = timing.with_timeout_option(agreed.timeout);
        let rtt = Rtt::new(&timing);
        if !opening {
            source.release(0);
        }
        Sender {
            source,
            opening_due: opening,
            opening,
            windowsize: agreed.windowsize,
            burst: agreed.windowsize,
            allowance: agreed.windowsize,
            losses: 0,
            joining: Joining::default(),
            acked: 0,
            next: 1,
            high: 0,
            restarted: 0,
            opening_sent: None,
            launched: now,
            fresh: 1,
            reported: false,
            doubt_at: None,
            deadline: now + rtt.timeout(),
            rtt,
            patience: Patience::new(&timing),
            burst_at: None,
            repeats: Repeats::default(),
            repeat_at: None,
            heard: now,
            unproven: true,
            opening_repeats: timing.opening_repeats,
            bytes: 0,
            retransmissions: 0,
        }
    }

    /// The same with a round trip that was measured before the transfer began.
    #[must_use]
    pub fn measured(mut self, now: Time, round_trip: Option<Duration>) -> Sender<C> {
        if let Some(round_trip) = round_trip {
            self.rtt.sample(round_trip);
            self.arm(now);
        }
        self
    }

    /// Takes the block number of an ACK from the peer.
    pub fn handle_ack(&mut self, now: Time, block: u16) -> AckOutcome {
        if self.opening {
            return self.handle_opening_ack(now, block);
        }
        // Only blocks that were sent and are not acknowledged yet can be meant.
        let index = self.index_of(block);
        if index >= self.high {
            return AckOutcome::Ignored;
        }
        if index == self.acked {
            return self.handle_repeated_ack(now);
        }
        self.heard(now);
        if index >= self.fresh || (self.reported && !self.is_too_soon(now)) {
            self.rtt.sample(now.since(self.launched));
        } else {
            self.rtt.moved_on();
        }
        let moved = index - self.acked;
        self.bytes += self.bytes_between(self.acked, index);
        self.acked = index;
        self.joining.acknowledged(moved);
        self.source.release(index);
        self.doubt_at = None;
        if self.source.last() == Some(index) {
            return AckOutcome::Complete;
        }
        if index + 1 >= self.next {
            self.note_clean_window();
            self.start_window(now);
        } else if self.is_restarted() {
            self.allowance = self.allowance.saturating_add(moved.try_into().unwrap_or(u16::MAX));
            self.arm(now);
            self.doubt(now);
        } else {
            // The window was cut short: something behind `index` is missing.
            self.repair_gap(now);
        }
        AckOutcome::Taken
    }

    fn handle_opening_ack(&mut self, now: Time, block: u16) -> AckOutcome {
        if block != 0 {
            return AckOutcome::Ignored;
        }
        self.opening = false;
        self.opening_due = false;
        if let Some(sent) = self.opening_sent.take() {
            self.rtt.sample(now.since(sent));
        }
        self.heard(now);
        self.source.release(0);
        self.start_window(now);
        AckOutcome::Taken
    }

    /// An ACK of what is already acknowledged. A receiver that misses the first block of a window
    /// has nothing else to say (RFC 7440 section 4), and says it once for each block behind it.
    fn handle_repeated_ack(&mut self, now: Time) -> AckOutcome {
        let in_flight = self.next - self.acked - 1;
        if in_flight < 2 || self.is_too_soon(now) {
            return AckOutcome::Ignored;
        }
        if self.is_restarted() {
            if self.doubt_at.is_none() {
                self.doubt(now);
            }
        } else {
            self.repair_gap(now);
        }
        AckOutcome::Taken
    }

    /// Whether an ACK now can hardly be an answer to the current window, but is late or a copy made
    /// by the network.
    fn is_too_soon(&self, now: Time) -> bool {
        now.since(self.launched) <= self.rtt.smoothed() / 2
    }

    /// Whether the receiver may have had some of the current window from an earlier one.
    ///
    /// Then it answers what it had with an ACK that falls short of the window, though nothing is
    /// missing. Starting over at that would send it more of what it has, and so on to the end of
    /// the file (the Sorcerer's Apprentice of RFC 1123 section 4.2.3.1, for windows).
    fn is_restarted(&self) -> bool {
        self.acked < self.restarted
    }

    /// Waits for the ACK that tells whether something is missing: it is a round trip away at most.
    fn doubt(&mut self, now: Time) {
        self.doubt_at = Some(now + self.rtt.smoothed() + DOUBT);
    }

    /// To be called when [`poll_timeout`](Sender::poll_timeout) has passed.
    pub fn handle_timeout(&mut self, now: Time) -> Expiry {
        if self.burst_at.is_some_and(|at| at <= now) {
            self.burst_at = None;
            self.allowance = self.burst;
        }
        if now < self.deadline {
            if self.doubt_at.is_some_and(|at| at <= now) {
                self.doubt_at = None;
                self.repair(now);
            } else if self.repeat_at.is_some_and(|at| at <= now) {
                self.repair(now);
            }
            return Expiry::Waiting;
        }
        if now >= self.heard + self.patience() {
            return Expiry::GivenUp;
        }
        if self.unproven && self.opening_repeats == 0 {
            self.arm(now);
            return Expiry::Waiting;
        }
        if self.opening {
            self.note_time_out();
            self.opening_due = true;
            self.opening_sent = None;
            self.arm(now);
        } else {
            self.time_out(now);
        }
        Expiry::Waiting
    }

    /// Starts the window over after a silence.
    fn time_out(&mut self, now: Time) {
        if let Err(at) = self.admit_repeat(now) {
            self.deadline = at.min(self.heard + self.patience());
            return;
        }
        self.note_time_out();
        self.joining.timed_out();
        self.restart_window(now);
        self.arm(now);
    }

    fn note_time_out(&mut self) {
        self.rtt.back_off();
        if self.unproven {
            self.opening_repeats = self.opening_repeats.saturating_sub(1);
        }
    }

    /// Sends the first packet again, because the peer has repeated its request.
    pub fn repeat_first(&mut self, now: Time) {
        if !self.unproven {
            return;
        }
        self.opening_sent = None;
        match self.admit_repeat(now) {
            Err(at) => self.repeat_at = Some(at),
            Ok(()) if self.opening => self.opening_due = true,
            Ok(()) => self.start_window(now),
        }
    }

    /// Starts the window over at a gap that the peer reports, if that was not just done.
    fn repair_gap(&mut self, now: Time) {
        if self.repair(now) {
            self.reported = true;
        }
    }

    /// Sends again what is missing first, now or when it may leave; true if now.
    fn repair(&mut self, now: Time) -> bool {
        self.repeat_at = None;
        match self.admit_repeat(now) {
            Err(at) => self.repeat_at = Some(at),
            Ok(()) if self.opening => self.opening_due = true,
            Ok(()) => self.restart_window(now),
        }
        self.repeat_at.is_none()
    }

    fn admit_repeat(&mut self, now: Time) -> Result<(), Time> {
        self.repeats.admit(now, self.acked + 1, self.rtt.smoothed())
    }

    /// What to send now, at most `max_blocks` in one run.
    pub fn poll_transmit(&mut self, now: Time, max_blocks: u16) -> Option<Offer> {
        if self.opening {
            if !std::mem::take(&mut self.opening_due) {
                return None;
            }
            // The first transmission alone measures the round trip.
            if self.high == 0 {
                self.high = 1;
                self.opening_sent = Some(now);
            } else {
                self.retransmissions = self.retransmissions.saturating_add(1);
            }
            self.arm(now);
            return Some(Offer::Opening);
        }
        self.poll_run(now, max_blocks)
    }

    fn poll_run(&mut self, now: Time, max_blocks: u16) -> Option<Offer> {
        let end = self.window_end();
        let left = u16::try_from(end.saturating_sub(self.next)).unwrap_or(u16::MAX);
        let blocks = left.min(self.allowance).min(max_blocks);
        if blocks == 0 {
            return None;
        }
        let first = self.next;
        self.next += u64::from(blocks);
        self.allowance -= blocks;
        let high = self.high.max(1);
        if first == self.acked + 1 {
            self.launched = now;
            self.fresh = high;
        }
        let again = high.min(self.next).saturating_sub(first);
        self.retransmissions = self.retransmissions.saturating_add(again as u32);
        self.high = high.max(self.next);
        if self.next < end && self.allowance == 0 {
            self.burst_at = Some(now + BURST_GAP);
        }
        self.arm(now);
        Some(Offer::Run { first, blocks })
    }

    /// When [`handle_timeout`](Sender::handle_timeout) is next needed.
    pub fn poll_timeout(&self) -> Time {
        self.due(Duration::ZERO)
    }

    /// The same, but the peer's silence is borne with for this much longer.
    pub(crate) fn due(&self, slack: Duration) -> Time {
        let ours = [self.burst_at, self.doubt_at, self.repeat_at].into_iter().flatten();
        let end = self.heard + self.patience();
        ours.fold((self.deadline + slack).min(end), Time::min)
    }

    /// The bytes of a run; `None` if the window has moved since it was offered. Then the run must
    /// not be sent: its bytes may be gone, and what is still needed is offered again.
    pub fn payload(&self, first: BlockIndex, blocks: u16) -> Option<&[u8]> {
        let wanted = first > self.acked && first + u64::from(blocks) <= self.next;
        wanted.then(|| self.source.payload(first, blocks))
    }

    /// The content that is sent.
    pub(crate) fn content(&self) -> &C {
        self.source.content()
    }

    /// Whether an ACK of this block can be the peer's first answer.
    pub(crate) fn is_answered_by(&self, block: u16) -> bool {
        self.unproven && self.is_in_flight(block) && (self.opening || block != 0)
    }

    /// Whether an ACK of this block fits what is under way: it acknowledges some of that, or says
    /// once more what is acknowledged.
    pub(crate) fn is_in_flight(&self, block: u16) -> bool {
        self.index_of(block) < self.high
    }

    /// Whether the window under way holds a block that travels as number 1.
    pub(crate) fn passes_for_first(&self) -> bool {
        1_u16.wrapping_sub(on_the_wire(self.acked + 1)) < self.windowsize
    }

    /// The index that an ACK of this block means, if it is not beyond what was sent.
    fn index_of(&self, block: u16) -> BlockIndex {
        self.acked + u64::from(block.wrapping_sub(on_the_wire(self.acked)))
    }

    /// Whether the blocks of a run are to leave one by one: sent as one, they may be what gets lost.
    pub fn is_cautious(&self) -> bool {
        self.joining.is_cautious()
    }

    /// Whether runs that left as one have arrived; `None` when the transfer does not tell.
    pub fn runs_arrive(&self) -> Option<bool> {
        self.joining.verdict()
    }

    /// Whether the peer has answered at all.
    pub fn is_proven(&self) -> bool {
        !self.unproven
    }

    /// When the peer last moved the transfer on; at first, when it began.
    pub fn last_heard(&self) -> Time {
        self.heard
    }

    /// Whether all blocks were sent and only the ACK of the last window is missing. Of a file that is
    /// one window that is said only if its packets are too small to be what is lost.
    pub fn awaits_last_ack(&self) -> bool {
        let window = u64::from(self.windowsize);
        let is_sent = |last: BlockIndex| last < self.high && last - self.acked <= window;
        self.source.last().is_some_and(is_sent) && (self.acked > 0 || self.total() <= SMALL)
    }

    /// Blocks that were acknowledged.
    pub fn blocks(&self) -> u64 {
        self.acked
    }

    /// Bytes of blocks that were acknowledged, as they travelled.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of the whole content; in netascii others travel.
    pub(crate) fn total(&self) -> u64 {
        self.source.len()
    }

    /// Packets that were sent again.
    pub fn retransmissions(&self) -> u32 {
        self.retransmissions
    }

    fn heard(&mut self, now: Time) {
        self.heard = now;
        self.unproven = false;
    }

    /// Makes the block behind the last acknowledged one the next to send.
    fn start_window(&mut self, now: Time) {
        self.next = self.acked + 1;
        self.allowance = self.burst;
        self.burst_at = None;
        self.doubt_at = None;
        self.repeat_at = None;
        self.reported = false;
        self.arm(now);
    }

    /// Starts the window over behind the last acknowledged block: something of it was lost.
    fn restart_window(&mut self, now: Time) {
        self.restarted = self.high.saturating_sub(1);
        self.losses = self.losses.saturating_add(1);
        if self.losses >= LOSSES_BEFORE_SHRINKING {
            self.burst = (self.burst / 2).max(self.windowsize / MAX_BURSTS).max(1);
        }
        self.start_window(now);
    }

    fn note_clean_window(&mut self) {
        self.losses = 0;
        self.burst = self.burst.saturating_mul(2).min(self.windowsize);
    }

    /// One past the last block that may be sent before the next ACK.
    fn window_end(&self) -> BlockIndex {
        let last = self.acked + u64::from(self.windowsize);
        self.source.last().map_or(last, |end| last.min(end)) + 1
    }

    fn bytes_between(&self, from: BlockIndex, to: BlockIndex) -> u64 {
        let blocks = u16::try_from(to - from).unwrap_or(u16::MAX);
        self.source.payload(from + 1, blocks).len() as u64
    }

    fn patience(&self) -> Duration {
        self.patience.with(!self.unproven)
    }

    fn arm(&mut self, now: Time) {
        let end = self.heard + self.patience();
        let repeats = !self.unproven || self.opening_repeats > 0;
        self.deadline = if repeats { end.min(now + self.rtt.timeout()) } else { end };
    }
}
