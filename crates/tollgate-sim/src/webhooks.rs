//! Webhooks: really sent, retried, and bounded.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// Deliveries that may wait; further ones are dropped, as a processor under fire would.
const QUEUED_MAX: usize = 65_536;
/// Deliveries under way at a time, waiting ones included.
const UNDER_WAY_MAX: usize = 1_024;
/// Waits before the second and later tries. After the last one the delivery is given up.
const RETRY_WAITS_MS: [u64; 5] = [250, 1_000, 2_000, 4_000, 8_000];
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// One message.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

/// Messages about one payment, to be delivered one after the other.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) messages: Vec<Message>,
    pub(crate) wait: Duration,
}

/// Hands deliveries to the task that sends them.
#[derive(Debug, Clone)]
pub(crate) struct Sender(Option<mpsc::Sender<Delivery>>);

impl Sender {
    /// Starts sending to `{target}/api/v1/webhooks/{processor}`; without a target nothing is sent.
    pub(crate) fn start(target: Option<&str>, processor: &str) -> Self {
        let Some(target) = target else {
            return Self(None);
        };
        let url = format!("{}/api/v1/webhooks/{processor}", target.trim_end_matches('/'));
        let (sender, receiver) = mpsc::channel(QUEUED_MAX);
        tokio::spawn(send_all(url.into(), receiver));
        Self(Some(sender))
    }

    /// Whether anybody would get a message.
    pub(crate) const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn send(&self, delivery: Delivery) {
        if let Some(sender) = &self.0
            && sender.try_send(delivery).is_err()
        {
            tracing::warn!("webhook dropped: too many wait");
        }
    }
}

async fn send_all(url: Arc<str>, mut deliveries: mpsc::Receiver<Delivery>) {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let places = Arc::new(Semaphore::new(UNDER_WAY_MAX));
    while let Some(delivery) = deliveries.recv().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let (client, url) = (client.clone(), Arc::clone(&url));
        tokio::spawn(async move {
            tokio::time::sleep(delivery.wait).await;
            for message in &delivery.messages {
                deliver(&client, &url, message).await;
            }
            drop(place);
        });
    }
}

async fn deliver(client: &Client<HttpConnector, Full<Bytes>>, url: &str, message: &Message) {
    for retry_ms in RETRY_WAITS_MS.into_iter().map(Some).chain([None]) {
        match tokio::time::timeout(DELIVERY_TIMEOUT, send_once(client, url, message)).await {
            Ok(true) => return,
            _ => match retry_ms {
                Some(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
                None => tracing::warn!("webhook given up"),
            },
        }
    }
}

/// Whether the receiver took it: any 2xx.
async fn send_once(client: &Client<HttpConnector, Full<Bytes>>, url: &str, message: &Message) -> bool {
    let mut request = http::Request::post(url);
    for (name, value) in &message.headers {
        request = request.header(*name, value);
    }
    let Ok(request) = request.body(Full::new(message.body.clone())) else {
        return false;
    };
    match client.request(request).await {
        Ok(response) => {
            let taken = response.status().is_success();
            // The connection can only be used again when the answer was read.
            let _ = response.into_body().collect().await;
            taken
        }
        Err(_) => false,
    }
}
