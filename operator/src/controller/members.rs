//! Pure. Finds the pod of a member of the consumer group, from its client id `balance-worker-<pod>-<8 hex>`.

const PREFIX: &str = "balance-worker-";

/// The pod's name; `None` if the member is not a worker of this product.
pub(super) fn pod_of(client_id: &str) -> Option<&str> {
    let (pod, suffix) = client_id.strip_prefix(PREFIX)?.rsplit_once('-')?;
    (!pod.is_empty() && suffix.len() == 8 && suffix.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(pod)
}

/// Whether a member is a worker of this object's Deployment. Its pod may be gone: a killed worker stays a member until
/// its session times out.
pub(super) fn is_ours(client_id: &str, group: &str) -> bool {
    pod_of(client_id).and_then(|pod| pod.strip_prefix(group)).is_some_and(|rest| rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pod_is_what_stands_between_the_prefix_and_the_suffix() {
        assert_eq!(pod_of("balance-worker-shop-7c9f-x2x4z-0a1b2c3d"), Some("shop-7c9f-x2x4z"));
        for foreign in ["rdkafka", "balance-worker-0a1b2c3d", "balance-worker-x-123", "balance-worker--0a1b2c3d"] {
            assert_eq!(pod_of(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_worker_started_by_hand_is_foreign() {
        assert!(is_ours("balance-worker-shop-7c9f-x2x4z-0a1b2c3d", "shop"));
        assert!(!is_ours("balance-worker-laptop-0a1b2c3d", "shop"));
        assert!(!is_ours("balance-worker-shopping-1-0a1b2c3d", "shop"));
    }
}
