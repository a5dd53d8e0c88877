//! A TFTP server inside a program: serves a directory and prints what became of each request.
//!
//! ```sh
//! cargo run -p memtftp-server --example embedded -- /srv/tftp
//! ```

use std::error::Error;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use memtftp_server::{Server, Uploads};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os().nth(1).ok_or("which directory? embedded DIRECTORY")?;
    serve(directory.as_ref(), io::stdin(), io::stdout())
}

/// Serves until `input` ends.
pub(crate) fn serve(
    directory: &Path,
    mut input: impl Read,
    mut output: impl Write + Send,
) -> Result<(), Box<dyn Error>> {
    let server =
        Server::builder().preload(directory).uploads(Uploads::Off).keep_records(1_000).start()?;
    writeln!(output, "serving {} files at {}", server.names().len(), server.url(""))?;
    std::thread::scope(|scope| {
        let printer = scope.spawn(|| print_records(&server, output));
        let ended = io::copy(&mut input, &mut io::sink());
        // Transfers may go on for a while; then the printer ends, too.
        server.drain(Duration::from_secs(10));
        printer.join().map_err(|_| "the printer failed")??;
        Ok(ended.map(drop)?)
    })
}

/// Prints each record as a line until the server has ended.
fn print_records(server: &Server, mut output: impl Write) -> io::Result<()> {
    while server.wait_for_record(Duration::MAX, |_| true).is_ok() {
        for record in server.take_records() {
            writeln!(output, "{record}")?;
        }
    }
    Ok(())
}
