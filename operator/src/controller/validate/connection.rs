//! Pure. How to reach the group's Kafka and its database: which Secrets are needed, what they contain, and what is
//! missing.

use std::collections::BTreeMap;

use balancefleet_crds::{BalanceConsumerGroup, Store, reasons};
use balancefleet_kafka as kafka;

use super::{DatabaseSecret, Problem, Remedy, SecretFiles, SecretReading};

pub(super) fn files(group: &BalanceConsumerGroup) -> SecretFiles {
    let kafka = &group.spec.kafka;
    let tls = kafka.tls.as_ref();
    SecretFiles {
        tls: tls.is_some(),
        authority: tls.and_then(|tls| tls.ca_secret_ref.as_ref()).map(|secret| secret.name.clone()),
        client_certificate: tls
            .and_then(|tls| tls.client_certificate_secret_ref.as_ref())
            .map(|secret| secret.name.clone()),
        login: kafka.sasl.as_ref().map(|sasl| (mechanism(sasl.mechanism), sasl.credentials_secret_ref.name.clone())),
    }
}

fn mechanism(mechanism: balancefleet_crds::SaslMechanism) -> kafka::SaslMechanism {
    match mechanism {
        balancefleet_crds::SaslMechanism::Plain => kafka::SaslMechanism::Plain,
        balancefleet_crds::SaslMechanism::ScramSha256 => kafka::SaslMechanism::ScramSha256,
        balancefleet_crds::SaslMechanism::ScramSha512 => kafka::SaslMechanism::ScramSha512,
    }
}

type Secrets = BTreeMap<String, SecretReading>;

pub(super) fn tls(files: &SecretFiles, secrets: &Secrets) -> Result<Option<kafka::Tls>, Problem> {
    if !files.tls {
        return Ok(None);
    }
    let ca_pem = files.authority.as_deref().map(|name| value(secrets, name, "ca.crt")).transpose()?;
    let client = files.client_certificate.as_deref().map(|name| {
        Ok(kafka::ClientCertificate {
            certificate_pem: value(secrets, name, "tls.crt")?,
            key_pem: value(secrets, name, "tls.key")?,
        })
    });
    Ok(Some(kafka::Tls { ca_pem, client: client.transpose()? }))
}

pub(super) fn login(files: &SecretFiles, secrets: &Secrets) -> Result<Option<kafka::Sasl>, Problem> {
    let Some((mechanism, name)) = &files.login else { return Ok(None) };
    Ok(Some(kafka::Sasl {
        mechanism: *mechanism,
        username: value(secrets, name, "username")?,
        password: value(secrets, name, "password")?,
    }))
}

/// The Secret of the PostgreSQL store, if the object chose it.
pub(super) fn database_secret(group: &BalanceConsumerGroup) -> Option<&str> {
    match group.spec.balances.as_ref()?.store.as_ref()? {
        Store::Postgres(postgres) => Some(&postgres.connection_secret_ref.name),
        Store::Changelog(_) | Store::Replay(_) => None,
    }
}

/// The Secret of the database, checked only as far as the scheme of the URL: the operator does not connect to the
/// database, so the workers report anything else.
pub(super) fn database(group: &BalanceConsumerGroup, secrets: &Secrets) -> Result<Option<DatabaseSecret>, Problem> {
    let Some(name) = database_secret(group) else { return Ok(None) };
    let url = value(secrets, name, "url")?;
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(Problem {
            reason: reasons::SECRET_INCOMPLETE,
            message: format!(
                "key `url` of Secret `{name}` does not begin with postgres://: write postgres://user:password@host:port/database"
            ),
            remedy: Remedy::Retry,
        });
    }
    let has_authority =
        matches!(secrets.get(name), Some(SecretReading::Found { data, .. }) if data.contains_key("ca.crt"));
    Ok(Some(DatabaseSecret { name: name.to_owned(), has_authority }))
}

fn value(secrets: &Secrets, name: &str, key: &str) -> Result<String, Problem> {
    let problem = |reason, message| Err(Problem { reason, message, remedy: Remedy::Retry });
    match secrets.get(name) {
        Some(SecretReading::Found { data, .. }) => match data.get(key).map(|bytes| std::str::from_utf8(bytes)) {
            Some(Ok(text)) => Ok(text.to_owned()),
            Some(Err(_)) => problem(
                reasons::SECRET_INCOMPLETE,
                format!("key `{key}` of Secret `{name}` is not UTF-8 text: write it again"),
            ),
            None => problem(
                reasons::SECRET_INCOMPLETE,
                format!("Secret `{name}` has no key `{key}`: add it, the workers cannot start without it"),
            ),
        },
        Some(SecretReading::Forbidden) => problem(
            reasons::SECRET_NOT_FOUND,
            format!("the operator may not read Secret `{name}`: allow it to `get` Secrets in this namespace"),
        ),
        Some(SecretReading::Missing) | None => problem(
            reasons::SECRET_NOT_FOUND,
            format!("Secret `{name}` does not exist in this namespace: create it with the key `{key}`"),
        ),
    }
}

pub(super) fn versions(secrets: &Secrets) -> BTreeMap<String, String> {
    secrets
        .iter()
        .filter_map(|(name, reading)| match reading {
            SecretReading::Found { resource_version, .. } => Some((name.clone(), resource_version.clone())),
            SecretReading::Missing | SecretReading::Forbidden => None,
        })
        .collect()
}

/// Broker names that resolve from any namespace. For the workers, a name without a dot is a Service in the object's
/// namespace; from the operator's namespace it would be another Kafka, or none.
pub(crate) fn qualify(bootstrap_servers: &str, namespace: &str) -> String {
    let qualified = bootstrap_servers.split(',').map(str::trim).map(|server| match server.rsplit_once(':') {
        Some((host, port)) if !host.contains(['.', ':', '[']) && host != "localhost" => {
            format!("{host}.{namespace}.svc:{port}")
        }
        _ => server.to_owned(),
    });
    qualified.collect::<Vec<_>>().join(",")
}
