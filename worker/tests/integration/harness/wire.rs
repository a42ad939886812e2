//! Stands between workers and PostgreSQL, and loses, holds or refuses what it is told to.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::{Condvar, Mutex};

/// The beginning of the statement that changed customers follow as a stream.
const COPY: &[u8] = b"COPY pg_temp.balancefleet_bal FROM";

/// What is done with what comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is passed on.
    Open,
    /// What clients send waits here.
    Holding,
    /// What clients send waits here, on a connection that is in the middle of sending changed customers as a stream.
    HoldingCopies,
    /// Connections end at once.
    Refusing,
    /// So many more COMMITs are passed on and their answers lost, and each time the connection with them.
    LosingCommits(u32),
}

/// The wire. It ends with the test's process.
pub(crate) struct Wire(Arc<Shared>);

struct Shared {
    own: SocketAddr,
    server: String,
    mode: Mutex<Mode>,
    changed: Condvar,
    held: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
}

impl Wire {
    /// To the server at `host:port`.
    pub(crate) fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Shared {
            own: listener.local_addr().unwrap(),
            server,
            mode: Mutex::new(Mode::Open),
            changed: Condvar::new(),
            held: AtomicBool::new(false),
            connections: Mutex::default(),
        });
        std::thread::spawn({
            let shared = shared.clone();
            move || shared.accept(&listener)
        });
        Self(shared)
    }

    /// `url` by way of here.
    pub(crate) fn through(&self, url: &str) -> String {
        url.replace(&self.0.server, &self.0.own.to_string())
    }

    pub(crate) fn set(&self, mode: Mode) {
        *self.0.mode.lock() = mode;
        self.0.held.store(false, Ordering::SeqCst);
        self.0.changed.notify_all();
    }

    pub(crate) fn mode(&self) -> Mode {
        *self.0.mode.lock()
    }

    /// Whether something a client has sent waits here.
    pub(crate) fn is_holding(&self) -> bool {
        self.0.held.load(Ordering::SeqCst)
    }

    /// Ends every connection there is now.
    pub(crate) fn cut(&self) {
        for connection in self.0.connections.lock().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming().map_while(Result::ok) {
            if *self.mode.lock() == Mode::Refusing {
                continue;
            }
            let Ok(server) = TcpStream::connect(&self.server) else { continue };
            for stream in [&client, &server] {
                stream.set_nodelay(true).unwrap();
                self.connections.lock().push(stream.try_clone().unwrap());
            }
            let (to_client, from_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let (loses, copying) = (Arc::new(AtomicBool::new(false)), AtomicBool::new(false));
            std::thread::spawn({
                let (shared, loses) = (self.clone(), loses.clone());
                move || pump(client, server, |bytes| shared.pass(bytes, &loses, &copying))
            });
            std::thread::spawn(move || pump(from_server, to_client, |_| !loses.load(Ordering::SeqCst)));
        }
    }

    /// Whether a client's bytes go on; waits while they are held.
    fn pass(&self, bytes: &[u8], loses: &AtomicBool, copying: &AtomicBool) -> bool {
        let mut mode = self.mode.lock();
        // A message that carries rows, after the statement they are for has begun.
        let carries = copying.load(Ordering::SeqCst) && bytes.first() == Some(&b'd');
        if bytes.windows(COPY.len()).any(|part| part == COPY) {
            copying.store(true, Ordering::SeqCst);
        }
        while *mode == Mode::Holding || (*mode == Mode::HoldingCopies && carries) {
            self.held.store(true, Ordering::SeqCst);
            self.changed.wait(&mut mode);
        }
        if let Mode::LosingCommits(left @ 1..) = *mode
            && bytes.windows(7).any(|part| part == b"COMMIT\0")
        {
            *mode = Mode::LosingCommits(left - 1);
            loses.store(true, Ordering::SeqCst);
        }
        *mode != Mode::Refusing
    }
}

/// Passes bytes on as they come, until either end closes or some are not wanted.
fn pump(mut from: TcpStream, mut to: TcpStream, wanted: impl Fn(&[u8]) -> bool) {
    let mut buffer = [0; 65536];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !wanted(&buffer[..count]) || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
