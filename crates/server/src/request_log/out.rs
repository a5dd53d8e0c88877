//! The file under the request log, and lines that only fit there in part.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};

use super::LogTarget;
use super::lines::{Lines, Worth};

/// Written at once to what is no regular file: a pipe takes so many bytes whole or not at all
/// (`PIPE_BUF` of Linux, `pipe(7)`), so no reader sees a part of a line.
const PIECE: usize = 4_096;

/// What the log needs of a file.
pub(super) trait Target: Write + Send {
    /// The length in bytes of a regular file; `None` for a pipe, a terminal and such.
    fn len(&self) -> Option<u64>;

    /// Whether a regular file is empty or ends with a line feed, if it can be read.
    fn is_ended(&self) -> bool;

    /// Tells it from other files.
    fn identity(&self) -> Option<(u64, u64)>;
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Written,
    Lost,
}

/// Keeps account of what becomes of each line.
pub(super) trait Accounts {
    /// Takes down the fate of a line. Each line has one fate, once.
    fn settle(&mut self, worth: Worth, fate: Fate);
}

/// A file that whole lines are written to. The rest of a line that a full disk has cut is kept, and
/// written before anything else: so a line in the file is whole, or is counted as lost and has no end.
pub(super) struct Out {
    target: Box<dyn Target>,
    cut: Option<Cut>,
}

/// The rest of a line that is in the file in part only.
struct Cut {
    rest: Vec<u8>,
    /// `None` if the line is not of this server, or is given up: it is only ended.
    worth: Option<Worth>,
    /// The length of the file then. If it has another, the line cannot be continued.
    len: Option<u64>,
}

impl Out {
    /// A line that is in the file already and has no end, since a crash has cut it, is ended first.
    pub(super) fn new(target: Box<dyn Target>) -> Out {
        let cut = (!target.is_ended()).then(|| Cut::to_end(target.len()));
        Out { target, cut }
    }

    /// Opens what the request log is configured to go to. Never waits for a reader of a named pipe:
    /// opened for reading, too, it has one.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn open(target: &LogTarget) -> io::Result<Out> {
        Ok(match target {
            // Nothing is known of what stands there, and it cannot be read.
            LogTarget::Stdout => Out { target: stdout()?, cut: None },
            LogTarget::File(path) => {
                let mut options = OpenOptions::new();
                Out::new(Box::new(options.read(true).append(true).create(true).open(path)?))
            }
        })
    }

    /// Whether this is the file of another, too.
    pub(super) fn is_same(&self, other: &Out) -> bool {
        let identity = self.target.identity();
        identity.is_some() && identity == other.target.identity()
    }

    /// Whether the last line in the file is not whole yet.
    pub(super) fn is_cut(&self) -> bool {
        self.cut.is_some()
    }

    /// Writes lines, or as many as can be; the others are lost. Each is settled, but for one that is
    /// cut here, which is when it has been continued or cannot be.
    ///
    /// # Errors
    /// Not all could be written.
    pub(super) fn write(&mut self, lines: &Lines, accounts: &mut dyn Accounts) -> io::Result<()> {
        let mut result = self.mend(accounts);
        let most = if self.target.len().is_some() { usize::MAX } else { PIECE };
        let mut first = 0;
        loop {
            let piece = lines.piece(first, most);
            if piece.count() == 0 {
                return result;
            }
            first += piece.count();
            let mut written = 0;
            if result.is_ok() {
                (written, result) = write_all(&mut *self.target, piece.bytes);
            }
            for (line, worth) in piece.lines() {
                if line.end <= written {
                    accounts.settle(worth, Fate::Written);
                } else if line.start >= written {
                    accounts.settle(worth, Fate::Lost);
                } else {
                    let rest = piece.bytes.get(written..line.end).unwrap_or_default().to_vec();
                    let (worth, len) = (Some(worth), self.target.len());
                    self.cut = Some(Cut { rest, worth, len });
                }
            }
        }
    }

    /// Gives up the line that is cut, if there is one: nothing will be written here any more.
    pub(super) fn give_up(&mut self, accounts: &mut dyn Accounts) {
        if let Some(worth) = self.cut.take().and_then(|cut| cut.worth) {
            accounts.settle(worth, Fate::Lost);
        }
    }

    /// Continues the line that is cut. Somebody else may have written behind it, or emptied the file:
    /// then it is ended where it is, and lost.
    fn mend(&mut self, accounts: &mut dyn Accounts) -> io::Result<()> {
        let Some(cut) = &mut self.cut else { return Ok(()) };
        let len = self.target.len();
        if len != cut.len {
            if let Some(worth) = cut.worth {
                accounts.settle(worth, Fate::Lost);
            }
            if self.target.is_ended() {
                self.cut = None;
                return Ok(());
            }
            *cut = Cut::to_end(len);
        }
        let (written, result) = write_all(&mut *self.target, &cut.rest);
        cut.rest.drain(..written);
        cut.len = self.target.len();
        if cut.rest.is_empty() {
            if let Some(worth) = cut.worth {
                accounts.settle(worth, Fate::Written);
            }
            self.cut = None;
        }
        result
    }
}

impl Cut {
    /// A line that is only to be ended.
    fn to_end(len: Option<u64>) -> Cut {
        Cut { rest: b"\n".to_vec(), worth: None, len }
    }
}

/// Writes as much as can be; returns how many bytes that was.
fn write_all(target: &mut dyn Target, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match target.write(rest) {
            Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, target.flush())
}

/// Standard output, without the buffer of the standard library: what it has taken may be lost yet, and
/// lines are counted as written here.
#[cfg(unix)]
fn stdout() -> io::Result<Box<dyn Target>> {
    use std::os::fd::AsFd;
    Ok(Box::new(File::from(io::stdout().as_fd().try_clone_to_owned()?)))
}

#[cfg(not(unix))]
fn stdout() -> io::Result<Box<dyn Target>> {
    struct Stdout(io::Stdout);
    impl Write for Stdout {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.0.flush()
        }
    }
    impl Target for Stdout {
        fn len(&self) -> Option<u64> {
            None
        }

        fn is_ended(&self) -> bool {
            false
        }

        fn identity(&self) -> Option<(u64, u64)> {
            None
        }
    }
    Ok(Box::new(Stdout(io::stdout())))
}

impl Target for File {
    fn len(&self) -> Option<u64> {
        self.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len())
    }

    fn is_ended(&self) -> bool {
        let last = Target::len(self).and_then(|len| len.checked_sub(1));
        last.is_none_or(|last| byte_at(self, last).is_ok_and(|byte| byte == b'\n'))
    }

    #[cfg(unix)]
    fn identity(&self) -> Option<(u64, u64)> {
        use std::os::unix::fs::MetadataExt;
        self.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
    }

    #[cfg(not(unix))]
    fn identity(&self) -> Option<(u64, u64)> {
        None
    }
}

#[cfg(unix)]
fn byte_at(file: &File, at: u64) -> io::Result<u8> {
    let mut byte = [0];
    std::os::unix::fs::FileExt::read_exact_at(file, &mut byte, at)?;
    let [byte] = byte;
    Ok(byte)
}

#[cfg(not(unix))]
fn byte_at(mut file: &File, at: u64) -> io::Result<u8> {
    use std::io::{Read, Seek, SeekFrom};
    let mut byte = [0];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut byte)?;
    let [byte] = byte;
    Ok(byte)
}
