//! `kubectl scale` pins, a patch un-pins.

use std::time::Duration;

use balancefleet_e2e::cluster::{ClusterError, Group, wait_until};
use serde_json::json;

use crate::support::{Outcome, PARTITIONS, scenario};

#[test]
fn kubectl_scale_pins_until_the_field_is_removed() -> Outcome {
    scenario("pin", |scenario| {
        let topic = scenario.create_topic("transactions", PARTITIONS)?;
        let manifest = scenario.manifest("fleet", &topic, json!({}));
        let group = Group::apply(scenario, &manifest)?;
        group.wait_for_assignment(1, PARTITIONS)?;
        wait_for_mode(&group, "Auto")?;

        group.scale(4)?;
        group.wait_for_assignment(4, PARTITIONS)?;
        let message = group.wait_for_condition("ScalingActive", "False", "Pinned")?;
        assert!(message.contains('4'), "{message}");
        wait_for_mode(&group, "Pinned")?;

        // An apply that does not mention the field leaves it to whoever set it.
        scenario.kubectl().apply(&manifest)?;
        assert_eq!(group.object()?["spec"]["replicas"], 4);

        group.patch(&json!({"spec": {"replicas": null}}))?;
        wait_for_mode(&group, "Auto")?;
        group.wait_for_condition("ScalingActive", "True", "Automatic")?;
        Ok(())
    })
}

fn wait_for_mode(group: &Group, mode: &str) -> Result<(), ClusterError> {
    wait_until(&format!("scaling is {mode}"), Duration::from_secs(60), || {
        let shown = group.columns()?.remove("SCALING").unwrap_or_default();
        if shown == mode { Ok(()) } else { Err(ClusterError::Unexpected(shown)) }
    })
}
