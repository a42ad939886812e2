//! Settings of topics and brokers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::client::Admin;
use super::operation::Operation;
use crate::Error;
use crate::native::{Answer, Queue, Resource, Setting};

/// Settings by their names; those without a value are left out.
pub type Settings = BTreeMap<String, String>;

/// The settings of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSettings {
    /// The topic's own settings.
    pub own: Settings,
    /// All settings, with the cluster's defaults.
    pub in_effect: Settings,
}

impl Admin {
    /// The settings of a topic.
    ///
    /// # Errors
    /// [`Authorization`](crate::ErrorKind::Authorization) where the user may not see them, and
    /// [`UnknownTopic`](crate::ErrorKind::UnknownTopic) also where the broker that was asked has not heard of a new topic yet.
    pub fn topic_settings(&self, topic: &str, timeout: Duration) -> Result<TopicSettings, Error> {
        let send = |queue: &Queue<'_>, limits| queue.ask_settings(Resource::Topic(topic), limits);
        let (answer, circumstances) = self.ask_once(timeout, send, Answer::settings)?;
        let what = format!("the settings of topic {topic}");
        let settings = answer.map_err(|failure| match circumstances.error(&what, failure) {
            Error::Authorization { operation, detail, .. } => {
                Error::Authorization { operation, needs: "DescribeConfigs on that topic", detail }
            }
            Error::UnknownTopic { .. } => Error::UnknownTopic { what: format!("topic {topic}") },
            error => error,
        })?;
        let own = settings.iter().filter(|it| it.is_topics_own).map(|it| (it.name.clone(), it.value.clone()));
        Ok(TopicSettings { own: own.collect(), in_effect: by_name(settings) })
    }

    /// The settings of any one broker; `timeout` is for finding one, too.
    ///
    /// # Errors
    /// [`Authorization`](crate::ErrorKind::Authorization) where the user may not see them.
    pub fn broker_settings(&self, timeout: Duration) -> Result<Settings, Error> {
        let operation = Operation {
            verb: "look at the settings of",
            object: "the brokers".to_owned(),
            needs: "DescribeConfigs on the cluster",
        };
        let deadline = Instant::now() + timeout;
        let send = |queue: &Queue<'_>, limits| queue.ask_brokers(limits);
        let known = self.carry_out(&operation, timeout, send, Answer::brokers)?;
        let Some(broker) = known.first() else {
            return Err(Error::Transient { what: "its brokers".to_owned(), detail: "none is known".to_owned() });
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let send = |queue: &Queue<'_>, limits| queue.ask_settings(Resource::Broker(*broker), limits);
        self.carry_out(&operation, left, send, Answer::settings).map(by_name)
    }
}

fn by_name(settings: Vec<Setting>) -> Settings {
    settings.into_iter().map(|it| (it.name, it.value)).collect()
}
