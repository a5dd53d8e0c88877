//! What most likely went wrong with a request, judged from what its line in the request log says.

use memtftp_proto::{Agreed, Asked, Kind, Outcome, Record, TftpOption};

use crate::ending::Ending;

/// Blocks that a transfer has at least before small ones are worth a word: 1 MiB of 512 bytes.
const MANY_SMALL_BLOCKS: u64 = 2_048;

/// Packets that were sent again, at least, before that is called loss.
const MIN_LOSS: u64 = 10;

/// Of so many blocks one was sent again, at least, before that is called loss.
const LOSS_SHARE: u64 = 20;

/// Where block numbers end for a client that takes them for signed, and for one that takes them for
/// unsigned numbers of 16 bits and does not go on at 0.
const BLOCK_LIMITS: [u64; 2] = [32_767, 65_535];

/// So far before a limit of block numbers an end is not blamed on it, however large the window.
const MAX_BEHIND: u64 = 1_024;

/// The error code of a client that does not want the options of our OACK (RFC 2347).
const OPTIONS_REFUSED: u16 = 8;

/// What the log says of a request from the port of a service that answers whatever it gets.
pub(crate) const SERVICE_PORT: &str = "sent from the port of another service";

/// What most likely went wrong with a request, or could go better, and so what an operator can do.
///
/// A guess from one line: the log keeps no packets. It is the key `hint` of the request log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Hint {
    /// The client repeats its request and never answers: our replies do not reach it.
    ReplyLost,
    /// The client asked once and was never heard again.
    NoAnswer,
    /// The client acknowledged its options, but no block.
    NoBlock,
    /// The transfer ended where block numbers of 16 bits end.
    BlockLimit,
    /// The client refused the options that it was granted.
    OptionsRefused,
    /// The client fell silent in the middle of a file.
    WentSilent,
    /// An upload ended with fewer bytes than the client had announced.
    ShortUpload,
    /// The address of the client is not one that is served.
    NotServed,
    /// Too many transfers at once.
    Busy,
    /// The client asks too often.
    TooOften,
    /// The transfer took longer than one may.
    TooLong,
    /// Uploads are off.
    UploadsOff,
    /// There is a file of that name, and it may not be replaced.
    NoReplace,
    /// The file is larger than a client may upload.
    FileTooLarge,
    /// The memory for files is full.
    MemoryFull,
    /// The uploads of this client hold all that they may.
    ClientMemoryFull,
    /// There are as many files as there may be.
    TooManyFiles,
    /// The directory behind the memory does not give the file, or does not take it.
    Disk,
    /// There is no file of that name.
    MissingFile,
    /// Many packets had to be sent again.
    Loss,
    /// A large file travelled in blocks of 512 bytes.
    SmallBlocks,
    /// What came to the listening port is no request.
    NotARequest,
    /// The request came from the port of a service that answers whatever it gets.
    ServicePort,
}

impl Hint {
    /// Every hint, the most serious first.
    pub const ALL: [Hint; 23] = [
        Hint::ReplyLost,
        Hint::NoAnswer,
        Hint::NoBlock,
        Hint::BlockLimit,
        Hint::OptionsRefused,
        Hint::WentSilent,
        Hint::ShortUpload,
        Hint::NotServed,
        Hint::Busy,
        Hint::TooOften,
        Hint::TooLong,
        Hint::UploadsOff,
        Hint::NoReplace,
        Hint::FileTooLarge,
        Hint::MemoryFull,
        Hint::ClientMemoryFull,
        Hint::TooManyFiles,
        Hint::Disk,
        Hint::MissingFile,
        Hint::Loss,
        Hint::SmallBlocks,
        Hint::NotARequest,
        Hint::ServicePort,
    ];

    /// The word that stands for it in the request log. It stays the same in later versions.
    pub fn word(self) -> &'static str {
        match self {
            Hint::ReplyLost => "reply-lost",
            Hint::NoAnswer => "no-answer",
            Hint::NoBlock => "no-block",
            Hint::BlockLimit => "block-limit",
            Hint::OptionsRefused => "options-refused",
            Hint::WentSilent => "went-silent",
            Hint::ShortUpload => "short-upload",
            Hint::NotServed => "not-served",
            Hint::Busy => "busy",
            Hint::TooOften => "too-often",
            Hint::TooLong => "too-long",
            Hint::UploadsOff => "uploads-off",
            Hint::NoReplace => "no-replace",
            Hint::FileTooLarge => "file-too-large",
            Hint::MemoryFull => "memory-full",
            Hint::ClientMemoryFull => "client-memory-full",
            Hint::TooManyFiles => "too-many-files",
            Hint::Disk => "disk",
            Hint::MissingFile => "missing-file",
            Hint::Loss => "loss",
            Hint::SmallBlocks => "small-blocks",
            Hint::NotARequest => "not-a-request",
            Hint::ServicePort => "service-port",
        }
    }

    /// What it means and what to do, for people: one line.
    pub fn advice(self) -> &'static str {
        match self {
            Hint::ReplyLost => {
                "the client repeats its request, so it never hears our replies: a firewall or NAT \
                 drops them; try --single-port, or --transfer-ports and a rule for those ports"
            }
            Hint::NoAnswer => {
                "the client asked once and was never heard again: it was switched off or only \
                 wanted the size, or a firewall drops our replies (try --single-port), or the path \
                 drops large packets (try --max-blksize 1024)"
            }
            Hint::NoBlock => {
                "the client accepted the options that it was granted, but acknowledged no block: the \
                 path drops large packets or their fragments (try --max-blksize 1024, then 512), or \
                 the client was switched off just then"
            }
            Hint::BlockLimit => {
                "the client cannot count blocks beyond 65,535 (some: 32,767): let it ask for a \
                 larger blksize, or give it a smaller file"
            }
            Hint::OptionsRefused => {
                "the client does not like the options that it was granted: try --max-windowsize 1, \
                 then --max-blksize 512"
            }
            Hint::WentSilent => {
                "the client fell silent in the middle of the file: it was switched off or reset, \
                 lost its link, or has a shorter patience than the network needs; look at its \
                 console"
            }
            Hint::ShortUpload => {
                "the upload ended with fewer bytes than its client had announced (tsize), so what is \
                 stored may be cut: compare it with the original, and send it again"
            }
            Hint::NotServed => "the client's network is not served: add it with --allow CIDR",
            Hint::Busy => {
                "too many at once: raise what the reason is about, --max-sessions, \
                 --max-client-sessions or --max-uploads"
            }
            Hint::TooOften => {
                "the client asks more often than --max-client-requests allows: it is stuck in a loop, \
                 or many are behind one address"
            }
            Hint::TooLong => {
                "the transfer took longer than --max-transfer-time allows: a very slow link, or a \
                 client that never comes to an end"
            }
            Hint::UploadsOff => {
                "uploads are off: --uploads create or --uploads replace allows them"
            }
            Hint::NoReplace => "files may not be replaced: --uploads replace allows it",
            Hint::FileTooLarge => "the upload is larger than --max-file allows",
            Hint::MemoryFull => {
                "the memory for files is full: give more with --memory, or start anew without old \
                 files"
            }
            Hint::ClientMemoryFull => {
                "this client's uploads hold all that --max-client-memory allows"
            }
            Hint::TooManyFiles => "there are as many files as --max-files allows",
            Hint::Disk => {
                "the directory behind the memory does not give the file, or does not take it, and the \
                 reason says why: the disk is full or fails, the rights do not suffice, a link leads \
                 out, or a directory is missing (--create-dirs makes it)"
            }
            Hint::MissingFile => {
                "there is no file of that name: upload it, put it into the --preload directory, or \
                 correct the name where the client has it from (DHCP option 67, a boot menu)"
            }
            Hint::Loss => {
                "more than one packet in 20 had to be sent again: look for a bad cable, a duplex \
                 mismatch, a full switch; a smaller --max-windowsize helps a client that is too \
                 slow"
            }
            Hint::SmallBlocks => {
                "a large file travels in blocks of 512 bytes: let the client ask for blksize 1468 \
                 (some firmware has a setting), or raise --max-blksize if you have set it; a \
                 chain-loader such as iPXE does it by itself"
            }
            Hint::NotARequest => {
                "something that is no TFTP request comes to the listening port: a scan, or a \
                 client with a wrong port"
            }
            Hint::ServicePort => {
                "requests from the port of a service that answers whatever it gets (echo, DNS, NTP and \
                 such) have no answer: the address is forged to make two servers answer each other, or \
                 the client has to ask from another port"
            }
        }
    }

    /// The judgement, the same for a record and for its line read back.
    pub(crate) fn of(facts: &Facts<'_>) -> Option<Hint> {
        match facts.ending {
            Ending::Refused => of_refusal(facts),
            Ending::Dropped if facts.reason.starts_with("client network") => Some(Hint::NotServed),
            Ending::Dropped if facts.reason.starts_with("too many requests") => {
                Some(Hint::TooOften)
            }
            Ending::Dropped if facts.reason == "not a request" => Some(Hint::NotARequest),
            Ending::Dropped if facts.reason == SERVICE_PORT => Some(Hint::ServicePort),
            Ending::Aborted | Ending::Timeout => of_failure(facts).or_else(|| of_progress(facts)),
            Ending::Ok if facts.is_short() => Some(Hint::ShortUpload),
            Ending::Ok => of_progress(facts),
            Ending::Probe | Ending::Shutdown | Ending::Dropped => None,
        }
    }
}

/// What the judgement needs to know of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) kind: Kind,
    pub(crate) ending: Ending,
    /// Ours if it was refused, the client's if it was aborted.
    pub(crate) code: Option<u16>,
    /// Why we refused, dropped or ended it, as the log says it.
    pub(crate) reason: &'a str,
    /// The block size agreed, in bytes.
    pub(crate) blksize: u16,
    /// The window agreed, in blocks.
    pub(crate) windowsize: u16,
    /// There was an OACK.
    pub(crate) has_options: bool,
    /// The client answered our first packet.
    pub(crate) answered: bool,
    /// The size that was announced for an upload in octet mode, in bytes.
    pub(crate) announced: Option<u64>,
    /// Bytes that arrived at the other end.
    pub(crate) bytes: u64,
    pub(crate) blocks: u64,
    pub(crate) retransmissions: u64,
    pub(crate) repeats: u64,
}

impl<'a> Facts<'a> {
    /// Of a record; `reason` as its line says it.
    pub(crate) fn of(record: &Record, reason: &'a str) -> Facts<'a> {
        let code = match &record.outcome {
            Outcome::Aborted { code, .. } | Outcome::Probe { code, .. } => Some(code.0),
            Outcome::Refused(refusal) => Some(refusal.code.0),
            _ => None,
        };
        let options = || record.agreed.iter().flat_map(Agreed::options);
        let value = |wanted: TftpOption, without: u16| {
            let found = options().find(|(option, _)| *option == wanted);
            found.and_then(|(_, value)| u16::try_from(value).ok()).unwrap_or(without)
        };
        Facts {
            kind: record.kind,
            ending: Ending::from(&record.outcome),
            code,
            reason,
            blksize: value(TftpOption::Blksize, 512),
            windowsize: value(TftpOption::Windowsize, 1),
            has_options: options().next().is_some(),
            answered: record.answered,
            announced: announced(record),
            bytes: record.bytes,
            blocks: record.blocks,
            retransmissions: record.retransmissions.into(),
            repeats: record.repeats.into(),
        }
    }

    /// Whether an upload ended before all the bytes came that its client had announced.
    fn is_short(&self) -> bool {
        self.announced.is_some_and(|announced| self.bytes < announced)
    }
}

/// The size that was announced for an upload whose bytes travel as they are stored.
fn announced(record: &Record) -> Option<u64> {
    let request = record.parse_request().filter(|_| record.kind == Kind::Write)?;
    let octet = request.mode.eq_ignore_ascii_case(b"octet");
    Asked::new(request.options).value(TftpOption::Tsize).filter(|_| octet)
}

/// A refusal names the flag that would have allowed the request, if there is one.
fn of_refusal(facts: &Facts<'_>) -> Option<Hint> {
    let by_flag = [
        ("--allow", Hint::NotServed),
        ("--max-file", Hint::FileTooLarge),
        ("--memory", Hint::MemoryFull),
        ("--max-client-memory", Hint::ClientMemoryFull),
        ("--max-files", Hint::TooManyFiles),
    ];
    let named = |flag: &str| {
        let mut words = facts.reason.split([' ', ',', ':', ';']);
        words.any(|word| word == flag)
    };
    match (facts.kind, facts.code) {
        (Kind::Read, Some(1)) => Some(Hint::MissingFile),
        (Kind::Write, Some(6)) => Some(Hint::NoReplace),
        (Kind::Write, Some(2)) if named("--uploads") => Some(Hint::UploadsOff),
        (_, Some(0)) if facts.reason.ends_with("for one transfer reached") => Some(Hint::TooLong),
        (_, Some(0)) if facts.reason.starts_with("limit of ") => Some(Hint::Busy),
        _ if of_disk(facts.reason) => Some(Hint::Disk),
        _ => by_flag.into_iter().find(|(flag, _)| named(flag)).map(|(_, hint)| hint),
    }
}

fn of_disk(reason: &str) -> bool {
    let said = [" cannot be read: ", " cannot be stored: "];
    said.iter().any(|text| reason.contains(text))
        || reason == "the server's storage does not answer"
}

/// Of a transfer that did not come to its end.
fn of_failure(facts: &Facts<'_>) -> Option<Hint> {
    let silent = facts.ending == Ending::Timeout;
    let refuses_options = facts.has_options && facts.code == Some(OPTIONS_REFUSED);
    // The last acknowledgement may be a window behind the last block.
    let behind = u64::from(facts.windowsize).min(MAX_BEHIND);
    let at_limit = |limit: &u64| (limit.saturating_sub(behind)..=limit + 1).contains(&facts.blocks);
    match facts.blocks {
        0 if silent && facts.answered => Some(Hint::NoBlock),
        0 if silent && facts.repeats > 0 => Some(Hint::ReplyLost),
        0 if silent => Some(Hint::NoAnswer),
        0 if refuses_options => Some(Hint::OptionsRefused),
        _ if BLOCK_LIMITS.iter().any(at_limit) => Some(Hint::BlockLimit),
        _ if silent => Some(Hint::WentSilent),
        _ => None,
    }
}

/// Of a transfer that went on, but not as well as it could.
fn of_progress(facts: &Facts<'_>) -> Option<Hint> {
    let lost = facts.retransmissions;
    if lost >= MIN_LOSS && lost.saturating_mul(LOSS_SHARE) > facts.blocks {
        return Some(Hint::Loss);
    }
    let small = facts.blksize <= 512 && facts.blocks >= MANY_SMALL_BLOCKS;
    small.then_some(Hint::SmallBlocks)
}

#[cfg(test)]
#[path = "hint_tests.rs"]
mod tests;
