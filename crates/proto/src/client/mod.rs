//! A client: one transfer from its request to its last ACK.

mod ask;
mod failure;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

pub use self::ask::{Ask, AskError};
pub use self::failure::{Failure, Silence};

use self::ask::asked_in;
use crate::block::BlockIndex;
use crate::config::Timing;
use crate::control::ControlPacket;
use crate::negotiate::{Agreed, TftpOption, accept};
use crate::netascii::encoded_len;
use crate::packet::{ErrorCode, Opcode, Packet, data_packets};
use crate::receiver::{Acknowledgement, Dally, LastBlock, Receiver, Side, Verdict};
use crate::request::Mode;
use crate::sender::{AckOutcome, Expiry, Offer, Sender};
use crate::source::Source;
use crate::time::Time;

/// Requests with options that are sent before one without: a few servers never answer the former.
const ASKS_WITH_OPTIONS: u32 = 3;

/// How long a reader stays after a transfer that lost packets, in case its last ACK is lost, too
/// (RFC 1350 section 6). Time for a server that adapts; the slow ones give up on their own.
const DALLY: Duration = Duration::from_millis(250);

/// Answers to strangers that wait to be sent; over it there is none.
const MAX_STRAYS: usize = 8;

/// One transfer, seen from the client: the request, what the server answers, the blocks, the end.
///
/// Order of calls: any of `handle_datagram`, `handle_timeout`, `commit` and `abort`; then
/// [`poll_transmit`](Client::poll_transmit) until it gives nothing; then wait until a datagram
/// comes or [`poll_timeout`](Client::poll_timeout) has passed; until that gives nothing. Extra
/// calls are harmless.
///
/// A get is done when [`is_received`](Client::is_received) says that all bytes are there *and* the
/// caller has called [`commit`](Client::commit): only then the server hears of it.
///
/// Options that the server ignores are done without. If it refuses them (ERROR 8 or 4) or leaves
/// three requests unanswered, it is asked once more without any.
#[derive(Debug)]
pub struct Client<C> {
    /// Where requests go.
    server: SocketAddr,
    /// Where the server's answers to this transfer come from, once the first has come.
    peer: Option<SocketAddr>,
    ask: Ask,
    /// What was asked with options, and is asked without them now.
    fell_back: bool,
    request: Vec<u8>,
    request_due: bool,
    /// How often the request was sent.
    asks: u32,
    /// When it was first sent.
    started: Time,
    /// When it was sent last.
    asked: Time,
    deadline: Time,
    timing: Timing,
    state: State<C>,
    strays: VecDeque<(SocketAddr, ControlPacket)>,
    /// Another host that sent something before the server has answered.
    elsewhere: Option<SocketAddr>,
    agreed: Agreed,
    /// From the first request to the first answer.
    first_answer: Option<Duration>,
    out_of_order: u32,
    totals: Totals,
    outcome: Option<Result<(), Failure>>,
}

#[derive(Debug)]
enum State<C> {
    /// The server has not answered. A put holds its content.
    Asking(Option<C>),
    Getting(Receiver),
    /// All is there; the caller has not committed it yet.
    Received(LastBlock),
    /// The last ACK is repeated when asked for.
    Dallying(Dally<()>, Time),
    Putting(Sender<C>),
    Over,
}

/// What a transfer came to so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Blocks that have arrived or were acknowledged.
    pub blocks: u64,
    /// Their bytes, as they travelled.
    pub bytes: u64,
    /// Packets that we sent again, requests included.
    pub retransmissions: u32,
}

/// What a client wants to send.
#[derive(Clone, Copy, Debug)]
pub enum ClientOffer {
    /// The request: [`Client::request`].
    Request,
    /// One small packet.
    Control(ControlPacket),
    /// Consecutive blocks: [`Client::datagrams`].
    Run {
        /// The first block.
        first: BlockIndex,
        /// How many, from 1.
        blocks: u16,
    },
}

impl<C: AsRef<[u8]>> Client<C> {
    /// Starts to read a file from `server`.
    ///
    /// # Errors
    /// This cannot be asked for.
    pub fn get(
        now: Time,
        server: SocketAddr,
        ask: Ask,
        timing: &Timing,
    ) -> Result<Client<C>, AskError> {
        let request = ask.encode(Opcode::Read, 0)?;
        Ok(Client::new(now, server, ask, request, State::Asking(None), timing))
    }

    /// Starts to write `content` to a file at `server`.
    ///
    /// # Errors
    /// This cannot be asked for.
    pub fn put(
        now: Time,
        server: SocketAddr,
        ask: Ask,
        content: C,
        timing: &Timing,
    ) -> Result<Client<C>, AskError> {
        let bytes = content.as_ref();
        let tsize = match ask.mode {
            Mode::Netascii if ask.tsize => encoded_len(bytes),
            _ => bytes.len() as u64,
        };
        let request = ask.encode(Opcode::Write, tsize)?;
        Ok(Client::new(now, server, ask, request, State::Asking(Some(content)), timing))
    }

    fn new(
        now: Time,
        server: SocketAddr,
        ask: Ask,
        request: Vec<u8>,
        state: State<C>,
        timing: &Timing,
    ) -> Client<C> {
        Client {
            server,
            peer: None,
            ask,
            fell_back: false,
            request,
            request_due: true,
            asks: 0,
            started: now,
            asked: now,
            deadline: now + timing.initial.min(timing.opening_patience),
            timing: *timing,
            state,
            strays: VecDeque::new(),
            elsewhere: None,
            agreed: Agreed::PLAIN,
            first_answer: None,
            out_of_order: 0,
            totals: Totals::default(),
            outcome: None,
        }
    }

    /// Takes a datagram that came `from` somewhere. `store` gets the bytes of a get, in order, each
    /// once.
    ///
    /// # Errors
    /// The error of `store`. The transfer is over then, and the server is told so.
    pub fn handle_datagram<E>(
        &mut self,
        now: Time,
        from: SocketAddr,
        datagram: &[u8],
        store: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Ok(packet) = Packet::parse(datagram) else { return Ok(()) };
        match self.peer {
            Some(peer) if from != peer => self.handle_stray(peer, from, &packet),
            Some(_) => return self.handle_packet(now, &packet, store),
            // The answer comes from another port, but never from another host (RFC 1350 section 4).
            None if from.ip() == self.server.ip() => {
                self.handle_first(now, from, &packet);
                // The first block is an answer and a block.
                if self.peer == Some(from) && matches!(packet, Packet::Data { .. }) {
                    return self.handle_packet(now, &packet, store);
                }
            }
            None => self.elsewhere = Some(from),
        }
        Ok(())
    }

    /// Something that is not from the port that serves us: the second answer to a request that was
    /// sent twice, perhaps. It ends there, without harm to ours (RFC 1350 section 4).
    fn handle_stray(&mut self, peer: SocketAddr, from: SocketAddr, packet: &Packet<'_>) {
        let answerable = from.ip() == peer.ip() && !matches!(packet, Packet::Error { .. });
        if answerable && self.outcome.is_none() && self.strays.len() < MAX_STRAYS {
            let packet = ControlPacket::error(ErrorCode::UNKNOWN_TID, "unknown transfer ID");
            self.strays.push_back((from, packet));
        }
    }

    fn handle_first(&mut self, now: Time, from: SocketAddr, packet: &Packet<'_>) {
        let State::Asking(content) = &mut self.state else { return };
        if self.asks == 0 {
            return;
        }
        let agreed = match (packet, content.is_some()) {
            (Packet::Data { block: 1, .. }, false) | (Packet::Ack { block: 0 }, true) => {
                Agreed::PLAIN
            }
            // Late, of the request with options; the server has that without by now.
            (Packet::OptionAck(_), _) if self.fell_back => return,
            (Packet::OptionAck(options), _) => match accept(&asked_in(&self.request), *options) {
                Ok(agreed) => agreed,
                Err(error) => {
                    self.peer = Some(from);
                    let text = error.to_string();
                    return self.fail(Failure::Options(error), Some((ErrorCode::OPTIONS, &text)));
                }
            },
            (Packet::Error { code, text }, _) => return self.handle_refusal(now, *code, text),
            _ => return,
        };
        let content = content.take();
        self.begin(now, from, agreed, content);
    }

    fn begin(&mut self, now: Time, from: SocketAddr, agreed: Agreed, content: Option<C>) {
        self.peer = Some(from);
        self.agreed = agreed;
        self.request_due = false;
        self.first_answer = Some(now.since(self.started));
        // Karn's rule: only the answer to a request that was sent once tells the round trip.
        let round_trip = (self.asks == 1).then(|| now.since(self.asked));
        let (mode, timing) = (self.ask.mode, &self.timing);
        self.state = match content {
            None => State::Getting(
                Receiver::new(now, &agreed, mode, Side::Client, timing).measured(round_trip),
            ),
            Some(content) => {
                let source = Source::new(content, mode, agreed.blksize, agreed.windowsize);
                let sender = Sender::new(now, source, &agreed, false, timing);
                State::Putting(sender.measured(now, round_trip))
            }
        };
    }

    /// An ERROR as the first answer.
    fn handle_refusal(&mut self, now: Time, code: ErrorCode, text: &[u8]) {
        let about_options = matches!(code, ErrorCode::OPTIONS | ErrorCode::ILLEGAL);
        if about_options && self.fell_back && code == ErrorCode::OPTIONS {
            // There were none to refuse: it is late.
        } else if about_options && self.fall_back() {
            self.asks = 0;
            self.ask_again(now);
        } else {
            self.refused(code, text);
        }
    }

    /// Leaves the options out from now on; false if there are none.
    fn fall_back(&mut self) -> bool {
        let plain = self.ask.clone().without_options();
        let opcode = if self.is_put() { Opcode::Write } else { Opcode::Read };
        let Ok(request) = plain.encode(opcode, 0) else { return false };
        if self.fell_back || request == self.request {
            return false;
        }
        (self.ask, self.request, self.fell_back) = (plain, request, true);
        true
    }

    fn ask_again(&mut self, now: Time) {
        self.request_due = true;
        let wait = self.timing.initial.saturating_mul(1 << self.asks.min(8));
        let end = self.started + self.timing.opening_patience;
        self.deadline = (now + wait.min(self.timing.ceiling)).min(end);
    }

    fn handle_packet<E>(
        &mut self,
        now: Time,
        packet: &Packet<'_>,
        store: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        match (packet, &mut self.state) {
            (Packet::Data { block, payload }, State::Getting(_)) => {
                return self.handle_data(now, *block, payload, store);
            }
            (Packet::Data { block, .. }, State::Dallying(dally, _)) => {
                dally.handle_data(now, *block);
            }
            (Packet::Ack { block }, State::Putting(sender)) => {
                let outcome = sender.handle_ack(now, *block);
                if outcome == AckOutcome::Complete {
                    self.finish();
                }
            }
            // The server has not heard our answer to its first.
            (Packet::OptionAck(_), State::Getting(receiver)) => receiver.repeat_first(),
            // To a put it is a duplicate of ACK 0, which brings no DATA (RFC 1123 section 4.2.3.1).
            (Packet::Error { .. }, State::Dallying(..) | State::Over) => {}
            (Packet::Error { code, text }, _) => self.refused(*code, text),
            _ => {}
        }
        Ok(())
    }

    fn handle_data<E>(
        &mut self,
        now: Time,
        block: u16,
        payload: &[u8],
        store: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let State::Getting(receiver) = &mut self.state else { return Ok(()) };
        match receiver.handle_data(now, block, payload, store) {
            Ok(Verdict::Taken) => {}
            Ok(Verdict::OutOfOrder) => self.out_of_order = self.out_of_order.saturating_add(1),
            Ok(Verdict::TooLong) => {
                let answer = (ErrorCode::ILLEGAL, "DATA is longer than the block size agreed");
                self.fail(Failure::TooLong, Some(answer));
            }
            Ok(Verdict::Complete) => self.receive_last(),
            Err(error) => {
                self.abort(ErrorCode::FULL, "the client cannot store the file");
                return Err(error);
            }
        }
        Ok(())
    }

    /// The last block is here. It may have come too soon: a block that was cut on its way ends a file,
    /// and only the size tells.
    fn receive_last(&mut self) {
        let State::Getting(receiver) = &self.state else { return };
        let (last, received) = (receiver.finish(), receiver.bytes());
        match self.announced() {
            // Servers that do not know the size send back the 0 that was asked.
            Some(announced) if self.ask.mode == Mode::Octet && received < announced => {
                let answer = (ErrorCode::UNDEFINED, "fewer bytes came than were announced");
                self.fail(Failure::Short { announced, received }, Some(answer));
            }
            _ => {
                self.totals = self.totals();
                if let Some(last) = last {
                    self.state = State::Received(last);
                }
            }
        }
    }

    /// To be called when [`poll_timeout`](Client::poll_timeout) has passed.
    pub fn handle_timeout(&mut self, now: Time) {
        let expiry = match &mut self.state {
            State::Asking(_) if now >= self.deadline => return self.handle_silence(now),
            State::Getting(receiver) => receiver.handle_timeout(now),
            State::Putting(sender) => sender.handle_timeout(now),
            State::Dallying(dally, until) if *until <= now && !dally.is_due() => {
                self.state = State::Over;
                return;
            }
            _ => return,
        };
        if expiry == Expiry::GivenUp {
            let silence = self.silence();
            self.fail(Failure::TimedOut(silence), None);
        }
    }

    fn handle_silence(&mut self, now: Time) {
        if now >= self.started + self.timing.opening_patience {
            let silence = self.silence();
            return self.fail(Failure::TimedOut(silence), None);
        }
        if self.asks >= ASKS_WITH_OPTIONS {
            self.fall_back();
        }
        self.ask_again(now);
    }

    /// What to send now, at most `max_blocks` in one run, and where it goes.
    pub fn poll_transmit(
        &mut self,
        now: Time,
        max_blocks: u16,
    ) -> Option<(SocketAddr, ClientOffer)> {
        if let Some((to, packet)) = self.strays.pop_front() {
            return Some((to, ClientOffer::Control(packet)));
        }
        if std::mem::take(&mut self.request_due) {
            self.asks += 1;
            self.totals.retransmissions += u32::from(self.asks > 1);
            self.asked = now;
            return Some((self.server, ClientOffer::Request));
        }
        let offer = match &mut self.state {
            State::Getting(receiver) => match receiver.poll_transmit(now)? {
                Acknowledgement::Ack(packet) => ClientOffer::Control(packet),
                // Only a server has one.
                Acknowledgement::Opening => return None,
            },
            State::Dallying(dally, _) => ClientOffer::Control(dally.poll_transmit()?),
            State::Putting(sender) => match sender.poll_transmit(now, max_blocks)? {
                Offer::Opening => return None,
                Offer::Run { first, blocks } => ClientOffer::Run { first, blocks },
            },
            State::Asking(_) | State::Received(_) | State::Over => return None,
        };
        Some((self.peer?, offer))
    }

    /// When [`handle_timeout`](Client::handle_timeout) is next needed; `None` when the transfer is
    /// over and nothing may come any more, or when only [`commit`](Client::commit) is missing.
    pub fn poll_timeout(&self) -> Option<Time> {
        match &self.state {
            State::Asking(_) => Some(self.deadline),
            State::Getting(receiver) => receiver.poll_timeout(),
            State::Putting(sender) => Some(sender.poll_timeout()),
            State::Dallying(_, until) => Some(*until),
            State::Received(_) | State::Over => None,
        }
    }

    /// The request as it travels.
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// The DATA packets of a run as header and payload; `None` if the window has moved since it
    /// was offered, and then there is nothing to send.
    pub fn datagrams(
        &self,
        first: BlockIndex,
        blocks: u16,
    ) -> Option<impl Iterator<Item = ([u8; 4], &[u8])>> {
        let State::Putting(sender) = &self.state else { return None };
        let bytes = sender.payload(first, blocks)?;
        Some(data_packets(first, blocks, self.agreed.blksize, bytes))
    }

    /// Whether all bytes of a get were given to `store`, and [`commit`](Client::commit) is awaited.
    pub fn is_received(&self) -> bool {
        matches!(self.state, State::Received(_))
    }

    /// The file is kept for good: the server may hear so.
    pub fn commit(&mut self, now: Time) {
        let State::Received(last) = self.state else { return };
        let lossy = self.out_of_order > 0 || self.totals.retransmissions > 0;
        let until = if lossy { now + DALLY } else { now };
        self.state = State::Dallying(Dally::new(last, ()), until);
        self.outcome = Some(Ok(()));
    }

    /// Ends the transfer, if it is not over, and tells the server why.
    pub fn abort(&mut self, code: ErrorCode, text: &str) {
        if self.outcome.is_none() {
            self.fail(Failure::Aborted, Some((code, text)));
        }
    }

    /// How it ended, once it has.
    pub fn outcome(&self) -> Option<&Result<(), Failure>> {
        self.outcome.as_ref()
    }

    /// Where the server's answers come from, once the first has come.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// What server and client hold to; [`Agreed::PLAIN`] before the first answer.
    pub fn agreed(&self) -> &Agreed {
        &self.agreed
    }

    /// What the server said that the size of the file is, in bytes as they travel.
    pub fn announced(&self) -> Option<u64> {
        let mut options = self.agreed.options();
        options.find(|(option, _)| *option == TftpOption::Tsize).map(|(_, value)| value)
    }

    /// From the start to the first answer.
    pub fn first_answer(&self) -> Option<Duration> {
        self.first_answer
    }

    /// DATA packets that were not the one wanted: repeated, or behind a lost one.
    pub fn out_of_order(&self) -> u32 {
        self.out_of_order
    }

    /// What the transfer came to so far.
    pub fn totals(&self) -> Totals {
        let (blocks, bytes, retransmissions) = match &self.state {
            State::Getting(r) => (r.blocks(), r.bytes(), r.retransmissions()),
            State::Putting(s) => (s.blocks(), s.bytes(), s.retransmissions()),
            _ => return self.totals,
        };
        let retransmissions = self.totals.retransmissions.saturating_add(retransmissions);
        Totals { blocks, bytes, retransmissions }
    }

    fn silence(&self) -> Silence {
        match &self.state {
            State::Asking(_) => Silence::Unanswered { elsewhere: self.elsewhere },
            State::Putting(sender) if sender.awaits_last_ack() => Silence::LastAck,
            _ if self.totals().blocks == 0 => Silence::NoBlock,
            _ => Silence::Midway,
        }
    }

    fn is_put(&self) -> bool {
        matches!(self.state, State::Asking(Some(_)) | State::Putting(_))
    }

    fn refused(&mut self, code: ErrorCode, text: &[u8]) {
        let text = String::from_utf8_lossy(text).into_owned();
        self.fail(Failure::Refused { code, text }, None);
    }

    fn fail(&mut self, failure: Failure, answer: Option<(ErrorCode, &str)>) {
        if let (Some((code, text)), Some(peer)) = (answer, self.peer) {
            self.strays.push_back((peer, ControlPacket::error(code, text)));
        }
        self.totals = self.totals();
        self.request_due = false;
        self.state = State::Over;
        self.outcome = Some(Err(failure));
    }

    fn finish(&mut self) {
        self.totals = self.totals();
        self.state = State::Over;
        self.outcome = Some(Ok(()));
    }
}
