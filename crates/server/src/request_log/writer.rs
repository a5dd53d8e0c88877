//! The thread that writes the request log.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use jiff::Timestamp;
use memtftp_proto::Record;

use super::line::Line;
use super::lines::{Lines, Worth};
use super::out::{Accounts, Fate, Out};
use super::{LogError, LogFormat, LogSender, LogTarget, Message, RequestLogConfig, Unwritten};

/// Lines are collected up to this many bytes while there is always one more to write.
const BUFFER: usize = 64 << 10;

/// What has no line of its own is counted for so long, and then has one together.
const SUMMARY: Duration = Duration::from_secs(1);

/// How soon lines are tried again that could not be written.
const AGAIN: Duration = Duration::from_secs(1);

/// The end of a server waits for its log as long as that takes a line in each such time,
const STALL: Duration = Duration::from_millis(250);

/// or in so many of these if there is no hurry,
const STALLS: u32 = 4;

/// but not longer than this.
const LONGEST_END: Duration = Duration::from_secs(5);

/// The request log of a running server.
pub(crate) struct RequestLog {
    /// `None` once it is finished.
    running: Mutex<Option<Running>>,
    progress: Arc<Progress>,
}

struct Running {
    queue: Sender<Message>,
    /// Read by the thread alone; here for its length.
    messages: Receiver<Message>,
    unwritten: Arc<Unwritten>,
    thread: JoinHandle<()>,
    /// Disconnected when the thread has ended.
    ended: Receiver<Infallible>,
}

/// What the thread shows of itself, and is told beside its queue.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Lines settled so far; it only grows.
    settled: AtomicU64,
    /// Lines of requests that the thread has taken and not settled yet.
    in_hand: AtomicU64,
    /// The file is to be opened again.
    reopen: AtomicBool,
}

impl RequestLog {
    /// Opens the log and starts its thread. The thread ends when the log is finished and all senders
    /// are gone.
    ///
    /// # Errors
    /// The log cannot be opened.
    pub(crate) fn start(config: &RequestLogConfig) -> Result<(RequestLog, LogSender), LogError> {
        let failed = |source| LogError {
            path: match &config.target {
                LogTarget::File(path) => path.clone(),
                LogTarget::Stdout => "-".into(),
            },
            source,
        };
        let out = Out::open(&config.target).map_err(failed)?;
        let (sender, queue, messages) = LogSender::new();
        let unwritten = sender.unwritten();
        let progress = Arc::<Progress>::default();
        let accounts = Books::new(Arc::clone(&unwritten), Arc::clone(&progress));
        let mut writer = Writer::new(out, config.clone(), accounts);
        let (ending, ended) = crossbeam_channel::bounded(0);
        let to_write = messages.clone();
        let thread = std::thread::Builder::new()
            .name("request-log".into())
            .spawn(move || {
                let _ending: Sender<Infallible> = ending;
                writer.run(&to_write);
            })
            .map_err(failed)?;
        let running = Running { queue, messages, unwritten, thread, ended };
        Ok((RequestLog { running: Mutex::new(Some(running)), progress }, sender))
    }

    /// Closes the file and opens it again by its name (after a rotation). Never waits: the thread does
    /// it when it gets there.
    pub(crate) fn reopen(&self) {
        self.progress.reopen.store(true, Ordering::Release);
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = &*running {
            // If the queue is full, the writer is at work and will see it by itself.
            let _ = running.queue.try_send(Message::Look);
        }
    }

    /// Waits until what is queued is written. Gives up, and says how many lines are lost, when none was
    /// written for a second, or for a quarter of one in a hurry: whoever takes the log has stalled. All
    /// other senders must be gone.
    pub(crate) fn finish(&self, is_hurried: &AtomicBool) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running { queue, messages, unwritten, thread, ended }) = running else { return };
        drop(queue);
        let until = Instant::now() + LONGEST_END;
        let (mut settled, mut stalls) = (self.progress.settled(), 0);
        while ended.recv_timeout(STALL) == Err(RecvTimeoutError::Timeout) {
            let before = std::mem::replace(&mut settled, self.progress.settled());
            stalls = if settled == before { stalls + 1 } else { 0 };
            let most = if is_hurried.load(Ordering::Relaxed) { 1 } else { STALLS };
            if stalls >= most || Instant::now() >= until {
                let left = messages.len() as u64 + self.progress.in_hand() + unwritten.unsaid();
                tracing::error!(
                    "the request log is not taken by its reader or its disk: the last {left} lines of \
                     it are lost"
                );
                return;
            }
        }
        if thread.join().is_err() {
            tracing::error!("the request log ended early");
        }
    }
}

impl Progress {
    fn settled(&self) -> u64 {
        self.settled.load(Ordering::Relaxed)
    }

    fn in_hand(&self) -> u64 {
        self.in_hand.load(Ordering::Relaxed)
    }
}

/// What became of the lines of a log.
pub(super) struct Books {
    unwritten: Arc<Unwritten>,
    progress: Arc<Progress>,
    /// How many datagrams summaries have counted.
    summarized: u64,
}

impl Books {
    pub(super) fn new(unwritten: Arc<Unwritten>, progress: Arc<Progress>) -> Books {
        Books { unwritten, progress, summarized: 0 }
    }

    /// How many datagrams no summary has counted yet.
    fn unsummarized(&self) -> u64 {
        self.unwritten.summarized() - self.summarized
    }
}

impl Accounts for Books {
    fn settle(&mut self, worth: Worth, fate: Fate) {
        self.progress.settled.fetch_add(1, Ordering::Relaxed);
        if worth == Worth::Request {
            self.progress.in_hand.fetch_sub(1, Ordering::Relaxed);
        }
        match (worth, fate) {
            (_, Fate::Written) => {}
            (Worth::Request, Fate::Lost) => self.unwritten.lose(),
            (Worth::Lost(count), Fate::Lost) => self.unwritten.not_said(count),
            (Worth::Summary(count), Fate::Lost) => self.summarized -= count,
        }
    }
}

pub(super) struct Writer {
    out: Out,
    target: LogTarget,
    format: LogFormat,
    books: Books,
    /// Lines that are to be written.
    lines: Lines,
    /// When the next summary is due.
    pub(super) summary_at: Option<Instant>,
    failing: bool,
}

impl Writer {
    pub(super) fn new(out: Out, config: RequestLogConfig, books: Books) -> Writer {
        let RequestLogConfig { target, format } = config;
        let lines = Lines::default();
        Writer { out, target, format, books, lines, summary_at: None, failing: false }
    }

    #[cfg(test)]
    pub(super) fn unwritten(&self) -> &Unwritten {
        &self.books.unwritten
    }

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
                // The flush after this finds what there is to say.
                Ok(Message::Look) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.books.progress.reopen.swap(false, Ordering::AcqRel) {
                self.reopen();
            }
        }
        self.end();
    }

    /// Waits for a message, or until there is something to write without one.
    fn wait(&self, messages: &Receiver<Message>) -> Result<Message, RecvTimeoutError> {
        let is_owing = self.out.is_cut() || self.books.unwritten.unsaid() > 0;
        let again = is_owing.then(|| Instant::now() + AGAIN);
        match self.summary_at.into_iter().chain(again).min() {
            Some(at) => messages.recv_deadline(at),
            None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    /// Adds the line that counts what has none of its own. It looks again a second later, since a
    /// worker tells only of the first in its second.
    fn summarize(&mut self) {
        let count = self.books.unsummarized();
        self.summary_at = (count > 0).then(|| Instant::now() + SUMMARY);
        if count > 0 {
            self.books.summarized += count;
            let line = Line::summary(Timestamp::now(), count).format(self.format);
            self.lines.push(&line, Worth::Summary(count));
        }
    }

    fn add(&mut self, record: &Record, socket: Option<SocketAddr>) {
        let line = Line::new(Timestamp::now(), record, socket).format(self.format);
        self.add_line(&line);
        if self.lines.len() >= BUFFER {
            self.flush();
        }
    }

    pub(super) fn add_line(&mut self, line: &str) {
        self.books.progress.in_hand.fetch_add(1, Ordering::Relaxed);
        self.lines.push(line, Worth::Request);
    }

    /// Writes what is collected, and how many lines were lost before. What cannot be written now
    /// is lost, so that a full disk costs no memory.
    pub(super) fn flush(&mut self) {
        if self.summary_at.is_some_and(|at| at <= Instant::now()) {
            self.summarize();
        } else if self.summary_at.is_none() && self.books.unsummarized() > 0 {
            self.summary_at = Some(Instant::now() + SUMMARY);
        }
        let lost = self.books.unwritten.say();
        if lost > 0 {
            let notice = Line::lost(Timestamp::now(), lost).format(self.format);
            self.lines.push(&notice, Worth::Lost(lost));
        }
        let has_work = !self.lines.is_empty() || self.out.is_cut();
        match self.out.write(&self.lines, &mut self.books) {
            Ok(()) if has_work && std::mem::take(&mut self.failing) => {
                tracing::warn!("the request log is being written again");
            }
            Ok(()) => {}
            // Told once, until it works again.
            Err(error) if !std::mem::replace(&mut self.failing, true) => {
                tracing::error!("cannot write the request log, lines are being lost: {error}");
            }
            Err(_) => {}
        }
        self.lines.clear();
    }

    fn reopen(&mut self) {
        self.flush();
        match Out::open(&self.target) {
            Ok(out) => self.turn_to(out),
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

    pub(super) fn turn_to(&mut self, out: Out) {
        // If it is the same file, the line that is cut is continued there.
        if !(self.out.is_cut() && self.out.is_same(&out)) {
            self.out.give_up(&mut self.books);
            self.out = out;
        }
    }

    /// Writes all there is, and says what could not be written.
    pub(super) fn end(&mut self) {
        self.summarize();
        self.flush();
        self.out.give_up(&mut self.books);
        let lost = self.books.unwritten.unsaid();
        if lost > 0 {
            tracing::error!("the last {lost} lines of the request log are lost");
        }
    }
}
