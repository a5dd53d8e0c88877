//! The floor that the server is measured against: batches of system calls, and next to no protocol.
//!
//! It answers each request with the options asked, and each ACK with the window behind it. It
//! knows no client and no name, and sends nothing twice. What a server costs above this is its
//! own; what this costs is the system's.
//!
//! ```console
//! $ cargo run --release -p memtftp-udp --example reference -- 127.0.0.1:6969 FILE
//! 127.0.0.1:6969
//! ```

use std::error::Error;
use std::sync::Arc;

use memtftp_udp::{
    BATCH, BindOptions, Destination, Poller, Received, RecvBatch, SendBuffer, Socket,
};

/// Bytes of each socket buffer, as the server's.
const BUFFER: usize = 8 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, address, path] = &arguments[..] else {
        return Err("usage: reference IP:PORT FILE".into());
    };
    let file = std::fs::read(path)?;
    let options = BindOptions { recv_buffer: BUFFER, send_buffer: BUFFER, ..Default::default() };
    let socket = Arc::new(Socket::bind(address.parse()?, &options)?);
    println!("{}", socket.local_addr());
    let mut poller = Poller::new()?;
    poller.add(&socket, 0)?;
    let (mut arrived, mut buffer) = (RecvBatch::new(), SendBuffer::new());
    let (mut agreed, mut queue) = (Agreed::default(), Vec::new());
    loop {
        for _ready in poller.wait(None)? {
            socket.recv(&mut arrived)?;
            arrived.iter().for_each(|datagram| agreed.answer(&datagram, &file, &mut queue));
            let mut answers = queue.drain(..).peekable();
            while answers.peek().is_some() {
                let mut batch = buffer.start();
                for (to, answer) in answers.by_ref().take(BATCH) {
                    match answer {
                        Answer::Options(oack) => batch.push_copied(to, &oack),
                        Answer::Block(header, payload) => batch.push(to, header, payload),
                    };
                }
                socket.send(&mut batch);
            }
        }
    }
}

enum Answer<'f> {
    Options(Vec<u8>),
    Block([u8; 4], &'f [u8]),
}

/// What the last request asked for; all are taken to ask for the same.
struct Agreed {
    blksize: usize,
    windowsize: usize,
}

impl Default for Agreed {
    fn default() -> Agreed {
        Agreed { blksize: 512, windowsize: 1 }
    }
}

impl Agreed {
    fn answer<'f>(
        &mut self,
        datagram: &Received<'_>,
        file: &'f [u8],
        queue: &mut Vec<(Destination, Answer<'f>)>,
    ) {
        let to = Destination { peer: datagram.peer, local: datagram.local };
        let acked = match *datagram.payload {
            [0, 1, ref request @ ..] => match self.accept(request) {
                Some(oack) => return queue.push((to, Answer::Options(oack))),
                None => 0,
            },
            [0, 4, high, low] => usize::from(u16::from_be_bytes([high, low])),
            _ => return,
        };
        let last = file.len() / self.blksize + 1;
        for number in (acked + 1..=last).take(self.windowsize) {
            let start = (number - 1) * self.blksize;
            let end = file.len().min(start + self.blksize);
            let [high, low] = (number as u16).to_be_bytes();
            let payload = file.get(start..end).unwrap_or_default();
            queue.push((to, Answer::Block([0, 3, high, low], payload)));
        }
    }

    /// The OACK to a request: all that it asks, but for its size. `None` if it asks for nothing.
    fn accept(&mut self, request: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(request).ok()?;
        let mut words = text.split_terminator('\0').skip(2);
        let mut oack = vec![0, 6];
        *self = Agreed::default();
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            match name {
                "blksize" => self.blksize = value.parse().ok()?,
                "windowsize" => self.windowsize = value.parse().ok()?,
                _ => continue,
            }
            oack.extend([name, "\0", value, "\0"].concat().into_bytes());
        }
        (oack.len() > 2).then_some(oack)
    }
}
