//! One connection through the proxy: what is heard from one side is told to the other, when the shape lets it.

use std::io::ErrorKind;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::{DRIP, Shape};

/// One connection of a client, and the one to the server that belongs to it.
pub struct Line {
    client: TcpStream,
    server: OnceLock<TcpStream>,
    half_closed: AtomicBool,
}

impl Line {
    pub fn of(client: TcpStream) -> Self {
        Self { client, server: OnceLock::new(), half_closed: AtomicBool::new(false) }
    }

    /// Ends what the client hears, for good.
    pub fn half_close(&self) {
        if !self.half_closed.swap(true, Ordering::SeqCst) {
            shut(&self.client);
        }
    }

    /// Its sockets will not end but break.
    pub fn reset_on_close(&self) {
        for stream in [Some(&self.client), self.server.get()].into_iter().flatten() {
            let _ = stream.set_zero_linger();
        }
    }
}

/// Sends a FIN.
fn shut(stream: &TcpStream) {
    // Tokio only shuts what it owns; a second descriptor of the same socket will do.
    if let Ok(fd) = stream.as_fd().try_clone_to_owned() {
        let _ = std::net::TcpStream::from(fd).shutdown(Shutdown::Write);
    }
}

/// When a connection may open.
pub enum Turn {
    Now,
    /// Now, and its first answer lets this one go.
    Before(Arc<Notify>),
    /// When told, or then.
    Held(Arc<Notify>, Instant),
}

/// Opens the connection when its turn has come, and passes bytes until both sides have ended or one has broken.
pub async fn serve(line: Arc<Line>, upstream: SocketAddr, mut shape: watch::Receiver<Shape>, turn: Turn) {
    let mut overtakes = None;
    match turn {
        Turn::Now => {}
        Turn::Before(held) => overtakes = Some(held),
        Turn::Held(told, until) => tokio::select! {
            () = told.notified() => {}
            () = sleep_until(until) => {}
            _ = shape.wait_for(|shape| *shape != Shape::Reorder) => {}
        },
    }
    if shape.wait_for(|shape| *shape != Shape::Blackhole).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(upstream).await else { return line.reset_on_close() };
    let _ = server.set_nodelay(true);
    let server = line.server.get_or_init(|| server);
    let (client, line) = (&line.client, &*line);
    let requests =
        pass(client, server, Direction { answers_of: None, shape: shape.clone(), overtakes: None });
    let answers = pass(server, client, Direction { answers_of: Some(line), shape, overtakes });
    if tokio::try_join!(requests, answers).is_err() {
        line.reset_on_close();
    }
}

/// The connection is broken: both sides of it are to be reset.
struct Broken;

/// What one side said.
enum Said {
    Bytes(Vec<u8>),
    End,
    Reset,
}

/// What is to be known about one direction of a connection.
struct Direction<'a> {
    /// The connection, if this is the direction from the server to the client.
    answers_of: Option<&'a Line>,
    shape: watch::Receiver<Shape>,
    overtakes: Option<Arc<Notify>>,
}

async fn pass(from: &TcpStream, to: &TcpStream, direction: Direction<'_>) -> Result<(), Broken> {
    // Few enough that whoever sends into a stall notices, as with a real one.
    let (heard, said) = mpsc::channel(16);
    // Whoever listens is heard to the end, and has nothing to say about it.
    let listening = async {
        listen(from, heard).await;
        std::future::pending().await
    };
    tokio::select! {
        told = direction.tell(to, said) => told,
        never = listening => never,
    }
}

/// Reads ahead, so that a chunk's delay counts from when it came.
async fn listen(from: &TcpStream, heard: mpsc::Sender<(Instant, Said)>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let said = match from.try_read(&mut buffer) {
            Ok(0) => Said::End,
            Ok(length) => Said::Bytes(buffer[..length].to_vec()),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                if from.readable().await.is_ok() {
                    continue;
                }
                Said::Reset
            }
            Err(_) => Said::Reset,
        };
        let last = !matches!(said, Said::Bytes(_));
        if heard.send((Instant::now(), said)).await.is_err() || last {
            return;
        }
    }
}

impl Direction<'_> {
    async fn tell(mut self, to: &TcpStream, mut said: mpsc::Receiver<(Instant, Said)>) -> Result<(), Broken> {
        while let Some((at, said)) = said.recv().await {
            match said {
                Said::Bytes(bytes) => self.deliver(to, &bytes, at).await?,
                Said::End => {
                    self.may_go(at).await;
                    if !self.is_lost() {
                        shut(to);
                    }
                }
                Said::Reset => {
                    self.may_go(at).await;
                    return Err(Broken);
                }
            }
            if let Some(held) = self.overtakes.take() {
                held.notify_one();
            }
        }
        Ok(())
    }

    async fn deliver(&mut self, to: &TcpStream, mut bytes: &[u8], at: Instant) -> Result<(), Broken> {
        while !bytes.is_empty() {
            let drips = self.may_go(at).await == Shape::Drip && self.answers_of.is_some();
            if self.is_lost() {
                return Ok(());
            }
            match to.try_write(if drips { &bytes[..1] } else { bytes }) {
                Ok(length) => bytes = &bytes[length..],
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    to.writable().await.map_err(|_| Broken)?;
                    continue;
                }
                Err(_) => return Err(Broken),
            }
            if drips {
                tokio::select! {
                    () = sleep(DRIP) => {}
                    _ = self.shape.changed() => {}
                }
            }
        }
        Ok(())
    }

    /// Whether nobody can hear this any more.
    fn is_lost(&self) -> bool {
        self.answers_of.is_some_and(|line| line.half_closed.load(Ordering::SeqCst))
    }

    /// Waits until what came at this time may go, and answers under which shape.
    async fn may_go(&mut self, at: Instant) -> Shape {
        loop {
            let shape = *self.shape.borrow_and_update();
            let until = match shape {
                Shape::Stall | Shape::Blackhole => None,
                Shape::StallAnswers if self.answers_of.is_some() => None,
                Shape::Delay(late) if Instant::now() < at + late => Some(at + late),
                _ => return shape,
            };
            let later = async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = later => {}
                // Without a desk there is no runtime either.
                _ = self.shape.changed() => {}
            }
        }
    }
}
