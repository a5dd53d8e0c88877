//! The thread that writes the request log.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};
use jiff::Timestamp;
use memtftp_proto::Record;

use super::line::Line;
use super::{LogError, LogFormat, LogSender, LogTarget, Message, RequestLogConfig, Unwritten};

/// The request log of a running server.
pub(crate) struct RequestLog {
    sender: LogSender,
    thread: JoinHandle<()>,
}

impl RequestLog {
    /// Opens the log and starts its thread.
    ///
    /// # Errors
    /// The log cannot be opened.
    pub(crate) fn start(config: &RequestLogConfig) -> Result<RequestLog, LogError> {
        let failed = |source| LogError {
            path: match &config.target {
                LogTarget::File(path) => path.clone(),
                LogTarget::Stdout => "-".into(),
            },
            source,
        };
        let out = open(&config.target).map_err(failed)?;
        let (sender, messages) = LogSender::new();
        let mut writer = Writer {
            out,
            target: config.target.clone(),
            format: config.format,
            unwritten: sender.unwritten(),
            lost_told: 0,
            summarized_told: 0,
            summary_at: None,
            buffer: Vec::new(),
            owed: 0,
            torn: false,
            failing: false,
        };
        let thread = std::thread::Builder::new()
            .name("request-log".into())
            .spawn(move || writer.run(&messages))
            .map_err(failed)?;
        Ok(RequestLog { sender, thread })
    }

    pub(crate) fn sender(&self) -> LogSender {
        self.sender.clone()
    }

    /// Closes the file and opens it again by its name (after a rotation).
    pub(crate) fn reopen(&self) {
        self.sender.reopen();
    }

    /// Writes what is queued and ends. All other senders must be gone.
    pub(crate) fn finish(self) {
        drop(self.sender);
        if self.thread.join().is_err() {
            tracing::error!("the request log ended early");
        }
    }
}

/// Lines are collected up to this many bytes while there is always one more to write.
const BUFFER: usize = 64 << 10;

/// What has no line of its own is counted for so long, and then has one together.
const SUMMARY: Duration = Duration::from_secs(1);

struct Writer {
    out: Box<dyn Write + Send>,
    target: LogTarget,
    format: LogFormat,
    /// Lines that are to be written.
    buffer: Vec<u8>,
    unwritten: Arc<Unwritten>,
    /// How many of those lost in the queue the log has counted.
    lost_told: u64,
    /// The same of those in summaries.
    summarized_told: u64,
    /// When the next summary is due.
    summary_at: Option<Instant>,
    /// Lines that were lost and that the log does not say so yet.
    owed: u64,
    /// The last line in the file is not whole.
    torn: bool,
    failing: bool,
}

impl Writer {
    fn run(&mut self, messages: &Receiver<Message>) {
        loop {
            let message = match messages.try_recv() {
                Err(TryRecvError::Empty) => {
                    self.flush();
                    self.wait(messages)
                }
                other => other.map_err(|_| RecvTimeoutError::Disconnected),
            };
            match message {
                Ok(Message::Record(record, socket)) => self.add(&record, socket),
                // The flush after this finds the count.
                Ok(Message::Summarize) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Message::Reopen) => self.reopen(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.summarize();
        self.flush();
        if self.owed > 0 {
            tracing::error!("{} lines of the request log were lost", self.owed);
        }
    }

    /// Waits for a message, or until a summary is due.
    fn wait(&self, messages: &Receiver<Message>) -> Result<Message, RecvTimeoutError> {
        match self.summary_at {
            Some(at) => messages.recv_deadline(at),
            None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    /// Adds the line that counts what has none of its own. It looks again a second later, since a
    /// worker tells only of the first in its second.
    fn summarize(&mut self) {
        let count = self.unwritten.summarized() - self.summarized_told;
        self.summary_at = (count > 0).then(|| Instant::now() + SUMMARY);
        if count > 0 {
            self.summarized_told += count;
            let line = Line::summary(Timestamp::now(), count).format(self.format);
            self.buffer.extend_from_slice(line.as_bytes());
        }
    }

    fn add(&mut self, record: &Record, socket: Option<SocketAddr>) {
        let line = Line::new(Timestamp::now(), record, socket).format(self.format);
        self.buffer.extend_from_slice(line.as_bytes());
        if self.buffer.len() >= BUFFER {
            self.flush();
        }
    }

    /// Writes what is collected, and how many lines were lost before. What cannot be written now
    /// is lost, so that a full disk costs no memory.
    fn flush(&mut self) {
        if self.summary_at.is_some_and(|at| at <= Instant::now()) {
            self.summarize();
        } else if self.summary_at.is_none() && self.unwritten.summarized() > self.summarized_told {
            self.summary_at = Some(Instant::now() + SUMMARY);
        }
        let found_full = self.unwritten.lost();
        let lost = self.owed + found_full - std::mem::replace(&mut self.lost_told, found_full);
        if lost > 0 {
            let notice = Line::lost(Timestamp::now(), lost).format(self.format);
            self.buffer.extend_from_slice(notice.as_bytes());
        }
        let buffer = std::mem::take(&mut self.buffer);
        let (written, result) = self.write(&buffer);
        let rest = buffer.get(written..).unwrap_or_default();
        let unwritten = rest.iter().filter(|byte| **byte == b'\n').count() as u64;
        // The notice is the last line: if it is not written, nothing has been made known.
        self.owed = if unwritten > 0 && lost > 0 { lost + unwritten - 1 } else { unwritten };
        match result {
            Ok(()) if !buffer.is_empty() && std::mem::take(&mut self.failing) => {
                tracing::warn!("the request log is being written again");
            }
            Ok(()) => {}
            // Told once, until it works again.
            Err(error) if !std::mem::replace(&mut self.failing, true) => {
                tracing::error!("cannot write the request log, lines are being lost: {error}");
            }
            Err(_) => {}
        }
        self.buffer = buffer;
        self.buffer.clear();
    }

    /// Writes as much of `lines` as can be; gives how many bytes that was.
    fn write(&mut self, lines: &[u8]) -> (usize, io::Result<()>) {
        let mut written = 0;
        while let Some(rest) = lines.get(written..).filter(|rest| !rest.is_empty()) {
            let result = if self.torn { self.out.write(b"\n") } else { self.out.write(rest) };
            match result {
                Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
                Ok(_) if std::mem::take(&mut self.torn) => {}
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let last = written.checked_sub(1).and_then(|last| lines.get(last));
                    self.torn |= last.is_some_and(|byte| *byte != b'\n');
                    return (written, Err(error));
                }
            }
        }
        (written, self.out.flush())
    }

    fn reopen(&mut self) {
        self.flush();
        match open(&self.target) {
            Ok(out) => {
                self.out = out;
                self.torn = false;
            }
            Err(error) => {
                let path = match &self.target {
                    LogTarget::File(path) => path.display().to_string(),
                    LogTarget::Stdout => "-".to_owned(),
                };
                tracing::error!(
                    "cannot reopen the request log {path}, going on with the old: {error}"
                );
            }
        }
    }
}

fn open(target: &LogTarget) -> io::Result<Box<dyn Write + Send>> {
    Ok(match target {
        LogTarget::Stdout => Box::new(io::stdout()),
        LogTarget::File(path) => Box::new(open_file(path)?),
    })
}

/// Opens a log for appending. A line that a crash has cut is ended first.
fn open_file(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    if file.metadata()?.is_file() && file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::Ordering;

    use super::*;

    /// A disk with room for so many bytes.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(Vec<u8>, usize)>>);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (content, room) = &mut *self.0.lock().unwrap();
            let count = bytes.len().min(room.saturating_sub(content.len()));
            content.extend_from_slice(&bytes[..count]);
            if count == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(count) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn writer(disk: &Disk) -> Writer {
        Writer {
            out: Box::new(disk.clone()),
            target: LogTarget::Stdout,
            format: LogFormat::Text,
            buffer: Vec::new(),
            unwritten: Arc::default(),
            lost_told: 0,
            summarized_told: 0,
            summary_at: None,
            owed: 0,
            torn: false,
            failing: false,
        }
    }

    fn lines(disk: &Disk) -> Vec<String> {
        let content = String::from_utf8(disk.0.lock().unwrap().0.clone()).unwrap();
        content.lines().map(|line| line.split(' ').skip(1).collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn a_full_disk_loses_lines_and_the_log_says_how_many() {
        let disk = Disk::default();
        disk.0.lock().unwrap().1 = 16;
        let mut writer = writer(&disk);
        for _ in 0..3 {
            writer.buffer.extend_from_slice(b"t one line\nt two line\n");
            writer.flush();
        }
        assert_eq!(writer.owed, 5, "the first line was written whole, the second was cut");
        disk.0.lock().unwrap().1 = 1 << 20;
        writer.buffer.extend_from_slice(b"t three\n");
        writer.flush();
        assert_eq!(lines(&disk), ["one line", "two", "three", "kind=lost lines=5"]);
        assert_eq!(writer.owed, 0);
    }

    #[test]
    fn a_full_queue_loses_lines_and_the_log_says_how_many() {
        let disk = Disk::default();
        disk.0.lock().unwrap().1 = 1 << 20;
        let mut writer = writer(&disk);
        writer.unwritten.lost.store(7, Ordering::Relaxed);
        writer.flush();
        writer.flush();
        assert_eq!(lines(&disk), ["kind=lost lines=7"]);
        writer.unwritten.lost.store(9, Ordering::Relaxed);
        writer.flush();
        assert_eq!(lines(&disk)[1..], ["kind=lost lines=2"]);
    }

    #[test]
    fn what_has_no_line_of_its_own_is_counted_when_the_second_is_over() {
        let disk = Disk::default();
        disk.0.lock().unwrap().1 = 1 << 20;
        let mut writer = writer(&disk);
        writer.unwritten.summarized.store(5, Ordering::Relaxed);
        writer.flush();
        let due = writer.summary_at.unwrap();
        writer.unwritten.summarized.store(8, Ordering::Relaxed);
        writer.flush();
        assert_eq!((lines(&disk).len(), writer.summary_at), (0, Some(due)));
        writer.summary_at = Some(Instant::now());
        writer.flush();
        assert_eq!(lines(&disk), ["kind=summary lines=8"]);
        assert!(writer.summary_at.is_some_and(|at| at > due), "and looks again");
        writer.summary_at = Some(Instant::now());
        writer.flush();
        assert_eq!((lines(&disk).len(), writer.summary_at), (1, None));
    }
}
