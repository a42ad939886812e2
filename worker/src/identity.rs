//! What this worker calls itself in the group.

/// `balance-worker-<host>-<8 hex>`, also the client id: the operator finds the pod of a member by it.
///
/// The host is the pod's name, else the machine's. The 8 digits are those of the pod's UID, which survives a restart of
/// the container, else random.
pub(crate) fn consumer_id(pod_name: Option<&str>, pod_uid: Option<&str>) -> String {
    let host = pod_name.map_or_else(host_name, str::to_owned);
    let digits = pod_uid.and_then(digits_of).unwrap_or_else(|| format!("{:08x}", rand::random::<u32>()));
    format!("balance-worker-{host}-{digits}")
}

fn digits_of(uid: &str) -> Option<String> {
    let digits: String = uid.chars().filter(char::is_ascii_hexdigit).take(8).collect();
    (digits.len() == 8).then(|| digits.to_ascii_lowercase())
}

fn host_name() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned());
    read.ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_the_pods_name_and_the_first_digits_of_its_uid() {
        let id = consumer_id(Some("balance-0"), Some("3F2a9c1e-77aa-4d8b-9f60-0c5b8f6a1d2e"));
        assert_eq!(id, "balance-worker-balance-0-3f2a9c1e");
    }

    #[test]
    fn without_a_uid_the_digits_are_random() {
        let [first, second] = [(); 2].map(|()| consumer_id(Some("h"), None));
        assert_ne!(first, second);
        let digits = first.strip_prefix("balance-worker-h-").unwrap();
        assert!(digits.len() == 8 && digits.chars().all(|digit| digit.is_ascii_hexdigit()), "{first}");
    }
}
