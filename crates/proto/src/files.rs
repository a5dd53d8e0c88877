//! What the core needs from storage.

use std::net::{IpAddr, SocketAddr};

use crate::negotiate::Limits;
use crate::refusal::Refusal;
use crate::request::Mode;
use crate::route::SessionId;

/// Storage and policy behind an [`Endpoint`](crate::Endpoint).
///
/// None of these may block. What takes time is answered [`Answer::Later`]: the session waits,
/// repeats of the request are absorbed, and the driver calls the endpoint's `resolve_*` when the
/// answer is known.
pub trait Files {
    /// An immutable file, kept as it was when it was opened. A clone is the same file, not a copy.
    type Content: AsRef<[u8]> + Clone;
    /// The private bytes of a file that is arriving. Dropping it abandons the upload.
    type Upload;
    /// Proof that an upload was committed.
    type Receipt;

    /// Whether this client is served at all. Asked before anything else about a new request.
    ///
    /// # Errors
    /// The refusal, if it is not.
    fn admit(&self, client: IpAddr) -> Result<(), Refusal>;

    /// Opens a file for a read.
    fn open(&mut self, id: SessionId, request: &FileRequest<'_>) -> Answer<Self::Content>;

    /// The most to agree to for a read.
    fn read_limits(&self, request: &FileRequest<'_>, content: &Self::Content) -> Limits;

    /// Begins an upload. The announced size is a hint, to be checked and not to be obeyed.
    fn begin(&mut self, id: SessionId, request: &FileRequest<'_>) -> Answer<Self::Upload>;

    /// The most to agree to for an upload.
    fn write_limits(&self, request: &FileRequest<'_>, upload: &Self::Upload) -> Limits;

    /// Adds bytes to an upload.
    ///
    /// # Errors
    /// The refusal that ends the transfer.
    fn append(&mut self, upload: &mut Self::Upload, bytes: &[u8]) -> Result<(), Refusal>;

    /// Publishes an upload, whole.
    fn commit(&mut self, id: SessionId, upload: Self::Upload) -> Answer<Self::Receipt>;

    /// Cancels a commit that was to be answered later: its client was told that it failed, or has gone.
    ///
    /// Returns true if the upload will not be published. Returns false if it is too late for that: it
    /// is being published, and the answer to the commit still comes.
    fn withdraw(&mut self, id: SessionId) -> bool {
        let _ = id;
        true
    }
}

/// What storage says to a request.
#[derive(Debug)]
pub enum Answer<T> {
    /// The answer.
    Now(Result<T, Refusal>),
    /// It will come by one of the endpoint's `resolve_*`.
    Later,
}

/// A well-formed request for a file.
#[derive(Clone, Copy, Debug)]
pub struct FileRequest<'a> {
    /// Who asks.
    pub peer: SocketAddr,
    /// The address of ours that was asked, if the driver knows it.
    pub local: Option<IpAddr>,
    /// The name as it came: any bytes but NUL, maybe none.
    pub name: &'a [u8],
    /// How the bytes travel.
    pub mode: Mode,
    /// The size that a writer announces (RFC 2349), in bytes as they travel.
    pub announced: Option<u64>,
}
