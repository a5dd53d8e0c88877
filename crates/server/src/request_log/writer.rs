//! The thread that writes the request log.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, TryRecvError};
use jiff::Timestamp;
use memtftp_proto::Record;

use super::line::Line;
use super::{LogError, LogFormat, LogSender, LogTarget, Message, RequestLogConfig};

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
            out: BufWriter::new(out),
            target: config.target.clone(),
            format: config.format,
            queue_full: Arc::clone(&sender.lost),
            unwritten: 0,
            written: 0,
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

/// Lines between two looks at how many were lost, while there is always one to write.
const LINES_BETWEEN_LOOKS: u64 = 4_096;

struct Writer {
    out: BufWriter<Box<dyn Write + Send>>,
    target: LogTarget,
    format: LogFormat,
    /// Records that found the queue full.
    queue_full: Arc<AtomicU64>,
    /// Lines that could not be written and are to be made known.
    unwritten: u64,
    written: u64,
    failing: bool,
}

impl Writer {
    fn run(&mut self, messages: &Receiver<Message>) {
        loop {
            // What is written is flushed when there is nothing left to write.
            let message = match messages.try_recv() {
                Err(TryRecvError::Empty) => {
                    self.report_lost();
                    self.flush();
                    messages.recv().ok()
                }
                other => other.ok(),
            };
            match message {
                Some(Message::Record(record, socket)) => self.write_record(&record, socket),
                Some(Message::Reopen) => self.reopen(),
                None => break,
            }
        }
        self.report_lost();
        self.flush();
    }

    fn write_record(&mut self, record: &Record, socket: Option<SocketAddr>) {
        let line = Line::new(Timestamp::now(), record, socket).format(self.format);
        if let Err(error) = self.out.write_all(line.as_bytes()) {
            self.unwritten += 1;
            self.fail(&error);
        }
        self.written += 1;
        if self.written.is_multiple_of(LINES_BETWEEN_LOOKS) {
            self.report_lost();
        }
    }

    /// Says in the log itself how many lines are missing from it.
    fn report_lost(&mut self) {
        let lost = self.queue_full.swap(0, Ordering::Relaxed) + self.unwritten;
        if lost == 0 {
            return;
        }
        self.unwritten = 0;
        let line = Line::lost(Timestamp::now(), lost).format(self.format);
        let written = self.out.write_all(line.as_bytes()).and_then(|()| self.out.flush());
        if let Err(error) = written {
            self.unwritten = lost;
            self.fail(&error);
        }
    }

    fn flush(&mut self) {
        match self.out.flush() {
            Ok(()) if self.failing => {
                self.failing = false;
                tracing::warn!("the request log is being written again");
            }
            Ok(()) => {}
            Err(error) => self.fail(&error),
        }
    }

    /// Tells the operator once, until it works again.
    fn fail(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::error!("cannot write the request log, lines are being lost: {error}");
        }
    }

    fn reopen(&mut self) {
        self.flush();
        match open(&self.target) {
            Ok(out) => self.out = BufWriter::new(out),
            Err(error) => {
                tracing::error!("cannot reopen the request log, going on with the old: {error}");
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
