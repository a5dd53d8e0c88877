//! `memtftp get` and `memtftp put`.

use std::collections::HashSet;
use std::io::{self, IsTerminal, Read};

use memtftp_client::{Client, Error, Report, Url};

use crate::cli::{Destination, GetFlags, Origin, PutFlags, TransferFlags};
use crate::exit::{self, Failure};
use crate::interrupt::Interrupt;
use crate::progress::Bar;

/// Fetches files, one after the other. After one that failed come the others all the same.
pub(crate) fn get(flags: &GetFlags) -> Result<(), Failure> {
    let files = flags.files().map_err(|error| error.to_string())?;
    let mut transfers = Transfers::new(&flags.transfer)?;
    let mut got = HashSet::new();
    for (url, to) in files {
        if let Destination::File(path) = &to
            && !got.insert(path.clone())
        {
            transfers.clash(&url, &format!("{} was just got", path.display()), "FILE");
            continue;
        }
        // On one terminal, file and progress would mix.
        let mixed = to == Destination::Stdout && io::stdout().is_terminal();
        transfers.one(&url, !flags.transfer.quiet && !mixed, |client| match &to {
            Destination::File(path) => client.get_file(&url, path),
            Destination::Stdout => client.get(&url, &mut io::stdout().lock()),
        })?;
    }
    transfers.end()
}

/// Sends files, one after the other. After one that failed come the others all the same.
pub(crate) fn put(flags: &PutFlags) -> Result<(), Failure> {
    let files = flags.files().map_err(|error| error.to_string())?;
    // While it is read, a signal has nothing to tidy up.
    let mut input = Vec::new();
    if files.iter().any(|(from, _)| *from == Origin::Stdin) {
        let read = io::stdin().lock().read_to_end(&mut input);
        read.map_err(|error| format!("cannot read standard input: {error}"))?;
    }
    let mut transfers = Transfers::new(&flags.transfer)?;
    let mut sent = HashSet::new();
    for (from, url) in files {
        if !sent.insert(url.to_string()) {
            transfers.clash(&url, &format!("{from} has the name of a file just put"), "NAME");
            continue;
        }
        transfers.one(&url, !flags.transfer.quiet, |client| match &from {
            Origin::File(path) => client.put_file(&url, path),
            Origin::Stdin => client.put_bytes(&url, &input),
        })?;
    }
    transfers.end()
}

/// Whether what reads our output has gone, like `head`. It has what it wanted.
fn is_closed_pipe(error: &Error) -> bool {
    matches!(error, Error::Write { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
}

/// Several transfers, and how they end together.
struct Transfers {
    client: Client,
    interrupt: Interrupt,
    /// Requests have options.
    has_options: bool,
    /// Of the first that failed.
    code: Option<u8>,
}

impl Transfers {
    fn new(flags: &TransferFlags) -> Result<Transfers, Failure> {
        let interrupt = Interrupt::listen();
        let interrupt = interrupt.map_err(|error| format!("cannot listen to signals: {error}"))?;
        let client = flags.client().cancelled_by(interrupt.cancel());
        Ok(Transfers { client, interrupt, has_options: flags.has_options(), code: None })
    }

    /// Does one of them. An error is told; only a signal ends them all.
    fn one(
        &mut self,
        url: &Url,
        shown: bool,
        transfer: impl FnOnce(&Client) -> Result<Report, Error>,
    ) -> Result<(), Failure> {
        let name = url.file_name().unwrap_or_default();
        let bar = Bar::new(String::from_utf8_lossy(name).escape_debug().to_string(), shown);
        let result = transfer(&self.client.clone().on_progress(bar.listener()));
        let error = match result {
            Ok(report) => {
                bar.done(&report);
                return Ok(());
            }
            Err(error) => error,
        };
        bar.failed();
        if let (Error::Cancelled, Some(signal)) = (&error, self.interrupt.signal()) {
            let line = Some(format!("{url}: interrupted"));
            return Err(Failure { code: exit::SIGNAL + signal, line });
        }
        if is_closed_pipe(&error) {
            return Err(Failure { code: exit::PIPE, line: None });
        }
        exit::say(&format!("{url}: {}", exit::line(&error, self.has_options)));
        self.code.get_or_insert(exit::code(&error));
        Ok(())
    }

    /// Tells that a file would take the place of another of the same command, which it must not.
    fn clash(&mut self, url: &Url, what: &str, name: &str) {
        exit::say(&format!("{url}: {what} and would be replaced: give each a {name} of its own"));
        self.code.get_or_insert(exit::LOCAL);
    }

    fn end(self) -> Result<(), Failure> {
        self.code.map_or(Ok(()), |code| Err(Failure { code, line: None }))
    }
}
