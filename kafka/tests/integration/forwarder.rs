//! Stands between a client and the broker, and stops to forward when told so.
//!
//! The broker names its own address to its clients; wherever that passes by, it is replaced by the forwarder's, which
//! is as long, so that clients come back here.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use balancefleet_kafka::Connection;
use parking_lot::{Condvar, Mutex};

/// Numbers of APIs.
pub(crate) mod api {
    pub(crate) const PRODUCE: i16 = 0;
    pub(crate) const FIND_COORDINATOR: i16 = 10;
    pub(crate) const ADD_OFFSETS_TO_TXN: i16 = 25;
    pub(crate) const END_TXN: i16 = 26;
    pub(crate) const TXN_OFFSET_COMMIT: i16 = 28;
}

/// What is done with what comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is passed on.
    Open,
    /// Nothing gets through, and nobody is told: the broker's host is gone.
    Silent,
    /// All is passed on but the broker's responses to requests of this API, by its number in Kafka's protocol.
    Loses(i16),
    /// In the responses to requests of this API the error code, their first field after the throttle time, is this one.
    Fails(i16, i16),
    /// The forwarder ends.
    Closed,
}

pub(crate) struct Forwarder {
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    own: SocketAddr,
    broker: SocketAddr,
    mode: Mutex<Mode>,
    changed: Condvar,
    connections: Mutex<Vec<TcpStream>>,
    in_use: AtomicUsize,
}

impl Forwarder {
    pub(crate) fn start(broker: &Connection) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let shared = Arc::new(Shared {
            own: listener.local_addr().expect("it has an address"),
            broker: broker.bootstrap_servers.parse().expect("the broker is given by its address"),
            mode: Mutex::new(Mode::Open),
            changed: Condvar::new(),
            connections: Mutex::default(),
            in_use: AtomicUsize::new(0),
        });
        let accepting = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.accept(&listener)
        });
        Self { shared, accepting: Some(accepting) }
    }

    /// How to reach the broker through here.
    pub(crate) fn connection(&self) -> Connection {
        Connection::plaintext(self.shared.own.to_string())
    }

    pub(crate) fn set(&self, mode: Mode) {
        *self.shared.mode.lock() = mode;
        self.shared.changed.notify_all();
    }

    /// How many connections there are now.
    pub(crate) fn in_use(&self) -> usize {
        self.shared.in_use.load(Ordering::Relaxed)
    }

    /// Closes every connection there is now; new ones are taken.
    pub(crate) fn cut(&self) {
        for connection in self.shared.connections.lock().drain(..) {
            drop(connection.shutdown(Shutdown::Both));
        }
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.set(Mode::Closed);
        self.cut();
        // Wakes the listener.
        drop(TcpStream::connect(self.shared.own));
        if let Some(accepting) = self.accepting.take() {
            accepting.join().expect("the listener ends well");
        }
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            if *self.mode.lock() == Mode::Closed {
                return;
            }
            let client = client.expect("a connection is taken");
            let broker = TcpStream::connect(self.broker).expect("the broker listens");
            for stream in [&client, &broker] {
                stream.set_nodelay(true).expect("it is a TCP connection");
                self.connections.lock().push(stream.try_clone().expect("there are descriptors"));
            }
            let reversed = (broker.try_clone().expect("descriptors"), client.try_clone().expect("descriptors"));
            let pending = Arc::new(Mutex::new(HashMap::new()));
            let (requests, responses) = (Arc::clone(self), Arc::clone(self));
            self.in_use.fetch_add(1, Ordering::Relaxed);
            std::thread::spawn({
                let pending = Arc::clone(&pending);
                move || {
                    requests.pump(client, broker, |frame| {
                        let (api, correlation) = (i16::from_be_bytes([frame[4], frame[5]]), frame[8..12].to_vec());
                        pending.lock().insert(correlation, api);
                        true
                    });
                    requests.in_use.fetch_sub(1, Ordering::Relaxed);
                }
            });
            std::thread::spawn(move || {
                responses.pump(reversed.0, reversed.1, |frame| {
                    let (api, mode) = (pending.lock().remove(&frame[4..8]), *responses.mode.lock());
                    match mode {
                        Mode::Fails(failing, code) if api == Some(failing) => {
                            frame[12..14].copy_from_slice(&code.to_be_bytes());
                            true
                        }
                        Mode::Loses(lost) => api != Some(lost),
                        _ => true,
                    }
                })
            });
        }
    }

    /// Passes on whole frames until either end closes, those that are wanted.
    fn pump(&self, mut from: TcpStream, mut to: TcpStream, wanted: impl Fn(&mut [u8]) -> bool) {
        while let Ok(mut frame) = read_frame(&mut from) {
            self.readdress(&mut frame);
            let mut mode = self.mode.lock();
            while *mode == Mode::Silent {
                self.changed.wait(&mut mode);
            }
            drop(mode);
            if wanted(&mut frame) && to.write_all(&frame).is_err() {
                break;
            }
        }
        drop((from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both)));
    }

    fn readdress(&self, frame: &mut [u8]) {
        let address = |port: u16| [self.own.ip().to_string().as_bytes(), &u32::from(port).to_be_bytes()].concat();
        let (brokers, ours) = (address(self.broker.port()), address(self.own.port()));
        for at in 0..frame.len().saturating_sub(brokers.len() - 1) {
            if frame[at..].starts_with(&brokers) {
                frame[at..at + ours.len()].copy_from_slice(&ours);
            }
        }
    }
}

fn read_frame(from: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut size = [0; 4];
    from.read_exact(&mut size)?;
    let mut frame = size.to_vec();
    frame.resize(4 + u32::from_be_bytes(size) as usize, 0);
    from.read_exact(&mut frame[4..])?;
    Ok(frame)
}
