//! Ctrl-C and SIGTERM, for commands that have something to tidy up.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use memtftp_client::Cancel;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// The first signal cancels, the second ends the program at once.
pub(crate) struct Interrupt {
    cancel: Cancel,
    /// The first signal; 0 before.
    signal: Arc<AtomicU8>,
}

impl Interrupt {
    /// Listens from now on, to the end of the program.
    pub(crate) fn listen() -> io::Result<Interrupt> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let interrupt = Interrupt { cancel: Cancel::new(), signal: Arc::default() };
        let (cancel, first) = (interrupt.cancel.clone(), Arc::clone(&interrupt.signal));
        let hear = move || {
            for signal in signals.forever() {
                if cancel.is_cancelled() {
                    // It ends the program, or there is nothing else that would.
                    let _ = emulate_default_handler(signal);
                }
                first.store(u8::try_from(signal).unwrap_or_default(), Ordering::SeqCst);
                cancel.cancel();
            }
        };
        thread::Builder::new().name("signals".into()).spawn(hear)?;
        Ok(interrupt)
    }

    pub(crate) fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// The number of the signal that came.
    pub(crate) fn signal(&self) -> Option<u8> {
        Some(self.signal.load(Ordering::SeqCst)).filter(|signal| *signal > 0)
    }
}
