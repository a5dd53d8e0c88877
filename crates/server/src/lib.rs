//! A TFTP server that keeps its files in memory, to run or to embed.
//!
//! # In a test
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use memtftp_server::{Fault, FaultPlan, Opcode, Packets, Server};
//!
//! let data_2 = Packets::from_client().kind(Opcode::Data).block(2);
//! let plan = FaultPlan::seeded(1).on(data_2.nth(1), Fault::Lost);
//! let server = Server::builder().keep_records(100).faults(plan).start()?;   // a free port
//! server.put("boot/config.txt", "timeout 50\n")?;       // clients can read it now
//! # let device = std::thread::spawn({ let to = server.address(); move || upload(to) });
//! // ... what is tested uploads switch.cfg to server.address() ...
//! let uploaded = server.wait_for_upload("switch.cfg", Duration::from_secs(10))?;
//! assert!(uploaded.as_ref().starts_with(b"hostname sw1\n"));
//! let record = server.wait_for_record(Duration::from_secs(10), |r| r.file() == "switch.cfg")?;
//! assert_eq!((record.is_complete(), record.bytes(), server.faults_met()), (true, 700, 1));
//! server.stop();
//! # device.join().map_err(|_| "the device failed")??;
//! # Ok(())
//! # }
//! # fn upload(server: std::net::SocketAddr) -> std::io::Result<()> {
//! #     let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
//! #     socket.set_read_timeout(Some(Duration::from_millis(100)))?;
//! #     let mut file = b"hostname sw1\n".to_vec();
//! #     file.resize(700, b'!');
//! #     let mut packet = b"\0\x02switch.cfg\0octet\0".to_vec();
//! #     let (mut to, mut answer) = (server, [0; 600]);
//! #     for block in 1..=3_u8 {
//! #         while { socket.send_to(&packet, to)?; true } {
//! #             if let Ok((_, from)) = socket.recv_from(&mut answer) { to = from; break }
//! #         }
//! #         let at = 512 * (usize::from(block) - 1);
//! #         packet = [&[0, 3, 0, block], &file[at.min(700)..(at + 512).min(700)]].concat();
//! #     }
//! #     Ok(())
//! # }
//! # use std::time::Duration;
//! ```
//!
//! * [`Server::put`], [`get`](Server::get) and [`take`](Server::take) move files in and out;
//!   [`wait_for_upload`](Server::wait_for_upload) waits for one with a deadline.
//! * [`Server::status`] tells what it is doing, [`Config`] bounds what it may do.
//! * [`Server::wait_for_record`] and [`records`](Server::records) tell what became of each request.
//! * A [`FaultPlan`] makes packets lost, late, twice, out of order or damaged, or answers them with
//!   an error, the same ones each time.
//!
//! `examples/in_a_test.rs` is a whole test, `examples/embedded.rs` a program that serves a directory.
//!
//! # Threads
//!
//! A [`Server`] is a few threads: one worker for each core, which owns its sockets and its share of
//! the clients and never waits for anything but them, one that writes the request log, and one that
//! answers the status socket, if there is one. A directory behind the memory has fifteen of its own, rules
//! that need hardware addresses one. There is no thread, task, socket or file descriptor for a client.
//! It is `Send + Sync`, every call takes `&self`, and an `Arc` shares it.
//!
//! # Beside tokio
//!
//! The server needs no runtime and disturbs none: clients are served by its own threads, whatever a
//! runtime does. These calls block, so async code makes them by `spawn_blocking`:
//!
//! | call | blocks |
//! | --- | --- |
//! | [`Builder::start`] | while sockets are bound and directories loaded |
//! | [`Server::wait_for_upload`], [`Server::wait_for_record`] | up to their deadline |
//! | [`Server::wait`] | until the server has ended |
//! | [`Server::status`] | until each worker has answered, a second at most |
//! | [`Server::stop`], dropping the [`Server`] | until its threads have ended, some milliseconds |
//! | [`Server::reopen_request_log`] | while the queue of the log is full |
//!
//! Every other call returns at once: the longest lock it takes is held for a change of the index.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use memtftp_server::Server;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = tokio::task::spawn_blocking(|| Server::builder().start()).await??;
//! let server = Arc::new(server);
//! server.put("boot/config.txt", "timeout 50\n")?;      // returns at once
//! let waiting = Arc::clone(&server);
//! let upload = tokio::task::spawn_blocking(move || {
//!     waiting.wait_for_upload("switch.cfg", Duration::from_secs(10))
//! });
//! // ... what is tested runs here ...
//! # server.abort();
//! let uploaded = upload.await?;
//! # assert!(uploaded.is_err(), "the server has ended");
//! tokio::task::spawn_blocking(move || drop(server)).await?;
//! # Ok(())
//! # }
//! ```

mod access;
mod arrivals;
mod builder;
mod config;
#[cfg_attr(not(target_os = "linux"), path = "directory_none.rs")]
mod directory;
mod ending;
mod faults;
mod grant;
mod hint;
mod inherited;
mod interfaces;
mod jobs;
mod later;
mod library;
mod mailbox;
mod missed;
mod neighbours;
mod outbox;
mod own_files;
mod preload;
mod privileges;
mod records;
mod refusals;
mod request_log;
pub mod rules;
mod server;
mod sockets;
mod stamp;
pub mod status;
mod wait;
mod watched;
mod worker;

pub use access::Access;
pub use builder::{Builder, StartError};
pub use config::{
    Config, ConfigError, DEFAULT_MAX_CLIENT_REQUESTS, DEFAULT_MAX_CLIENT_SESSIONS,
    DEFAULT_MAX_FILES, DEFAULT_MAX_HALF_OPEN, DEFAULT_MAX_SESSIONS, DEFAULT_MAX_UNRECOGNIZED,
    DEFAULT_MAX_UPLOADS, DEFAULT_MAX_WINDOWSIZE, DEFAULT_PORT, DirectoryConfig, Durability,
    Uploads,
};
pub use directory::spelling_in_directory;
pub use ending::Ending;
pub use faults::{Fault, FaultPlan, Packets};
pub use hint::Hint;
pub use inherited::InheritedError;
pub use memtftp_proto::{
    DropReason, ErrorCode, Kind, Mode, Opcode, Outcome, Refusal, RefusalReason,
};
pub use memtftp_store::{AppendError, Name, NameError, Version};
pub use memtftp_udp::{Gso, Io};
pub use neighbours::{HardwareAddress, HardwareAddressError};
pub use preload::{PreloadError, list_directory};
pub use privileges::{PrivilegeError, RunAs};
pub use records::RequestRecord;
pub use request_log::{
    LineError, LogError, LogFormat, LogLine, LogTarget, LoggedRequest, RequestLogConfig,
};
pub use server::{PutError, ReloadError, Reloaded, Server};
pub use sockets::SocketError;
pub use status::Status;
#[cfg(unix)]
pub use status::socket::StatusSocketError;
pub use wait::WaitError;
