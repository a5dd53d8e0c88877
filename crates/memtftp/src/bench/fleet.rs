//! All clients, their sockets, and the loop that moves them.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use memtftp_client::Cancel;
use memtftp_proto::{AskError, Time};
use memtftp_udp::{BATCH, Poller, RecvBatch, SendBuffer};

use crate::bench::deadlines::Deadlines;
use crate::bench::load::{Amount, Load};
use crate::bench::member::Member;
use crate::bench::outbox::{Letter, Outbox};
use crate::bench::pool::Pool;
use crate::bench::tally::Tally;

/// Batches taken from one socket before the others have their turn.
const MAX_BATCHES: usize = 4;

/// Blocks of one run, at most: what a client sends before the next has its turn.
const MAX_RUN: u16 = 32;

/// The longest wait before it is looked whether a signal came.
const LOOK: Duration = Duration::from_millis(100);

/// Clients that make one load together.
pub(crate) struct Fleet<'a> {
    load: &'a Load,
    pool: &'a Pool,
    cancel: &'a Cancel,
    members: Vec<Member>,
    /// What each client is to do instead of what the mix says; used once.
    orders: Option<Vec<Option<usize>>>,
    outboxes: Vec<Outbox>,
    /// Sockets that have something to send.
    dirty: Vec<usize>,
    /// Clients that got something.
    touched: Vec<u32>,
    /// Clients that may begin.
    idle: VecDeque<u32>,
    deadlines: Deadlines,
    poller: Poller,
    batch: RecvBatch,
    buffer: SendBuffer,
    origin: Instant,
    /// Clients that have had their first turn.
    launched: u32,
    begun: u64,
    /// Clients whose port is still in use.
    open: u64,
    /// When the last transfer was counted.
    last: Time,
    tally: Tally,
}

impl<'a> Fleet<'a> {
    /// A fleet that is ready to begin.
    pub(crate) fn new(load: &'a Load, pool: &'a Pool, cancel: &'a Cancel) -> io::Result<Fleet<'a>> {
        let mut poller = Poller::new()?;
        for (key, socket) in pool.sockets().iter().enumerate() {
            poller.add(socket, key)?;
        }
        Ok(Fleet {
            load,
            pool,
            cancel,
            members: (0..pool.clients()).map(|number| Member::new(number, load.seed)).collect(),
            orders: None,
            outboxes: pool.sockets().iter().map(|_| Outbox::default()).collect(),
            dirty: Vec::new(),
            touched: Vec::new(),
            idle: VecDeque::new(),
            deadlines: Deadlines::default(),
            poller,
            batch: RecvBatch::new(),
            buffer: SendBuffer::new(),
            origin: Instant::now(),
            launched: 0,
            begun: 0,
            open: 0,
            last: Time::ZERO,
            tally: Tally::new(),
        })
    }

    /// Gives each client one file, or nothing to do.
    pub(crate) fn ordered(self, orders: Vec<Option<usize>>) -> Fleet<'a> {
        Fleet { orders: Some(orders), ..self }
    }

    /// Which file each client has written last.
    pub(crate) fn written(&self) -> Vec<Option<usize>> {
        self.members.iter().map(|member| member.written).collect()
    }

    /// Runs the load to its end. Gives the counts and how long it took.
    pub(crate) fn run(&mut self) -> Result<(Tally, Duration), FleetError> {
        self.origin = Instant::now();
        loop {
            let now = self.now();
            self.begin(now)?;
            if self.is_over(now) {
                self.cut_off(now);
                self.flush()?;
                let time = self.last.since(Time::ZERO);
                return Ok((self.tally.clone(), time));
            }
            self.receive(now)?;
            let now = self.now();
            self.visit(now);
            self.flush()?;
        }
    }

    fn now(&self) -> Time {
        Time::ZERO + self.origin.elapsed()
    }

    fn is_over(&self, now: Time) -> bool {
        match self.load.amount {
            _ if self.cancel.is_cancelled() => true,
            Amount::Duration(duration) => now >= Time::ZERO + duration,
            // Those that stay to repeat their last ACK are waited for.
            Amount::Transfers(_) => self.open == 0 && self.idle.is_empty() && !self.may_launch(),
        }
    }

    /// Whether another transfer may begin, with this many set aside.
    fn may_begin(&self, aside: u32) -> bool {
        match self.load.amount {
            Amount::Duration(_) => true,
            Amount::Transfers(transfers) => self.begun + u64::from(aside) < transfers,
        }
    }

    /// Whether a client waits for its first turn.
    fn may_launch(&self) -> bool {
        self.launched < self.pool.clients() && self.may_begin(0)
    }

    /// Whether a client may have another turn: there must be a transfer left for each that has had none.
    fn may_repeat(&self) -> bool {
        self.may_begin(self.pool.clients() - self.launched)
    }

    /// When the next client has its first turn.
    fn next_launch(&self) -> Option<Time> {
        let share = f64::from(self.launched) / f64::from(self.pool.clients());
        self.may_launch().then(|| Time::ZERO + self.load.ramp.mul_f64(share))
    }

    /// Begins the transfers that are due, one batch of requests at most, and sends them.
    fn begin(&mut self, now: Time) -> Result<(), FleetError> {
        for _ in 0..BATCH {
            if !self.may_repeat() {
                self.idle.clear();
            }
            let next = if self.next_launch().is_some_and(|at| at <= now) {
                self.launched += 1;
                self.launched - 1
            } else {
                let Some(client) = self.idle.pop_front() else { break };
                client
            };
            self.begin_one(now, next)?;
        }
        self.flush()
    }

    fn begin_one(&mut self, now: Time, client: u32) -> Result<(), FleetError> {
        let order = match &mut self.orders {
            None => None,
            Some(orders) => match orders.get_mut(client as usize).and_then(Option::take) {
                None => return Ok(()),
                order => order,
            },
        };
        let Some(member) = self.members.get_mut(client as usize) else { return Ok(()) };
        member.begin(now, self.load, order)?;
        self.begun += 1;
        self.open += 1;
        self.settle(now, client);
        Ok(())
    }

    /// Waits for datagrams and takes them, socket by socket.
    ///
    /// While clients wait to begin, only about one batch is taken: requests go first, but answers
    /// are not left lying until all of ten thousand have been sent.
    fn receive(&mut self, now: Time) -> Result<(), FleetError> {
        let begin_now = !self.idle.is_empty() || self.next_launch().is_some_and(|at| at <= now);
        let timeout = if begin_now { Some(Duration::ZERO) } else { self.timeout(now) };
        let ready: Vec<_> = self.poller.wait(timeout)?.collect();
        let mut taken = 0;
        for ready in ready {
            if ready.writable {
                self.poller.set_writable(ready.key, false)?;
                self.unblock(ready.key);
            }
            if ready.readable && !(begin_now && taken >= BATCH) {
                taken += self.receive_at(ready.key)?;
            }
        }
        Ok(())
    }

    fn timeout(&self, now: Time) -> Option<Duration> {
        let end = match self.load.amount {
            Amount::Duration(duration) => Some(Time::ZERO + duration),
            Amount::Transfers(_) => None,
        };
        let next = [self.deadlines.next(), self.next_launch(), end].into_iter().flatten().min();
        Some(next.map_or(LOOK, |at| at.since(now)).min(LOOK))
    }

    /// Takes what waits at one socket, answering batch by batch. Gives how many datagrams it were.
    fn receive_at(&mut self, key: usize) -> Result<usize, FleetError> {
        let mut taken = 0;
        for _ in 0..MAX_BATCHES {
            let Some(socket) = self.pool.sockets().get(key) else { break };
            let Ok(count) = socket.recv(&mut self.batch) else { break };
            let now = self.now();
            for received in self.batch.iter() {
                let client = self.pool.client_at(key, received.local);
                let member = client.and_then(|client| self.members.get_mut(client as usize));
                let (Some(client), Some(member)) = (client, member) else { continue };
                if member.loses(self.load) {
                    self.tally.dropped += 1;
                    continue;
                }
                member.receive(now, &received);
                if !std::mem::replace(&mut member.touched, true) {
                    self.touched.push(client);
                }
            }
            let touched = std::mem::take(&mut self.touched);
            for client in &touched {
                if let Some(member) = self.members.get_mut(*client as usize) {
                    member.touched = false;
                }
                self.settle(now, *client);
            }
            // Its memory is used again.
            self.touched = touched;
            self.touched.clear();
            self.flush()?;
            taken += count;
            if count < BATCH {
                break;
            }
        }
        Ok(taken)
    }

    /// Lets the clients act whose time has come.
    fn visit(&mut self, now: Time) {
        while let Some((client, filed)) = self.deadlines.pop(now) {
            let Some(member) = self.members.get_mut(client as usize) else { continue };
            if member.filed != Some(filed) {
                continue;
            }
            member.filed = None;
            if let Some(transfer) = member.client_mut() {
                transfer.handle_timeout(now);
                self.settle(now, client);
            }
        }
    }

    /// After anything has happened to a client: takes what it has to send, counts its transfer when
    /// that has ended, and files its next deadline.
    fn settle(&mut self, now: Time, client: u32) {
        self.collect(now, client);
        let Some(member) = self.members.get_mut(client as usize) else { return };
        if member.count(now, self.load, &mut self.tally) {
            self.last = now;
        }
        if member.retire(now) {
            self.open -= 1;
            self.idle.push_back(client);
        }
        if let Some(deadline) = member.client().and_then(memtftp_proto::Client::poll_timeout) {
            self.deadlines.file(client, deadline, &mut member.filed);
        }
    }

    fn collect(&mut self, now: Time, client: u32) {
        let place = self.pool.place(client);
        let member = self.members.get_mut(client as usize).and_then(Member::client_mut);
        let outbox = self.outboxes.get_mut(place.socket);
        let (Some(member), Some(outbox)) = (member, outbox) else { return };
        while let Some((to, offer)) = member.poll_transmit(now, MAX_RUN) {
            if outbox.add(Letter { client, to, local: place.local, offer }) {
                self.dirty.push(place.socket);
            }
        }
    }

    fn unblock(&mut self, key: usize) {
        if let Some(outbox) = self.outboxes.get_mut(key) {
            outbox.blocked = false;
            self.dirty.push(key);
        }
    }

    /// Sends all that waits, as far as there is room.
    fn flush(&mut self) -> Result<(), FleetError> {
        while let Some(key) = self.dirty.pop() {
            let (outbox, socket) = (self.outboxes.get_mut(key), self.pool.sockets().get(key));
            let (Some(outbox), Some(socket)) = (outbox, socket) else { continue };
            self.tally.unsent += outbox.send(socket, &self.members, &mut self.buffer);
            if outbox.blocked {
                self.poller.set_writable(key, true)?;
            }
        }
        Ok(())
    }

    /// Ends what still runs when the time is over, or a signal came.
    fn cut_off(&mut self, now: Time) {
        if matches!(self.load.amount, Amount::Duration(_)) || self.cancel.is_cancelled() {
            self.last = now;
        }
        for client in 0..self.pool.clients() {
            let Some(member) = self.members.get_mut(client as usize) else { continue };
            if member.cut_off(&mut self.tally) {
                self.collect(now, client);
            }
        }
    }
}

/// Why a load cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FleetError {
    #[error("cannot ask for it: {0}")]
    Ask(#[from] AskError),
    #[error("cannot wait for datagrams: {0}")]
    Wait(#[from] io::Error),
}
