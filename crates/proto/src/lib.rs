//! The TFTP protocol as data: RFC 1350 with the options of RFC 2347, 2348, 2349 and 7440.
//!
//! Nothing here opens a socket, reads a clock, starts a thread or touches a file. A driver feeds
//! datagrams and the time in, and takes datagrams, deadlines and records out:
//!
//! ```text
//!   datagrams ──▶ handle_datagram(now, ..) ┐            ┌─▶ poll_transmit(now)  ──▶ datagrams
//!   clock     ──▶ handle_timeout(now)      ├─ Endpoint ─┼─▶ poll_timeout()      ──▶ deadline
//!   storage   ──▶ resolve_*(now, ..)       ┘            └─▶ poll_record()       ──▶ request log
//!                                              │
//!                                              └─▶ Files: open, begin, append, commit
//! ```
//!
//! * [`Packet`] and [`Request`] read and write the six packets. Parsing borrows and cannot panic.
//! * [`negotiate()`] decides the options of a transfer.
//! * [`Sender`] and [`Receiver`] are the two halves of every transfer, for servers and clients.
//! * [`Endpoint`] is a whole server without its sockets: it finds the session of each datagram,
//!   recognises repeated requests, admits, times out and leaves one [`Record`] a request.
//! * [`Client`] is one transfer seen from the other end, also without its socket.

mod block;
mod client;
mod config;
mod control;
mod counters;
mod endpoint;
mod files;
mod joining;
mod negotiate;
mod netascii;
mod packet;
mod random;
mod receiver;
mod record;
mod refusal;
mod repeats;
mod request;
mod route;
mod rtt;
mod sender;
mod source;
mod time;
mod timer;

pub use block::{BlockIndex, MAX_WINDOWSIZE};
pub use client::{Ask, AskError, Client, ClientOffer, Failure, Silence, Totals};
pub use config::{Config, SocketRole, Timing};
pub use control::ControlPacket;
pub use counters::{Counters, DropReason};
pub use endpoint::{Endpoint, Progress, Run, Snapshot, Transmit};
pub use files::{Answer, FileRequest, Files};
pub use negotiate::{Agreed, Asked, Limits, OptionError, TftpOption, accept, negotiate};
pub use netascii::{Decoder, encoded_len};
pub use packet::{ErrorCode, Opcode, Packet, ParseError};
pub use receiver::{Acknowledgement, Dally, LastBlock, Receiver, Side, Verdict};
pub use record::{Kind, Outcome, Record};
pub use refusal::{Refusal, RefusalReason};
pub use request::{MAX_REQUEST, Mode, Options, Request, RequestError};
pub use route::{Datagram, Route, SessionId, SocketId};
pub use rtt::Rtt;
pub use sender::{AckOutcome, Expiry, Offer, Sender};
pub use source::Source;
pub use time::Time;
