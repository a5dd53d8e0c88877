//! One client of the fleet.

use std::time::Duration;

use fastrand::Rng;
use memtftp_proto::{Ask, AskError, Client, ErrorCode, Mode, Time};
use memtftp_udp::Received;

use crate::bench::content::{Bytes, File, choose};
use crate::bench::failure::Kind;
use crate::bench::load::Load;
use crate::bench::tally::{End, Tally, text_of};

/// A client and the transfer it is in.
pub(crate) struct Member {
    number: u32,
    transfer: Option<Transfer>,
    /// Its own, so that what happens to one client does not depend on the others.
    random: Rng,
    /// For [`Deadlines::file`](crate::bench::deadlines::Deadlines::file).
    pub(crate) filed: Option<Time>,
    /// It is in the list of those to look after.
    pub(crate) touched: bool,
    /// Which file its last complete write was.
    pub(crate) written: Option<usize>,
}

struct Transfer {
    client: Client<Bytes>,
    /// Index of the file.
    file: usize,
    /// What a read has to give; nothing if it is not known.
    expected: Option<Bytes>,
    /// Bytes that were compared.
    at: usize,
    started: Time,
    counted: bool,
}

/// Bytes that are not those of the file.
struct Differs;

impl Member {
    pub(crate) fn new(number: u32, seed: u64) -> Member {
        // The generator does not spread neighbouring seeds apart by itself.
        let random = Rng::with_seed(Rng::with_seed(seed ^ (u64::from(number) << 32)).u64(..));
        Member { number, transfer: None, random, filed: None, touched: false, written: None }
    }

    pub(crate) fn client(&self) -> Option<&Client<Bytes>> {
        self.transfer.as_ref().map(|transfer| &transfer.client)
    }

    pub(crate) fn client_mut(&mut self) -> Option<&mut Client<Bytes>> {
        self.transfer.as_mut().map(|transfer| &mut transfer.client)
    }

    /// Begins a transfer. `file` is chosen by the mix if it is not given.
    pub(crate) fn begin(
        &mut self,
        now: Time,
        load: &Load,
        file: Option<usize>,
    ) -> Result<(), AskError> {
        let index = file.unwrap_or_else(|| choose(&load.files, &mut self.random));
        let Some(file) = load.files.get(index) else { return Ok(()) };
        let ask = self.ask(load, file);
        let content = file.content_of(self.number);
        let client = match &content {
            Some(content) if load.put => {
                Client::put(now, load.server, ask, content.clone(), &load.timing)?
            }
            _ => Client::get(now, load.server, ask, &load.timing)?,
        };
        let (expected, at, counted) = (content, 0, false);
        self.transfer = Some(Transfer { client, file: index, expected, at, started: now, counted });
        Ok(())
    }

    fn ask(&self, load: &Load, file: &File) -> Ask {
        Ask {
            name: file.name_of(self.number).into_bytes(),
            mode: Mode::Octet,
            blksize: load.blksize,
            windowsize: load.windowsize,
            timeout: None,
            tsize: false,
        }
    }

    /// Whether `--loss` takes the next datagram.
    pub(crate) fn loses(&mut self, load: &Load) -> bool {
        load.loss > 0.0 && self.random.f64() < load.loss
    }

    /// Takes a datagram and compares what is in it.
    pub(crate) fn receive(&mut self, now: Time, received: &Received<'_>) {
        let Some(transfer) = &mut self.transfer else { return };
        let Transfer { client, expected, at, .. } = transfer;
        // Without anything to compare with, no byte is right.
        let is_known = expected.is_some();
        let expected = expected.as_ref().map(AsRef::as_ref).unwrap_or_default();
        let compare = |bytes: &[u8]| {
            let end = *at + bytes.len();
            let same = expected.get(*at..end) == Some(bytes);
            *at = end;
            if same { Ok(()) } else { Err(Differs) }
        };
        // A difference aborts the transfer, which is then seen by its outcome.
        let _ = client.handle_datagram(now, received.peer, received.payload, compare);
        if client.is_received() {
            if is_known && *at == expected.len() {
                client.commit(now);
            } else {
                client.abort(ErrorCode::UNDEFINED, "the file is not what it was");
            }
        }
    }

    /// Counts the transfer if it has just ended; true if so.
    pub(crate) fn count(&mut self, now: Time, load: &Load, tally: &mut Tally) -> bool {
        let Some(transfer) = self.transfer.as_mut().filter(|transfer| !transfer.counted) else {
            return false;
        };
        let end = match transfer.client.outcome() {
            None => return false,
            Some(Ok(())) => {
                if load.put {
                    self.written = Some(transfer.file);
                }
                End::Completed
            }
            Some(Err(failure)) => {
                let kind = Kind::of(failure, load.impatient);
                End::Failed(kind, text_of(failure))
            }
        };
        tally.count(&transfer.client, end, now.since(transfer.started));
        transfer.counted = true;
        true
    }

    /// Ends a transfer that runs, and tells the server so; true if there was one.
    pub(crate) fn cut_off(&mut self, tally: &mut Tally) -> bool {
        let Some(transfer) = self.transfer.as_mut().filter(|transfer| !transfer.counted) else {
            return false;
        };
        tally.count(&transfer.client, End::CutOff, Duration::ZERO);
        transfer.counted = true;
        transfer.client.abort(ErrorCode::UNDEFINED, "the load is over");
        true
    }

    /// Forgets a transfer to which nothing more can happen; true if so.
    pub(crate) fn retire(&mut self, now: Time) -> bool {
        let Some(transfer) = self.transfer.as_mut().filter(|transfer| transfer.counted) else {
            return false;
        };
        // Without loss, nobody waits behind the last ACK.
        transfer.client.handle_timeout(now);
        let over = transfer.client.poll_timeout().is_none();
        if over {
            self.transfer = None;
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fleet of 10,000 is to stay small.
    #[test]
    fn a_member_is_small() {
        let sizes = (size_of::<Member>(), size_of::<Client<Bytes>>());
        assert!(sizes.0 <= 1_024, "{sizes:?}");
    }
}
