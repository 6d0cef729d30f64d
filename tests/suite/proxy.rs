//! A TCP proxy that misbehaves on request, to be put between a node and its database.
//!
//! It lives on a thread of its own, so that it goes on while a test's only thread is blocked, and does not mind
//! paused clocks.

#![allow(dead_code, unreachable_pub, reason = "shared by several test binaries; none needs all of it")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot be set up has failed")]
#![allow(clippy::disallowed_methods, reason = "real bytes take real time")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

#[path = "proxy/line.rs"]
mod line;

use super::cluster::at_address;
use line::{Line, Turn, serve};

/// How long [`Shape::Reorder`] holds a connection that nothing overtakes.
pub const OVERTAKE: Duration = Duration::from_millis(200);
/// How long after one byte [`Shape::Drip`] lets the next one go.
pub const DRIP: Duration = Duration::from_millis(2);

/// What happens to connections. What a shape holds, the next one that lets bytes pass delivers, in order; an end or
/// a reset of either side is held and delivered like bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Bytes pass.
    Pass,
    /// All connections that there are when this is set are reset on both sides, and what they held is lost. New ones
    /// pass.
    Cut,
    /// The same, and new connections are closed at once.
    Refuse,
    /// Nothing moves in either direction, without an error. New connections reach the server, and stall too.
    Stall,
    /// What the client sends arrives; the server's answers do not.
    StallAnswers,
    /// The client sees the end of the server's answers; what it sends still arrives. For good: the answers of these
    /// connections are lost under later shapes, too.
    HalfClose,
    /// Everything is late by this much, in both directions.
    Delay(Duration),
    /// The server's answers come byte by byte.
    Drip,
    /// A new connection, its opening at the server included, is held until the next one has its first answer or
    /// [`OVERTAKE`] has passed: every second one comes up before the one that it followed.
    Reorder,
    /// New connections are accepted, but do not reach the server; all others stall.
    Blackhole,
}

/// The proxy. Dropped, it is gone with all its connections.
pub struct Proxy {
    addr: SocketAddr,
    accepted: Arc<AtomicUsize>,
    orders: Option<mpsc::UnboundedSender<Order>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What is to be in force, and whom to tell that it is.
type Order = (What, std::sync::mpsc::Sender<()>);

enum What {
    Shape(Shape),
    Upstream(SocketAddr),
}

impl Proxy {
    /// One that passes everything to `upstream` so far.
    pub fn start(upstream: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let (orders, taken) = mpsc::unbounded_channel();
        let (shape, _) = watch::channel(Shape::Pass);
        let desk =
            Desk { upstream, shape, lines: Vec::new(), held: Weak::new(), accepted: Arc::clone(&accepted) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let thread = std::thread::spawn(move || runtime.block_on(desk.run(listener, taken)));
        Self { addr, accepted, orders: Some(orders), thread: Some(thread) }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A URL of the server, by way of this.
    pub fn url(&self, upstream: &str) -> String {
        at_address(upstream, self.addr)
    }

    /// From the return of this on, `shape` is in force, for connections that are there and for new ones.
    pub fn set(&self, shape: Shape) {
        self.order(What::Shape(shape));
    }

    /// From the return of this on, new connections lead to this server. Those that are there stay where they are.
    pub fn set_upstream(&self, upstream: SocketAddr) {
        self.order(What::Upstream(upstream));
    }

    fn order(&self, what: What) {
        let (done, wait) = std::sync::mpsc::channel();
        self.orders.as_ref().unwrap().send((what, done)).unwrap();
        wait.recv().unwrap();
    }

    /// How many connections there ever were, refused ones included.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Takes connections and orders.
struct Desk {
    upstream: SocketAddr,
    shape: watch::Sender<Shape>,
    lines: Vec<(Weak<Line>, JoinHandle<()>)>,
    /// The connection that [`Shape::Reorder`] holds.
    held: Weak<Notify>,
    accepted: Arc<AtomicUsize>,
}

impl Desk {
    async fn run(mut self, listener: std::net::TcpListener, mut orders: mpsc::UnboundedReceiver<Order>) {
        let knocking = listener.try_clone().unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        loop {
            tokio::select! {
                order = orders.recv() => {
                    let Some((what, done)) = order else { return };
                    // To its client, a connection that waits in the kernel is there already.
                    while let Ok((client, _)) = knocking.accept() {
                        client.set_nonblocking(true).unwrap();
                        self.open(TcpStream::from_std(client).unwrap());
                    }
                    match what {
                        What::Shape(shape) => self.obey(shape).await,
                        What::Upstream(upstream) => self.upstream = upstream,
                    }
                    let _ = done.send(());
                }
                client = listener.accept() => match client {
                    Ok((client, _)) => self.open(client),
                    // No file descriptors left, perhaps.
                    Err(_) => sleep(Duration::from_millis(1)).await,
                }
            }
        }
    }

    fn open(&mut self, client: TcpStream) {
        self.accepted.fetch_add(1, Ordering::SeqCst);
        self.lines.retain(|(_, task)| !task.is_finished());
        let shape = *self.shape.borrow();
        if shape == Shape::Refuse {
            return;
        }
        let _ = client.set_nodelay(true);
        let line = Arc::new(Line::of(client));
        if shape == Shape::HalfClose {
            line.half_close();
        }
        let mut turn = Turn::Now;
        if shape == Shape::Reorder {
            turn = match self.held.upgrade() {
                Some(held) => Turn::Before(held),
                None => Turn::Held(Arc::new(Notify::new()), Instant::now() + OVERTAKE),
            };
            self.held = match &turn {
                Turn::Held(own, _) => Arc::downgrade(own),
                _ => Weak::new(),
            };
        }
        let known = Arc::downgrade(&line);
        let task = tokio::spawn(serve(line, self.upstream, self.shape.subscribe(), turn));
        self.lines.push((known, task));
    }

    async fn obey(&mut self, shape: Shape) {
        self.shape.send_replace(shape);
        match shape {
            Shape::Cut | Shape::Refuse => {
                for (line, task) in self.lines.drain(..) {
                    if let Some(line) = line.upgrade() {
                        line.reset_on_close();
                    }
                    // With the task goes the line, and with the line its sockets.
                    task.abort();
                    let _ = task.await;
                }
            }
            Shape::HalfClose => {
                for line in self.lines.iter().filter_map(|(line, _)| line.upgrade()) {
                    line.half_close();
                }
            }
            _ => {}
        }
    }
}
