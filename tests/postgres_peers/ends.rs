//! A client and a server with the proxy between them.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::proxy::Proxy;

/// As good as never.
pub const SILENCE: Duration = Duration::from_millis(150);
/// As good as for sure.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A server that answers each chunk with the same bytes, and tells the test what it hears.
pub struct Echo {
    pub addr: SocketAddr,
    pub heard: mpsc::UnboundedReceiver<Heard>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    Opened,
    Text(String),
    Ended,
    Broke,
}

impl Echo {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (tell, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = tell.send(Heard::Opened);
                tokio::spawn(echo(stream, tell.clone()));
            }
        });
        Self { addr, heard }
    }

    #[track_caller]
    pub fn hears(&mut self, what: Heard) -> impl Future<Output = ()> {
        let at = std::panic::Location::caller();
        async move {
            let heard = timeout(PATIENCE, self.heard.recv()).await;
            assert_eq!(heard.ok().flatten(), Some(what), "{at}");
        }
    }

    pub async fn hears_text(&mut self, text: &str) {
        self.hears(Heard::Text(text.to_owned())).await;
    }

    pub async fn hears_nothing(&mut self) {
        let heard = timeout(SILENCE, self.heard.recv()).await;
        assert!(heard.is_err(), "{heard:?}");
    }
}

async fn echo(mut stream: TcpStream, tell: mpsc::UnboundedSender<Heard>) {
    let mut buffer = [0; 1024];
    loop {
        let heard = match stream.read(&mut buffer).await {
            Ok(0) => Heard::Ended,
            Ok(length) => Heard::Text(String::from_utf8_lossy(&buffer[..length]).into_owned()),
            Err(_) => Heard::Broke,
        };
        let answer = if let Heard::Text(text) = &heard { Some(text.clone()) } else { None };
        let _ = tell.send(heard);
        let Some(answer) = answer else { return };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

pub struct Client(pub TcpStream);

impl Client {
    pub async fn of(proxy: &Proxy) -> Self {
        Self(TcpStream::connect(proxy.addr()).await.unwrap())
    }

    pub async fn says(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    pub async fn hears(&mut self, text: &str) {
        let mut buffer = vec![0; text.len()];
        timeout(PATIENCE, self.0.read_exact(&mut buffer)).await.expect("silence").unwrap();
        assert_eq!(String::from_utf8_lossy(&buffer), text);
    }

    pub async fn hears_nothing(&mut self) {
        let heard = timeout(SILENCE, self.0.read(&mut [0; 1024])).await;
        assert!(heard.is_err(), "{heard:?}");
    }

    pub async fn hears_the_end(&mut self) {
        let heard = timeout(PATIENCE, self.0.read(&mut [0; 1024])).await.expect("silence");
        assert!(matches!(heard, Ok(0)), "{heard:?}");
    }

    pub async fn is_reset(&mut self) {
        let heard = timeout(PATIENCE, self.0.read(&mut [0; 1024])).await.expect("silence");
        assert_eq!(heard.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    }

    pub async fn is_closed(&mut self) {
        let heard = timeout(PATIENCE, self.0.read(&mut [0; 1024])).await.expect("silence");
        assert!(matches!(heard, Ok(0) | Err(_)), "{heard:?}");
    }

    /// There and back.
    pub async fn talks(&mut self, echo: &mut Echo, text: &str) {
        self.says(text).await;
        echo.hears_text(text).await;
        self.hears(text).await;
    }
}
