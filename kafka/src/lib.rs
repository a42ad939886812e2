//! What operator and worker need of librdkafka beyond the safe crate.
