//! The topics: are they there, have they enough partitions, and making those that are missing.

use super::delivery::Context;
use super::errors::{self, refused};
use crate::{BusError, Refusal};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use std::time::Duration;
use tokio::time::Instant;
use tollgate_core::bus::Topic;

/// How long a request to a broker may take.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// How long it waits before it looks again whether a topic that was made is there.
const PAUSE: Duration = Duration::from_millis(100);

/// What to do about topics that are missing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) declare: bool,
    pub(super) replication_factor: u8,
}

/// How a topic is.
enum Found {
    Good,
    Missing,
    /// It has so many partitions.
    Small(usize),
    /// It has partitions without a leader.
    Leaderless,
}

/// Makes the topics ready.
pub(super) async fn prepare(
    mut settings: ClientConfig,
    context: Context,
    plan: Plan,
    deadline: Instant,
) -> Result<(), BusError> {
    // It writes nothing, and needs no producer's id.
    for name in ["enable.idempotence", "enable.gapless.guarantee", "max.in.flight.requests.per.connection"] {
        settings.remove(name);
    }
    let runtime = tokio::runtime::Handle::current();
    // librdkafka's look at the topics blocks, as does the end of its client.
    let work = tokio::task::spawn_blocking(move || {
        let client = AdminClient::from_config_and_context(&settings, context)
            .map_err(|error| BusError::Away(error.to_string()))?;
        let cluster = Cluster { client, deadline };
        cluster.prepare(plan, &runtime)
    });
    work.await.unwrap_or_else(|error| Err(BusError::Away(error.to_string())))
}

struct Cluster {
    client: AdminClient<Context>,
    deadline: Instant,
}

impl Cluster {
    fn prepare(&self, plan: Plan, runtime: &tokio::runtime::Handle) -> Result<(), BusError> {
        let mut missing = Vec::new();
        let mut small = Vec::new();
        for topic in Topic::ALL {
            match self.find(topic)? {
                Found::Good | Found::Leaderless => {}
                Found::Missing => missing.push(topic),
                Found::Small(partitions) => small.push((topic, partitions)),
            }
        }
        if let Some(first) = missing.first() {
            if !plan.declare {
                let names: Vec<_> = missing.iter().map(|topic| topic.as_str()).collect();
                let detail = format!("not there: {}", names.join(", "));
                return Err(refused(Refusal::TopicMissing, Some(*first), None, detail));
            }
            runtime.block_on(self.make(&missing, plan))?;
            for topic in missing {
                self.wait_for(topic)?;
            }
        }
        if let Some((first, _)) = small.first() {
            let counts: Vec<_> = small
                .iter()
                .map(|(topic, count)| {
                    format!("{topic} has {count} partitions and not {}", topic.partitions())
                })
                .collect();
            return Err(refused(Refusal::TopicDiffers, Some(*first), None, counts.join(", ")));
        }
        Ok(())
    }

    fn find(&self, topic: Topic) -> Result<Found, BusError> {
        // It is not made by the question: the settings say so.
        let metadata = self
            .client
            .inner()
            .fetch_metadata(Some(topic.as_str()), self.time_left())
            .map_err(|error| error_of(&error))?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic.as_str()) else {
            return Ok(Found::Missing);
        };
        match found.error().map(Code::from) {
            None => {}
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => return Ok(Found::Missing),
            Some(Code::LeaderNotAvailable) => return Ok(Found::Leaderless),
            Some(code) => {
                let detail = format!("{topic}: {code}");
                return Err(match errors::refusal(code) {
                    Some(because) => refused(because, Some(topic), None, detail),
                    None => BusError::Away(detail),
                });
            }
        }
        let partitions = found.partitions();
        Ok(match partitions.len() {
            0 => Found::Missing,
            count if count < usize::from(topic.partitions()) => Found::Small(count),
            _ if partitions.iter().any(|partition| partition.leader() < 0) => Found::Leaderless,
            _ => Found::Good,
        })
    }

    async fn make(&self, topics: &[Topic], plan: Plan) -> Result<(), BusError> {
        let new: Vec<NewTopic<'_>> = topics
            .iter()
            .map(|topic| {
                let copies = TopicReplication::Fixed(i32::from(plan.replication_factor));
                let new = NewTopic::new(topic.as_str(), i32::from(topic.partitions()), copies);
                // With three copies or more an acknowledgement means two of them at least.
                if plan.replication_factor >= 3 { new.set("min.insync.replicas", "2") } else { new }
            })
            .collect();
        let options = AdminOptions::new()
            .request_timeout(Some(self.time_left()))
            .operation_timeout(Some(self.time_left()));
        let made = self.client.create_topics(&new, &options).await.map_err(|error| error_of(&error))?;
        for (topic, result) in topics.iter().zip(made) {
            match result {
                Ok(_) => tracing::info!(%topic, partitions = topic.partitions(), "topic made"),
                // Another gateway was quicker.
                Err((_, Code::TopicAlreadyExists)) => {}
                Err((_, code)) => {
                    let detail = format!("it cannot be made: {code}");
                    let because = match code {
                        Code::InvalidReplicationFactor
                        | Code::InvalidPartitions
                        | Code::InvalidConfig
                        | Code::InvalidReplicaAssignment => Refusal::Other,
                        code => match errors::refusal(code) {
                            Some(because) => because,
                            None => return Err(BusError::Away(format!("{topic}: {detail}"))),
                        },
                    };
                    return Err(refused(because, Some(*topic), None, detail));
                }
            }
        }
        Ok(())
    }

    /// Waits until a topic that was made is known to the broker that is asked.
    fn wait_for(&self, topic: Topic) -> Result<(), BusError> {
        loop {
            match self.find(topic)? {
                Found::Good => return Ok(()),
                Found::Small(_) | Found::Missing | Found::Leaderless => {}
            }
            if Instant::now() >= self.deadline {
                return Err(BusError::TimedOut(format!("{topic} was made and has not come")));
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn time_left(&self) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        left.clamp(Duration::from_millis(100), REQUEST_TIME)
    }
}

fn error_of(error: &KafkaError) -> BusError {
    match error.rdkafka_error_code() {
        Some(code) => errors::of_late(code, error.to_string()),
        None => BusError::Away(error.to_string()),
    }
}
