//! What the engine adds to the system calls of a block: an ACK taken, the next block offered.
#![allow(missing_docs, clippy::unwrap_used, reason = "not reached by any peer")]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use memtftp_proto::{
    Answer, Config, Datagram, Endpoint, FileRequest, Files, Limits, Refusal, Route, SessionId,
    SocketId, SocketRole, Time, Transmit,
};

const BLKSIZE: usize = 512;
const BLOCKS: usize = 60_000;

/// One file, whatever its name.
struct OneFile(Arc<[u8]>);

impl Files for OneFile {
    type Content = Arc<[u8]>;
    type Upload = ();
    type Receipt = ();

    fn admit(&self, _: IpAddr) -> Result<(), Refusal> {
        Ok(())
    }

    fn read_limits(&self, _: &FileRequest<'_>, _: &Arc<[u8]>) -> Limits {
        Limits::NONE
    }

    fn write_limits(&self, _: &FileRequest<'_>, (): &()) -> Limits {
        Limits::NONE
    }

    fn open(&mut self, _: SessionId, _: &FileRequest<'_>) -> Answer<Arc<[u8]>> {
        Answer::Now(Ok(Arc::clone(&self.0)))
    }

    fn begin(&mut self, _: SessionId, _: &FileRequest<'_>) -> Answer<()> {
        Answer::Now(Ok(()))
    }

    fn append(&mut self, (): &mut (), _: &[u8]) -> Result<(), Refusal> {
        Ok(())
    }

    fn commit(&mut self, _: SessionId, (): ()) -> Answer<()> {
        Answer::Now(Ok(()))
    }
}

/// Clients in lock-step that take turns.
struct Load {
    endpoint: Endpoint<OneFile>,
    now: Time,
    /// The route of each client's transfer and the block it acknowledges next.
    clients: Vec<(Route, u16)>,
    next: usize,
}

impl Load {
    fn new(clients: usize, file: &Arc<[u8]>) -> Load {
        let config = Config {
            sockets: vec![
                SocketRole::Listening { transfers: vec![SocketId(1)] },
                SocketRole::Transfer,
            ],
            max_half_open: clients,
            ..Config::default()
        };
        let endpoint = Endpoint::new(config, OneFile(Arc::clone(file)));
        let clients = (0..clients as u32)
            .map(|client| {
                let peer =
                    SocketAddr::new(IpAddr::from((0x0a00_0000 + client).to_be_bytes()), 2070);
                (Route { socket: SocketId(0), peer, local: None }, 0)
            })
            .collect();
        let mut load = Load { endpoint, now: Time::ZERO, clients, next: 0 };
        for _ in 0..load.clients.len() {
            load.ask();
        }
        load
    }

    /// The next client asks for the file from its beginning.
    fn ask(&mut self) {
        if let Some((route, acked)) = self.clients.get_mut(self.next) {
            (route.socket, *acked) = (SocketId(0), 0);
            let route = *route;
            self.take(&Datagram { route, directed: true, payload: b"\0\x01f\0octet\0" });
            if let Some((route, _)) = self.clients.get_mut(self.next) {
                route.socket = SocketId(1);
            }
            self.next = (self.next + 1) % self.clients.len();
        }
    }

    /// The next client acknowledges a block and gets the one behind it.
    fn step(&mut self) {
        let Some((route, acked)) = self.clients.get_mut(self.next) else { return };
        *acked += 1;
        let (route, number) = (*route, *acked);
        let [high, low] = number.to_be_bytes();
        self.take(&Datagram { route, directed: true, payload: &[0, 4, high, low] });
        if usize::from(number) == BLOCKS {
            return self.ask();
        }
        self.next = (self.next + 1) % self.clients.len();
    }

    fn take(&mut self, datagram: &Datagram<'_>) {
        self.now = self.now + Duration::from_micros(3);
        self.endpoint.handle_datagram(self.now, datagram);
        while let Some(transmit) = self.endpoint.poll_transmit(self.now) {
            if let Transmit::Run(run) = transmit {
                let bytes = self.endpoint.payload(&run).unwrap();
                assert!(run.datagrams(bytes).count() == 1);
            }
        }
        while self.endpoint.poll_record().is_some() {}
        self.endpoint.handle_timeout(self.now);
    }
}

fn endpoint(c: &mut Criterion) {
    let file: Arc<[u8]> = vec![7; BLOCKS * BLKSIZE - 1].into();
    let mut group = c.benchmark_group("an ACK and the block behind it");
    group.throughput(Throughput::Elements(1));
    for clients in [1, 64, 1_000, 10_000, 100_000] {
        let mut load = Load::new(clients, &file);
        group.bench_function(BenchmarkId::from_parameter(clients), |b| b.iter(|| load.step()));
    }
    group.finish();
}

criterion_group!(benches, endpoint);
criterion_main!(benches);
