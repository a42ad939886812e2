//! What the handlers of requests share.

use std::sync::Arc;

use super::fleet::Fleet;
use super::telemetry::Telemetry;
use crate::view::View;

#[derive(Clone)]
pub(super) struct Api {
    pub(super) view: Arc<View>,
    pub(super) fleet: Arc<Fleet>,
    pub(super) telemetry: Arc<Telemetry>,
}
