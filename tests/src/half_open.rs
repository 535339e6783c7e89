use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often an idle thread checks whether its connection is still alive.
const POLL: Duration = Duration::from_millis(20);

/// A TCP proxy that can make every connection half-open, as after the sudden death of a server's machine: no
/// data arrives on either side, and neither side sees an error. Later connections work, unless those are
/// swallowed as well.
pub struct HalfOpen {
    address: SocketAddr,
    /// Connections with a number below this one are dead.
    alive_from: Arc<AtomicU64>,
    begun: Arc<AtomicU64>,
    /// Kept open, so that no side sees the end of a connection.
    sockets: Arc<Mutex<Vec<TcpStream>>>,
}

impl HalfOpen {
    /// Starts a proxy in front of `target`, such as `127.0.0.1:5432`.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub fn before(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (alive_from, begun) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let sockets: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let this = Self {
            address,
            alive_from: Arc::clone(&alive_from),
            begun: Arc::clone(&begun),
            sockets: Arc::clone(&sockets),
        };
        let target = target.to_owned();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(&target) else { continue };
                let number = begun.fetch_add(1, Ordering::SeqCst);
                let mut kept = sockets.lock().unwrap_or_else(PoisonError::into_inner);
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { continue };
                    let alive_from = Arc::clone(&alive_from);
                    std::thread::spawn(move || {
                        pump(from, to, || number >= alive_from.load(Ordering::SeqCst));
                    });
                }
                kept.extend([client, server]);
            }
        });
        this
    }

    /// The proxy's own address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Swallows all further data on the existing connections.
    pub fn kill_connections(&self) {
        self.alive_from.store(self.begun.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Swallows all data, also on later connections, until
    /// [`accept_later_connections`](Self::accept_later_connections).
    pub fn swallow_all(&self) {
        self.alive_from.store(u64::MAX, Ordering::SeqCst);
    }

    /// Lets later connections through again; existing ones stay dead.
    pub fn accept_later_connections(&self) {
        self.kill_connections();
    }
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        for socket in self.sockets.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = socket.shutdown(Shutdown::Both); // it may be closed already
        }
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, is_alive: impl Fn() -> bool) {
    let mut bytes = [0; 16 * 1024];
    if from.set_read_timeout(Some(POLL)).is_err() {
        return;
    }
    while is_alive() {
        match from.read(&mut bytes) {
            Ok(0) => {
                let _ = to.shutdown(Shutdown::Write); // the other side may be closed as well
                return;
            }
            Ok(read) if is_alive() => {
                if to.write_all(&bytes[..read]).is_err() {
                    return;
                }
            }
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Ok(_) | Err(_) => return,
        }
    }
}
