//! Listening sockets that were bound by who started the program: socket activation.
//!
//! Each is the listening socket of one worker. One socket cannot be shared: whichever worker were
//! faster would take a datagram, and a repeated request or, in single-port operation, an ACK would
//! miss its transfer. Nor can we bind more beside it: the system lets only sockets of one user share
//! a port, and a service manager binds as root. So it has to bind as many as there are to be workers.

use std::net::{SocketAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::sync::Arc;

use thiserror::Error;

use crate::config::Config;

/// The sockets that were handed over do not fit the settings. The operator must act.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InheritedError {
    /// Not a socket for each worker.
    #[error(
        "--workers {workers} contradicts the {have} sockets for {address} that were handed over: \
         repeat ListenDatagram={address} {workers} times with ReusePort=yes, or leave --workers away"
    )]
    Workers {
        /// What the sockets are bound to.
        address: SocketAddr,
        /// How many there are.
        have: usize,
        /// How many workers there are to be.
        workers: usize,
    },
    /// Addresses with different numbers of sockets.
    #[error(
        "{have} sockets were handed over for {address} and {others} for {other}: give every address as \
         many, one for each worker"
    )]
    Uneven {
        /// What some sockets are bound to.
        address: SocketAddr,
        /// How many those are.
        have: usize,
        /// What others are bound to.
        other: SocketAddr,
        /// How many those are.
        others: usize,
    },
    /// A socket tells no address.
    #[error("a socket that was handed over cannot be used: {0}; it has to be a bound UDP socket")]
    Unusable(std::io::Error),
}

/// Inherited sockets by the address they are bound to.
#[derive(Debug)]
pub(crate) struct Inherited(Vec<(SocketAddr, Vec<UdpSocket>)>);

impl Inherited {
    /// Sorts the sockets. They take the place of [`Config::listen`] and decide how many workers there
    /// are; without any everything stays as it is.
    pub(crate) fn new(
        sockets: &[Arc<UdpSocket>],
        config: &mut Config,
    ) -> Result<Inherited, InheritedError> {
        let mut inherited = Inherited(Vec::new());
        for socket in sockets {
            let socket = socket.try_clone().map_err(InheritedError::Unusable)?;
            inherited.add(socket.local_addr().map_err(InheritedError::Unusable)?, socket);
        }
        if let Some(workers) = inherited.workers(config.workers)? {
            config.workers = Some(workers);
            config.listen = inherited.0.iter().map(|(address, _)| *address).collect();
        }
        Ok(inherited)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next socket of an address.
    pub(crate) fn next(&mut self, address: SocketAddr) -> Option<UdpSocket> {
        self.0.iter_mut().find(|(known, _)| *known == address)?.1.pop()
    }

    fn add(&mut self, address: SocketAddr, socket: UdpSocket) {
        match self.0.iter_mut().find(|(known, _)| *known == address) {
            Some((_, sockets)) => sockets.push(socket),
            None => self.0.push((address, vec![socket])),
        }
    }

    /// How many workers the sockets are for; `None` if there are no sockets.
    fn workers(
        &self,
        wanted: Option<NonZeroUsize>,
    ) -> Result<Option<NonZeroUsize>, InheritedError> {
        let Some((address, sockets)) = self.0.first() else { return Ok(None) };
        let (address, have) = (*address, sockets.len());
        if let Some((other, more)) = self.0.iter().find(|(_, more)| more.len() != have) {
            let (other, others) = (*other, more.len());
            return Err(InheritedError::Uneven { address, have, other, others });
        }
        match wanted.map(NonZeroUsize::get) {
            Some(workers) if workers != have => {
                Err(InheritedError::Workers { address, have, workers })
            }
            _ => Ok(NonZeroUsize::new(have)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sockets, so many of each address.
    fn sockets(counts: &[usize]) -> Vec<Arc<UdpSocket>> {
        let of_one = |count: &usize| {
            let first = UdpSocket::bind("127.0.0.1:0").unwrap();
            let more = (1..*count).map(|_| first.try_clone().unwrap()).collect::<Vec<_>>();
            std::iter::once(first).chain(more).map(Arc::new).collect::<Vec<_>>()
        };
        counts.iter().flat_map(of_one).collect()
    }

    #[test]
    fn each_address_has_a_socket_for_each_worker() {
        let mut config = Config::default();
        let given = sockets(&[2, 2]);
        let mut inherited = Inherited::new(&given, &mut config).unwrap();
        assert_eq!(config.worker_count(), 2);
        let addresses: Vec<_> = [0, 2].map(|at| given[at].local_addr().unwrap()).into();
        assert_eq!(config.listen, addresses);
        for address in addresses {
            let found = inherited.next(address).map(|socket| socket.local_addr().unwrap());
            assert_eq!(found, Some(address));
            assert!(inherited.next(address).is_some() && inherited.next(address).is_none());
        }
    }

    #[test]
    fn without_any_nothing_changes() {
        let mut config = Config::default();
        let listen = config.listen.clone();
        let mut inherited = Inherited::new(&[], &mut config).unwrap();
        assert_eq!((config.listen, config.workers), (listen.clone(), None));
        assert!(inherited.next(listen[0]).is_none());
    }

    #[test]
    fn what_does_not_fit_says_what_to_type() {
        let workers = |count| Config { workers: NonZeroUsize::new(count), ..Config::default() };
        let error = Inherited::new(&sockets(&[1]), &mut workers(2)).unwrap_err().to_string();
        assert!(error.contains("ReusePort=yes") && error.contains("--workers 2"), "{error}");
        let uneven = Inherited::new(&sockets(&[2, 1]), &mut Config::default());
        assert!(matches!(uneven, Err(InheritedError::Uneven { have: 2, others: 1, .. })));
    }
}
