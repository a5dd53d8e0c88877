//! What a program or a test sees of a running server's clients.

use std::sync::atomic::Ordering;
use std::time::Duration;

use memtftp_store::{Name, Version};

use super::Server;
use crate::records::{Records, RequestRecord};
use crate::wait::WaitError;

impl Server {
    /// The URL of a file, for clients on this machine: `tftp://127.0.0.1:40123/boot/a`. What may not
    /// stand in a URL is percent-encoded.
    pub fn url(&self, name: &str) -> String {
        let mut url = format!("tftp://{}/", self.address());
        for byte in name.trim_start_matches('/').bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => url.push(byte.into()),
                b'-' | b'.' | b'_' | b'~' | b'/' => url.push(byte.into()),
                other => url.push_str(&format!("%{other:02X}")),
            }
        }
        url
    }

    /// Waits until a client has uploaded this file, and gives it. Blocks.
    ///
    /// Each upload ends one wait, be it complete before the call or after: the first call waits for
    /// the first upload of that name, the second for the second. What is given is the file as it is
    /// then; another upload may have replaced it already. [`Server::put`] is no upload, and after
    /// [`Server::take`] only later uploads count.
    ///
    /// # Errors
    /// There was no upload within `timeout`, the server ended, or the name is none.
    ///
    /// ```
    /// use std::time::Duration;
    /// use memtftp_server::{Server, WaitError};
    ///
    /// let server = Server::builder().start()?;
    /// // ... nobody uploads ...
    /// let waited = server.wait_for_upload("switch.cfg", Duration::from_millis(10));
    /// assert!(matches!(waited, Err(WaitError::TimedOut { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_for_upload(&self, name: &str, timeout: Duration) -> Result<Version, WaitError> {
        let parsed = Name::parse(name.as_bytes())?;
        let waited = self.arrivals.wait(&self.store, &parsed, timeout);
        waited.map_err(|unmet| WaitError::new(unmet, format!("an upload of {parsed}"), timeout))
    }

    /// The records of the last requests whose outcome is known, oldest first: as many as
    /// [`Builder::keep_records`](crate::Builder::keep_records) says, without it none.
    ///
    /// A record is made a moment after the client has its last packet, so a test waits for it:
    /// [`Server::wait_for_record`].
    pub fn records(&self) -> Vec<RequestRecord> {
        self.records.as_ref().map(Records::all).unwrap_or_default()
    }

    /// The same, and forgets them.
    pub fn take_records(&self) -> Vec<RequestRecord> {
        self.records.as_ref().map(Records::take).unwrap_or_default()
    }

    /// Waits for a record that `wanted` accepts, and gives it; it is kept nevertheless. Blocks.
    ///
    /// `wanted` is shown each record once, first those that are kept, oldest first, then each that
    /// comes. What is pushed out or taken before it is shown is not seen.
    ///
    /// # Errors
    /// None was accepted within `timeout`, the server ended, or it keeps no records.
    ///
    /// ```
    /// use std::time::Duration;
    /// use memtftp_server::{Kind, Server};
    ///
    /// let server = Server::builder().keep_records(100).start()?;
    /// let client = std::net::UdpSocket::bind("127.0.0.1:0")?;
    /// client.send_to(b"\0\x01boot/missing\0octet\0blksize\01428\0", server.address())?;
    ///
    /// let second = Duration::from_secs(1);
    /// let record = server.wait_for_record(second, |record| record.kind() == Kind::Read)?;
    /// assert_eq!(record.client(), client.local_addr()?);
    /// assert_eq!(record.file(), "boot/missing");
    /// assert_eq!(record.asked(), [("blksize".into(), "1428".into())]);
    /// assert!(!record.is_complete());
    /// println!("{record}");    // as the request log prints it
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_for_record(
        &self,
        timeout: Duration,
        wanted: impl FnMut(&RequestRecord) -> bool,
    ) -> Result<RequestRecord, WaitError> {
        let records = self.records.as_ref().ok_or(WaitError::NoRecords)?;
        let waited = records.wait(timeout, wanted);
        waited.map_err(|unmet| WaitError::new(unmet, "a record", timeout))
    }

    /// Whether every worker has gone round its loop since the last call, and makes each go round once
    /// until the next. For a watchdog, which calls it so seldom that a worker surely had its turn
    /// between two calls. False once a worker has ended.
    pub fn workers_go_round(&self) -> bool {
        let mut all = true;
        for worker in &self.workers {
            all &= worker.alive.swap(false, Ordering::Relaxed);
            worker.waker.wake();
        }
        all
    }

    /// Packets that have met a fault of the plan so far; 0 without a plan. A test that counts on a
    /// fault should look that it happened.
    pub fn faults_met(&self) -> u64 {
        self.faults.as_ref().map_or(0, |rules| rules.met())
    }
}
