//! Receivers of webhooks: small HTTP servers that keep what they were sent, and answer as they are told.

use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Most bytes of a request.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// How a receiver behaves.
#[derive(Debug, Clone, Default)]
pub enum Behaviour {
    /// Answers 204 at once.
    #[default]
    Healthy,
    /// Answers with this status, these header lines and this body.
    Answers {
        /// HTTP status.
        status: u16,
        /// Header lines, each ended by CR and LF.
        headers: String,
        /// The body.
        body: String,
    },
    /// Answers 204 after a while.
    Slow(Duration),
    /// Closes the connection without an answer.
    Dead,
    /// Is well for one such time, answers 503 for the next, and so on.
    Flapping(Duration),
}

/// A message that came.
#[derive(Debug, Clone)]
pub struct Received {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Its headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body; empty if bodies are not kept.
    pub body: Vec<u8>,
    /// The status it was answered with; none: it was not answered.
    pub status: Option<u16>,
}

impl Received {
    /// A header by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }
}

/// A receiver that listens until it is dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    behaviour: Mutex<Behaviour>,
    received: Mutex<Vec<Received>>,
    begun_ms: AtomicU64,
    keeps_bodies: bool,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Receiver {
    /// Listens on a free port of this machine.
    ///
    /// # Errors
    /// There is no port.
    pub async fn start(behaviour: Behaviour, keeps_bodies: bool) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            behaviour: Mutex::new(behaviour),
            received: Mutex::default(),
            begun_ms: AtomicU64::new(now_ms()),
            keeps_bodies,
        });
        let serving = Arc::clone(&shared);
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                tokio::spawn(async move {
                    // Whoever hangs up is gone.
                    let _ = shared.converse(stream).await;
                });
            }
        });
        Ok(Self { address, shared, listening })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/hooks", self.address)
    }

    /// From now on it behaves like this.
    pub fn behave(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock() = behaviour;
        self.shared.begun_ms.store(now_ms(), Ordering::Release);
    }

    /// What came so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().clone()
    }

    /// What was accepted so far: each message's id and when it came.
    #[must_use]
    pub fn accepted(&self) -> Vec<(String, u64)> {
        let received = self.shared.received.lock();
        let accepted = received.iter().filter(|it| it.status.is_some_and(|status| status < 300));
        accepted.map(|it| (it.header("webhook-id").unwrap_or_default().to_owned(), it.at_ms)).collect()
    }

    /// How many messages were accepted so far.
    #[must_use]
    pub fn accepted_count(&self) -> usize {
        let received = self.shared.received.lock();
        received.iter().filter(|it| it.status.is_some_and(|status| status < 300)).count()
    }
}

impl Shared {
    async fn converse(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut buffer = Vec::new();
        while let Some((headers, body)) = read_request(&mut stream, &mut buffer).await? {
            let behaviour = self.behaviour.lock().clone();
            let (status, more, text) = match behaviour {
                Behaviour::Healthy => (Some(204), String::new(), String::new()),
                Behaviour::Answers { status, headers, body } => (Some(status), headers, body),
                Behaviour::Slow(pause) => {
                    tokio::time::sleep(pause).await;
                    (Some(204), String::new(), String::new())
                }
                Behaviour::Dead => (None, String::new(), String::new()),
                Behaviour::Flapping(time) => {
                    let since_ms = now_ms().saturating_sub(self.begun_ms.load(Ordering::Acquire));
                    let time_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
                    let status = if (since_ms / time_ms).is_multiple_of(2) { 204 } else { 503 };
                    (Some(status), String::new(), String::new())
                }
            };
            let body = if self.keeps_bodies { body } else { Vec::new() };
            self.received.lock().push(Received { at_ms: now_ms(), headers, body, status });
            let Some(status) = status else {
                return Ok(());
            };
            let length =
                if status == 204 { String::new() } else { format!("content-length: {}\r\n", text.len()) };
            let reply = format!("HTTP/1.1 {status} X\r\n{length}{more}\r\n{text}");
            stream.write_all(reply.as_bytes()).await?;
        }
        Ok(())
    }
}

type Request = (Vec<(String, String)>, Vec<u8>);

/// One request; none: the other side has hung up.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<Option<Request>> {
    let wrong = || std::io::Error::other("not a request that is understood");
    let mut part = [0; 8_192];
    let (head_end, headers, length) = loop {
        if let Some(place) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(buffer.get(..place).unwrap_or_default()).into_owned();
            let headers: Vec<(String, String)> = head
                .lines()
                .skip(1)
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect();
            let length = headers.iter().find(|(name, _)| name == "content-length");
            let length =
                length.map_or(Some(0), |(_, value)| value.parse::<usize>().ok()).ok_or_else(wrong)?;
            break (place + 4, headers, length);
        }
        let count = stream.read(&mut part).await?;
        if count == 0 {
            return Ok(None);
        }
        buffer.extend_from_slice(part.get(..count).unwrap_or_default());
        if buffer.len() > REQUEST_BYTES_MAX {
            return Err(wrong());
        }
    };
    if length > REQUEST_BYTES_MAX {
        return Err(wrong());
    }
    while buffer.len() < head_end + length {
        let count = stream.read(&mut part).await?;
        if count == 0 {
            return Ok(None);
        }
        buffer.extend_from_slice(part.get(..count).unwrap_or_default());
    }
    let rest = buffer.split_off(head_end + length);
    let body = buffer.split_off(head_end);
    *buffer = rest;
    Ok(Some((headers, body)))
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
