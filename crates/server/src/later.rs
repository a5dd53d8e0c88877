//! Answers that take longer than a worker may wait.
//!
//! A worker hands a question over and goes on; its session waits, and repeats of the request are
//! absorbed. The answer comes back by the worker's own queue.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender};
use memtftp_proto::{Answer, FileRequest, Mode, Refusal, SessionId};
use memtftp_store::Receipt;
use memtftp_udp::Waker;

use crate::library::{Library, NamedUpload, Opened};
use crate::mailbox::Mailbox;
use crate::neighbours::Neighbours;
use crate::rules::{Direction, Hardware};

/// Questions that wait, at most. For one more the oldest is given up: none of those who wait has
/// answered a packet of ours yet.
const MAX_QUESTIONS: usize = 4_096;

/// What a worker is told at last.
#[derive(Debug)]
pub(crate) enum Resolution {
    Opened(SessionId, Result<Opened, Refusal>),
    Begun(SessionId, Result<Box<NamedUpload>, Refusal>),
    Committed(SessionId, Result<Receipt, Refusal>),
    /// The place of a request that has waited was needed for a newer one.
    Evicted(SessionId),
}

/// A worker's end: where its answers come.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    /// Without a bound of its own: a session has one question at a time, and where they wait their number
    /// is bounded.
    sender: Sender<Resolution>,
    waker: Waker,
    /// Sessions that wait for their commit.
    commits: Arc<Mutex<HashSet<SessionId>>>,
}

impl Answers {
    /// The answers to a worker, which `waker` makes look.
    pub(crate) fn new(waker: Waker) -> (Answers, Receiver<Resolution>) {
        let (sender, receiver) = crossbeam_channel::unbounded();
        (Answers { sender, waker, commits: Arc::default() }, receiver)
    }

    /// A session waits for its commit from now on.
    pub(crate) fn begin_commit(&self, id: SessionId) {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }

    pub(crate) fn waits_for_commit(&self, id: SessionId) -> bool {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }

    /// Ends that, be it by the commit or because nobody waits any more. False if it has ended before.
    pub(crate) fn end_commit(&self, id: SessionId) -> bool {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }

    /// Gives the worker an answer.
    pub(crate) fn give(&self, resolution: Resolution) {
        // A worker that has ended needs no answers.
        if self.sender.send(resolution).is_ok() {
            self.waker.wake();
        }
    }
}

/// A request that outlives its datagram.
#[derive(Debug)]
struct OwnedRequest {
    peer: SocketAddr,
    local: Option<IpAddr>,
    name: Box<[u8]>,
    mode: Mode,
    announced: Option<u64>,
}

impl OwnedRequest {
    fn new(request: &FileRequest<'_>) -> OwnedRequest {
        let FileRequest { peer, local, name, mode, announced } = *request;
        OwnedRequest { peer, local, name: name.into(), mode, announced }
    }

    fn lend(&self) -> FileRequest<'_> {
        let OwnedRequest { peer, local, ref name, mode, announced } = *self;
        FileRequest { peer, local, name, mode, announced }
    }
}

/// A request whose rules need the client's hardware address.
#[derive(Debug)]
struct Question {
    id: SessionId,
    direction: Direction,
    request: OwnedRequest,
    library: Library,
    answers: Answers,
}

/// The thread that knows the hardware addresses of clients.
#[derive(Debug)]
pub(crate) struct HardwareDesk(Mailbox<Question>);

impl HardwareDesk {
    /// Starts the thread. It ends with the last sender.
    pub(crate) fn start() -> std::io::Result<HardwareDesk> {
        let (mailbox, questions) = Mailbox::new(MAX_QUESTIONS);
        let work = move || answer_all(&questions);
        std::thread::Builder::new().name("neighbours".into()).spawn(work)?;
        Ok(HardwareDesk(mailbox))
    }

    /// Hands a request over.
    pub(crate) fn ask(
        &self,
        id: SessionId,
        direction: Direction,
        request: &FileRequest<'_>,
        library: Library,
        answers: Answers,
    ) {
        let request = OwnedRequest::new(request);
        let question = Question { id, direction, request, library, answers };
        for Question { id, answers, .. } in self.0.push(question) {
            answers.give(Resolution::Evicted(id));
        }
    }
}

/// Reads the table once for all questions that wait: a thousand clients that begin together cost
/// few readings, and no entry is older than the question.
fn answer_all(questions: &Receiver<Question>) {
    while let Ok(first) = questions.recv() {
        let waiting: Vec<Question> = std::iter::once(first).chain(questions.try_iter()).collect();
        let neighbours = Neighbours::read().unwrap_or_else(|error| {
            tracing::warn!("cannot read the table of neighbours: {error}");
            Neighbours::default()
        });
        for question in waiting {
            question.answer(&neighbours);
        }
    }
}

impl Question {
    fn answer(self, neighbours: &Neighbours) {
        let request = self.request.lend();
        let hardware = neighbours.of(request.peer).map_or(Hardware::Unknown, Hardware::Known);
        match self.direction {
            Direction::Read => match self.library.open_with(self.id, &request, hardware) {
                Answer::Now(result) => self.answers.give(Resolution::Opened(self.id, result)),
                Answer::Later => {}
            },
            Direction::Write => match self.library.begin_with(self.id, &request, hardware) {
                Answer::Now(result) => self.answers.give(Resolution::Begun(self.id, result)),
                Answer::Later => {}
            },
        }
    }
}
