use std::io::{self, Write};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use proptest::collection::vec;
use proptest::prelude::*;

use super::line::tests::record;
use super::out::{Out, Target};
use super::writer::{Books, RequestLog, Writer};
use super::*;

/// A file on a disk with room for so many bytes in it.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<File>>);

#[derive(Default)]
struct File {
    content: Vec<u8>,
    room: usize,
}

impl Disk {
    fn file(&self) -> MutexGuard<'_, File> {
        self.0.lock().unwrap()
    }

    fn with_room() -> Disk {
        let disk = Disk::default();
        disk.file().room = usize::MAX;
        disk
    }

    /// The whole lines without their times.
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.file().content.clone()).unwrap();
        let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        whole.map(|line| line.split_once(' ').unwrap_or_default().1.to_owned()).collect()
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut file = self.file();
        let count = bytes.len().min(file.room);
        file.room -= count;
        file.content.extend_from_slice(&bytes[..count]);
        if count == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(count) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Target for Disk {
    fn len(&self) -> Option<u64> {
        Some(self.file().content.len() as u64)
    }

    fn is_ended(&self) -> bool {
        self.file().content.last().is_none_or(|last| *last == b'\n')
    }

    fn identity(&self) -> Option<(u64, u64)> {
        Some((0, Arc::as_ptr(&self.0).addr() as u64))
    }
}

fn writer(disk: &Disk) -> Writer {
    let config = RequestLogConfig { target: LogTarget::Stdout, format: LogFormat::Text };
    let books = Books::new(Arc::default(), Arc::default());
    Writer::new(Out::new(Box::new(disk.clone())), config, books)
}

#[test]
fn a_full_disk_loses_lines_and_the_log_says_how_many() {
    let disk = Disk::default();
    disk.file().room = 16;
    let mut writer = writer(&disk);
    for _ in 0..3 {
        writer.add_line("t one line\n");
        writer.add_line("t two line\n");
        writer.flush();
    }
    assert_eq!(writer.unwritten().lost(), 4, "one line was written whole, one was begun");
    disk.file().room = 1 << 20;
    writer.add_line("t three\n");
    writer.flush();
    assert_eq!(disk.lines(), ["one line", "two line", "three", "kind=lost lines=4"]);
    assert_eq!(writer.unwritten().unsaid(), 0);
}

#[test]
fn a_full_queue_loses_lines_and_the_log_says_how_many() {
    let disk = Disk::with_room();
    let mut writer = writer(&disk);
    let lose = |count| (0..count).for_each(|_| writer.unwritten().lose());
    lose(7);
    writer.flush();
    writer.flush();
    assert_eq!(disk.lines(), ["kind=lost lines=7"]);
    (0..2).for_each(|_| writer.unwritten().lose());
    writer.flush();
    assert_eq!(disk.lines()[1..], ["kind=lost lines=2"]);
}

#[test]
fn what_has_no_line_of_its_own_is_counted_when_the_second_is_over() {
    let disk = Disk::with_room();
    let mut writer = writer(&disk);
    writer.unwritten().summarized.store(5, Ordering::Relaxed);
    writer.flush();
    let due = writer.summary_at.unwrap();
    writer.unwritten().summarized.store(8, Ordering::Relaxed);
    writer.flush();
    assert_eq!((disk.lines().len(), writer.summary_at), (0, Some(due)));
    writer.summary_at = Some(Instant::now());
    writer.flush();
    assert_eq!(disk.lines(), ["kind=summary lines=8"]);
    assert!(writer.summary_at.is_some_and(|at| at > due), "and looks again");
    writer.summary_at = Some(Instant::now());
    writer.flush();
    assert_eq!((disk.lines().len(), writer.summary_at), (1, None));
}

#[test]
fn a_summary_that_was_not_written_is_in_the_next() {
    let disk = Disk::default();
    let mut writer = writer(&disk);
    for (summarized, room) in [(5, 0), (8, usize::MAX)] {
        disk.file().room = room;
        writer.unwritten().summarized.store(summarized, Ordering::Relaxed);
        writer.summary_at = Some(Instant::now());
        writer.flush();
    }
    assert_eq!(disk.lines(), ["kind=summary lines=8"]);
}

#[test]
fn a_line_that_was_cut_before_is_ended_as_soon_as_there_is_room() {
    let disk = Disk::default();
    disk.file().content = b"t whole\nt cu".to_vec();
    let mut writer = writer(&disk);
    writer.add_line("t one\n");
    writer.flush();
    disk.file().room = usize::MAX;
    writer.add_line("t two\n");
    writer.flush();
    assert_eq!(disk.lines(), ["whole", "cu", "two", "kind=lost lines=1"]);
}

/// As `copytruncate` of logrotate does, or another program that writes there.
#[test]
fn a_line_that_cannot_be_continued_is_lost() {
    for (now, then) in [
        ("", &["one", "kind=lost lines=1"][..]),
        ("t other\n", &["other", "one", "kind=lost lines=1"]),
    ] {
        let disk = Disk::default();
        let mut writer = writer(&disk);
        disk.file().room = 4;
        writer.add_line("t cut\n");
        writer.flush();
        *disk.file() = File { content: now.as_bytes().to_vec(), room: usize::MAX };
        writer.add_line("t one\n");
        writer.flush();
        writer.flush();
        assert_eq!(disk.lines(), then);
    }
}

/// What happens to a log and its disk.
#[derive(Clone, Debug)]
enum Event {
    /// Requests end, and their lines are this long.
    Lines(Vec<usize>),
    /// Datagrams get no service and no line of their own.
    Summarized(u64),
    /// A request finds the queue full.
    Lost,
    /// The disk has so many bytes more.
    Room(usize),
    /// Another log takes the last of it.
    Full,
    /// The log is opened again: another file if it was renamed.
    Reopen { renamed: bool },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => vec(1_usize..60, 1..8).prop_map(Event::Lines),
        1 => (1_u64..5).prop_map(Event::Summarized),
        1 => Just(Event::Lost),
        4 => (1_usize..300).prop_map(Event::Room),
        2 => Just(Event::Full),
        1 => any::<bool>().prop_map(|renamed| Event::Reopen { renamed }),
    ]
}

fn sum(lines: &[String], of: &str) -> u64 {
    lines.iter().filter_map(|line| line.strip_prefix(of)?.parse::<u64>().ok()).sum()
}

proptest! {
    /// Wherever a full disk cuts, every line is in the log, whole, or in a count of those lost.
    #[test]
    fn whole_lines_and_lines_said_to_be_lost_are_all(events in vec(event(), 1..40)) {
        let mut disks = vec![Disk::default()];
        let mut writer = writer(&disks[0]);
        let (mut requests, mut summarized) = (0, 0);
        for event in events.into_iter().chain([Event::Room(1 << 20)]) {
            let disk = disks.last().unwrap().clone();
            match event {
                Event::Lines(lengths) => for length in lengths {
                    writer.add_line(&format!("t request={requests:.<length$};\n"));
                    requests += 1;
                },
                Event::Summarized(count) => {
                    summarized += count;
                    writer.unwritten().summarized.fetch_add(count, Ordering::Relaxed);
                    writer.summary_at = Some(Instant::now());
                }
                Event::Lost => {
                    requests += 1;
                    writer.unwritten().lose();
                }
                Event::Room(bytes) => disk.file().room += bytes,
                Event::Full => disk.file().room = 0,
                Event::Reopen { renamed } => {
                    writer.flush();
                    let room = disk.file().room;
                    let now = if renamed { Disk::default() } else { disk };
                    now.file().room = room;
                    writer.turn_to(Out::new(Box::new(now.clone())));
                    if renamed {
                        disks.push(now);
                    }
                }
            }
            writer.flush();
        }
        writer.end();
        let lines: Vec<String> = disks.iter().flat_map(Disk::lines).collect();
        let whole = lines.iter().filter(|line| line.starts_with("request=") && line.ends_with(';'));
        prop_assert_eq!(whole.count() as u64 + sum(&lines, "kind=lost lines="), requests);
        prop_assert_eq!(sum(&lines, "kind=summary lines="), summarized);
        prop_assert_eq!(writer.unwritten().unsaid(), 0);
    }
}

/// A reader that never reads: the end says so and does not wait for it.
#[test]
fn the_end_does_not_wait_for_a_log_that_takes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    let config = RequestLogConfig { target: LogTarget::File(pipe), format: LogFormat::Text };
    let (log, mut sender) = RequestLog::start(&config).unwrap();
    let unwritten = sender.unwritten();
    let count = QUEUE as u64 + 5_000;
    let record = || record(Kind::Read, Outcome::Complete, b"\0\x01file\0octet\0");
    for _ in 0..count {
        sender.send(record(), None);
    }
    assert!(unwritten.lost() > 0, "the queue is full");
    log.reopen();
    let begun = Instant::now();
    sender.send_last(record(), None);
    sender.send_last(record(), None);
    drop(sender);
    log.finish(&AtomicBool::new(true));
    log.finish(&AtomicBool::new(false));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
