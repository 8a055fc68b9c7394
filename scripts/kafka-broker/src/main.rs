//! A broker that speaks Kafka's protocol, for tests: Tansu, which keeps what it was given in a file of SQLite, so that it survives being
//! killed.
//!
//! Usage: `kafka-broker <port of 127.0.0.1> <file>`

use tansu_broker::broker::Broker;
use tansu_broker::coordinator::group::administrator::Controller;
use tansu_storage::StorageContainer;
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, file] = arguments.as_slice() else {
        return Err("usage: kafka-broker <port of 127.0.0.1> <file>".into());
    };
    rustls::crypto::ring::default_provider().install_default().map_err(|_| "no cryptography")?;
    let here: Url = format!("tcp://127.0.0.1:{port}").parse()?;
    let broker = Broker::<Controller<StorageContainer>, StorageContainer>::builder()
        .node_id(111)
        .cluster_id("tests")
        .incarnation_id(Uuid::now_v7())
        .advertised_listener(here.clone())
        .listener(here)
        .storage(format!("sqlite://{file}").parse()?)
        .silent(true)
        .build()
        .await?;
    broker.main(Instant::now()).await?;
    Ok(())
}
