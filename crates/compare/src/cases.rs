//! What is measured: the table of all loads.

use crate::servers::Kind;

/// A file that the servers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) name: &'static str,
    pub(crate) size: usize,
}

pub(crate) const SMALL: File = File { name: "small", size: 64 << 10 };
pub(crate) const LARGE: File = File { name: "large", size: 16 << 20 };

/// When a load is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Clients begin again and again for as long as the run takes.
    Time,
    /// Each client has had its file, once.
    Done,
}

/// What a case is about, and so in which table it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// CPU a block.
    Cost,
    /// The same for uploads.
    Upload,
    /// All at once: does everyone get through, and when.
    Storm,
    /// Goodput through loss.
    Loss,
}

/// What must be reached, as a ratio of CPU a block, or of time for a storm.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds {
    /// To the reference loop.
    pub(crate) reference: Option<f64>,
    /// To the best peer.
    pub(crate) peer: Option<f64>,
}

/// One load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) group: Group,
    pub(crate) clients: u32,
    pub(crate) blksize: u16,
    /// 1 is lock-step.
    pub(crate) windowsize: u16,
    pub(crate) file: File,
    pub(crate) until: Until,
    /// Of both ways, in percent.
    pub(crate) loss: f64,
    pub(crate) bounds: Bounds,
    /// One of those that a change is checked with, and a directory behind the memory.
    pub(crate) smoke: bool,
}

impl Case {
    pub(crate) fn name(&self) -> String {
        let window = match self.windowsize {
            1 => "lock-step".to_owned(),
            window => format!("window {window}"),
        };
        let clients = match self.clients {
            1 => "1 client".to_owned(),
            clients => format!("{clients} clients"),
        };
        let loss = if self.loss > 0.0 { format!(", {} % loss", self.loss) } else { String::new() };
        format!("{clients}, {window} x {}{loss}", self.blksize)
    }

    pub(crate) fn is_upload(&self) -> bool {
        self.group == Group::Upload
    }

    /// Whether a server can do this at all, however slowly.
    pub(crate) fn suits(&self, kind: Kind) -> bool {
        match kind {
            Kind::Memtftp => true,
            Kind::Directory => self.smoke,
            Kind::Reference => !self.is_upload() && self.loss == 0.0,
            Kind::Dnsmasq => !self.is_upload(),
            _ => true,
        }
    }
}

/// All cases.
pub(crate) fn all() -> Vec<Case> {
    let cost = |clients, blksize, windowsize, file, bounds| Case {
        group: Group::Cost,
        clients,
        blksize,
        windowsize,
        file,
        until: Until::Time,
        loss: 0.0,
        bounds,
        smoke: false,
    };
    let bounds = |reference, peer| Bounds { reference: Some(reference), peer: Some(peer) };
    let free = Bounds::default();
    let smoke = |case| Case { smoke: true, ..case };
    let mut cases = vec![
        cost(1, 1428, 1, SMALL, free),
        cost(16, 1428, 1, SMALL, free),
        smoke(cost(64, 512, 1, SMALL, bounds(1.2, 1.0))),
        cost(64, 1428, 1, SMALL, bounds(1.2, 1.0)),
        cost(256, 1428, 1, SMALL, free),
        smoke(cost(1_000, 512, 1, SMALL, bounds(1.2, 1.0))),
        cost(1_000, 1428, 1, SMALL, bounds(1.2, 1.0)),
        cost(10_000, 512, 1, SMALL, bounds(1.2, 1.0)),
        cost(10_000, 1428, 1, SMALL, bounds(1.2, 1.0)),
        smoke(cost(1, 1428, 16, LARGE, bounds(1.2, 0.5))),
        smoke(cost(1, 1428, 64, LARGE, bounds(1.2, 0.3))),
        cost(1, 8192, 16, LARGE, bounds(1.2, 0.85)),
        smoke(cost(64, 1428, 16, LARGE, bounds(1.3, 0.35))),
    ];
    let upload = |case, peer| Case {
        group: Group::Upload,
        bounds: Bounds { reference: None, peer: Some(peer) },
        ..case
    };
    cases.push(upload(cost(64, 512, 1, SMALL, free), 0.7));
    cases.push(upload(cost(64, 1428, 16, SMALL, free), 0.5));
    for clients in [10, 100, 1_000, 10_000] {
        let reference = (clients >= 1_000).then_some(1.25);
        let case = cost(clients, 1428, 1, SMALL, Bounds { reference, peer: None });
        cases.push(Case { group: Group::Storm, until: Until::Done, ..case });
    }
    for loss in [0.0, 0.5, 1.0, 2.0, 5.0] {
        let case = cost(1, 1428, 16, LARGE, free);
        cases.push(Case { group: Group::Loss, loss, ..case });
    }
    let case = cost(1, 1428, 64, LARGE, free);
    cases.push(Case { group: Group::Loss, loss: 1.0, ..case });
    cases
}
