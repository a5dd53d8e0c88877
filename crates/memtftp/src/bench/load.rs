//! What the clients are to do.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::time::Duration;

use memtftp_proto::Timing;

use crate::bench::content::File;
use crate::cli::BenchFlags;

/// When a load ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    /// After this many transfers.
    Transfers(u64),
    /// After this time.
    Duration(Duration),
}

/// A load on one server.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) server: SocketAddr,
    pub(crate) put: bool,
    pub(crate) files: Vec<File>,
    pub(crate) amount: Amount,
    /// How long until the last client begins.
    pub(crate) ramp: Duration,
    pub(crate) blksize: Option<u16>,
    pub(crate) windowsize: Option<u16>,
    pub(crate) timing: Timing,
    /// The patience in `timing` is that of `--give-up`.
    pub(crate) impatient: bool,
    /// What is dropped of what is received, 0 to 1.
    pub(crate) loss: f64,
    pub(crate) seed: u64,
}

impl Load {
    /// What the flags ask for, with `files`.
    pub(crate) fn new(flags: &BenchFlags, server: SocketAddr, files: Vec<File>) -> Load {
        let amount = match flags.duration {
            Some(duration) => Amount::Duration(duration),
            None => {
                let each_once = u64::from(flags.clients);
                Amount::Transfers(flags.transfers.map_or(each_once, NonZeroU64::get))
            }
        };
        Load {
            server,
            put: flags.put,
            files,
            amount,
            ramp: flags.ramp.unwrap_or_default(),
            blksize: flags.blksize,
            windowsize: flags.windowsize,
            timing: timing(flags.give_up),
            impatient: flags.give_up.is_some(),
            loss: flags.loss / 100.0,
            seed: flags.seed,
        }
    }

    /// The same as a read of what was written, once each, without any hindrance.
    pub(crate) fn back(&self) -> Load {
        Load {
            put: false,
            amount: Amount::Transfers(u64::MAX),
            ramp: Duration::ZERO,
            loss: 0.0,
            timing: Timing::default(),
            impatient: false,
            ..self.clone()
        }
    }
}

/// The patience of a client.
pub(crate) fn timing(give_up: Option<Duration>) -> Timing {
    let timing = Timing::default();
    match give_up {
        Some(patience) => Timing { patience, opening_patience: patience, ..timing },
        None => timing,
    }
}
