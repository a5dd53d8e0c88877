//! Standard error of a server. Whoever reads it may stall or go; no thread of the server waits for that.
//!
//! Texts go into a bounded queue, and a thread writes them. What finds no room there, or cannot be
//! written, is lost, and how many lines that were is said as soon as there is one who takes it.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::convert::Infallible;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{panic, thread};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

/// Texts that wait to be written, at most: each is a line or a status.
const QUEUE: usize = 4_096;

/// How soon it is tried again to say how many lines are lost.
const AGAIN: Duration = Duration::from_secs(1);

/// How long the end waits for a reader who takes nothing, and for one who takes a little.
const PATIENCE: Duration = Duration::from_millis(250);
const LONGEST_END: Duration = Duration::from_secs(2);

/// The way to standard error. A handle: clones share it. Writing to it neither waits nor fails.
#[derive(Clone, Debug)]
pub(crate) struct StandardError {
    queue: Sender<Message>,
    messages: Receiver<Message>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Lines lost so far.
    lost: AtomicU64,
    /// Texts that were written or lost by the thread so far.
    settled: AtomicU64,
}

#[derive(Debug)]
enum Message {
    Text(Vec<u8>),
    /// All before it is settled when this is dropped.
    End(Sender<Infallible>),
}

/// Writes what is queued when it is dropped, as far as there is one who takes it.
#[derive(Debug)]
pub(crate) struct Finish {
    stderr: StandardError,
    has_thread: bool,
}

impl StandardError {
    pub(crate) fn new() -> StandardError {
        let (queue, messages) = crossbeam_channel::bounded(QUEUE);
        StandardError { queue, messages, counts: Arc::default() }
    }

    /// Queues a text of whole lines. If there is no room, they are lost and counted.
    pub(crate) fn say(&self, text: impl Into<Vec<u8>>) {
        let text = text.into();
        let lines = lines(&text);
        if self.queue.try_send(Message::Text(text)).is_err() {
            self.counts.lost.fetch_add(lines, Ordering::Relaxed);
        }
    }

    /// Makes sure that all is written in the end.
    pub(crate) fn finish_later(&self) -> Finish {
        Finish { stderr: self.clone(), has_thread: false }
    }

    /// Writes what comes, to the end of the process.
    fn write_to(&self, out: impl Write) {
        let mut writer = Writer { out, counts: &self.counts, said: 0, torn: false };
        loop {
            let message = match writer.unsaid() {
                0 => self.messages.recv().map_err(RecvTimeoutError::from),
                _ => self.messages.recv_timeout(AGAIN),
            };
            match message {
                Ok(Message::Text(text)) => writer.write(&text),
                Ok(Message::End(_ended)) => writer.say_lost(),
                Err(RecvTimeoutError::Timeout) => writer.say_lost(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.messages.is_empty() {
                writer.say_lost();
            }
        }
    }

    /// Waits until what is queued is settled, for as long as the reader takes something.
    fn finish(&self) {
        let (ending, ended) = crossbeam_channel::bounded(0);
        if self.queue.send_timeout(Message::End(ending), PATIENCE).is_err() {
            return;
        }
        let until = Instant::now() + LONGEST_END;
        let mut settled = None;
        while ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            let now = self.counts.settled.load(Ordering::Relaxed);
            if settled.replace(now) == Some(now) || Instant::now() >= until {
                return;
            }
        }
    }
}

impl Write for StandardError {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.say(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Finish {
    /// Starts the thread that writes; until then texts are queued. To be called when the rights of root
    /// are given up, for threads keep those that they are born with. Panics are told there, too,
    /// because their usual way would wait for the reader.
    ///
    /// # Errors
    /// There is no thread for it.
    pub(crate) fn start_thread(&mut self) -> io::Result<()> {
        let stderr = self.stderr.clone();
        thread::Builder::new()
            .name("stderr".into())
            .spawn(move || stderr.write_to(io::stderr()))?;
        self.has_thread = true;
        let stderr = self.stderr.clone();
        panic::set_hook(Box::new(move |panic| {
            let thread = thread::current();
            let name = thread.name().unwrap_or("without a name");
            let mut text = format!("thread {name} {panic}\n");
            let backtrace = Backtrace::capture();
            if backtrace.status() == BacktraceStatus::Captured {
                text.push_str(&format!("{backtrace}"));
            }
            stderr.say(text);
        }));
        Ok(())
    }
}

impl Drop for Finish {
    fn drop(&mut self) {
        if self.has_thread {
            return self.stderr.finish();
        }
        // A start that failed: there is nobody but this thread.
        for message in self.stderr.messages.try_iter() {
            if let Message::Text(text) = message {
                let _ = io::stderr().write_all(&text);
            }
        }
    }
}

/// What the thread knows.
struct Writer<'a, W> {
    out: W,
    counts: &'a Counts,
    /// So many lines the reader knows to be lost.
    said: u64,
    /// The last line that was written is not whole.
    torn: bool,
}

impl<W: Write> Writer<'_, W> {
    fn unsaid(&self) -> u64 {
        self.counts.lost.load(Ordering::Relaxed) - self.said
    }

    fn write(&mut self, text: &[u8]) {
        let lost = self.write_lines(text);
        self.counts.lost.fetch_add(lost, Ordering::Relaxed);
        self.counts.settled.fetch_add(1, Ordering::Relaxed);
    }

    fn say_lost(&mut self) {
        let lost = self.unsaid();
        let notice = format!("memtftp: {lost} lines are missing here, which nobody took in time\n");
        if lost > 0 && self.write_lines(notice.as_bytes()) == 0 {
            self.said += lost;
        }
    }

    /// Writes as much as can be; returns how many lines are lost.
    fn write_lines(&mut self, text: &[u8]) -> u64 {
        let mut rest = text;
        while !rest.is_empty() {
            let result = if self.torn { self.out.write(b"\n") } else { self.out.write(rest) };
            match result {
                Ok(1..) if std::mem::take(&mut self.torn) => {}
                Ok(written @ 1..) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => {
                    let written = text.strip_suffix(rest).unwrap_or_default();
                    self.torn |= written.last().is_some_and(|last| *last != b'\n');
                    return lines(rest);
                }
            }
        }
        0
    }
}

fn lines(text: &[u8]) -> u64 {
    text.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// A reader that is there for a while, then not, then again.
    struct Reader<'a> {
        read: &'a mut Vec<u8>,
        /// How many bytes it takes each time; at 0 it is gone.
        takes: std::vec::IntoIter<usize>,
    }

    impl Write for Reader<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = self.takes.next().unwrap_or(usize::MAX).min(bytes.len());
            self.read.extend_from_slice(&bytes[..count]);
            if count == 0 { Err(ErrorKind::BrokenPipe.into()) } else { Ok(count) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted_and_said() {
        let (mut read, counts) = (Vec::new(), Counts::default());
        let out = Reader { read: &mut read, takes: vec![4, 2, 0, 0].into_iter() };
        let mut writer = Writer { out, counts: &counts, said: 0, torn: false };
        for text in ["one\n", "two\nthree\n", "four\n", "five\n"] {
            writer.write(text.as_bytes());
        }
        writer.say_lost();
        writer.say_lost();
        let expected =
            "one\ntw\nfive\nmemtftp: 3 lines are missing here, which nobody took in time\n";
        assert_eq!(String::from_utf8(read).unwrap(), expected);
    }

    #[test]
    fn what_finds_no_room_is_counted_and_nobody_waits() {
        let (mut reader, writer) = io::pipe().unwrap();
        let stderr = StandardError::new();
        for number in 0..2 * QUEUE {
            stderr.say(format!("{number:0>100}\n"));
        }
        let thread = stderr.clone();
        thread::spawn(move || thread.write_to(writer));
        // More than the pipe holds, so this gives up.
        stderr.finish();
        let mut text = String::new();
        let mut buffer = [0; 4_096];
        while !text.contains("missing") {
            let count = reader.read(&mut buffer).unwrap();
            text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
        let numbers = text.lines().filter_map(|line| line.parse::<usize>().ok());
        assert!(numbers.eq(0..QUEUE));
        assert!(text.contains(&format!("memtftp: {QUEUE} lines are missing")), "{text}");
    }
}
