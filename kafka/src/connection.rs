//! How to reach a Kafka cluster: addresses, TLS material (PEM) and a login become the librdkafka configuration that
//! every client of the workspace starts from.

use std::fmt;

use rdkafka::ClientConfig;

use crate::Error;

/// A Kafka cluster and how to talk to it. Equal connections can share one client.
///
/// `Debug` and `Display` never show secrets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Connection {
    /// `host:port,host:port`.
    pub bootstrap_servers: String,
    /// Encrypts the connection when present.
    pub tls: Option<Tls>,
    /// Logs in when present.
    pub sasl: Option<Sasl>,
}

/// TLS to the brokers; host names are always verified.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Tls {
    /// The authorities to trust, PEM, one or more certificates; without it those of the system.
    pub ca_pem: Option<String>,
    /// Our own certificate, for listeners that ask for one.
    pub client: Option<ClientCertificate>,
}

/// A certificate to present to the brokers, with its private key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClientCertificate {
    /// The certificate, then its chain, PEM.
    pub certificate_pem: String,
    /// The unencrypted private key, PEM.
    pub key_pem: String,
}

/// A login by name and password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Sasl {
    /// How the password is proven.
    pub mechanism: SaslMechanism,
    /// The name of the Kafka user.
    pub username: String,
    /// Its password.
    pub password: String,
}

/// The SASL mechanisms that work with a name and a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SaslMechanism {
    /// `PLAIN`: the password goes over the wire as it is.
    Plain,
    /// `SCRAM-SHA-256`.
    ScramSha256,
    /// `SCRAM-SHA-512`.
    ScramSha512,
}

impl SaslMechanism {
    /// Kafka's name of the mechanism.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl fmt::Display for SaslMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for SaslMechanism {
    type Err = Error;

    /// Kafka's names only, in capitals.
    fn from_str(text: &str) -> Result<Self, Error> {
        [Self::Plain, Self::ScramSha256, Self::ScramSha512]
            .into_iter()
            .find(|mechanism| mechanism.as_str() == text)
            .ok_or_else(|| {
                Error::invalid(format!("SASL mechanism {text:?} is none of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"))
            })
    }
}

impl Connection {
    /// A connection without encryption and login.
    pub fn plaintext(bootstrap_servers: impl Into<String>) -> Self {
        Self { bootstrap_servers: bootstrap_servers.into(), tls: None, sasl: None }
    }

    /// What librdkafka calls the pair of encryption and login.
    pub const fn security_protocol(&self) -> &'static str {
        match (self.tls.is_some(), self.sasl.is_some()) {
            (false, false) => "PLAINTEXT",
            (true, false) => "SSL",
            (false, true) => "SASL_PLAINTEXT",
            (true, true) => "SASL_SSL",
        }
    }

    /// The configuration every client on this connection starts from: addresses, encryption and login, nothing else.
    pub fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap_servers);
        config.set("security.protocol", self.security_protocol());
        if let Some(tls) = &self.tls {
            // PEM in memory, not files: the operator reads Secrets of many namespaces and writes none of them to disk.
            if let Some(ca_pem) = &tls.ca_pem {
                config.set("ssl.ca.pem", ca_pem);
            }
            if let Some(client) = &tls.client {
                config.set("ssl.certificate.pem", &client.certificate_pem);
                config.set("ssl.key.pem", &client.key_pem);
            }
        }
        if let Some(sasl) = &self.sasl {
            config.set("sasl.mechanism", sasl.mechanism.as_str());
            config.set("sasl.username", &sasl.username);
            config.set("sasl.password", &sasl.password);
        }
        config
    }

    /// Checks what can be checked without a network; [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) says which part
    /// is wrong.
    pub fn check(&self) -> Result<(), Error> {
        check_servers(&self.bootstrap_servers)?;
        if let Some(tls) = &self.tls {
            if let Some(ca_pem) = &tls.ca_pem {
                check_pem("the certificate authority", ca_pem, "CERTIFICATE-----")?;
            }
            if let Some(client) = &tls.client {
                check_pem("the client certificate", &client.certificate_pem, "CERTIFICATE-----")?;
                check_pem("the client key", &client.key_pem, "PRIVATE KEY-----")?;
            }
        }
        if let Some(sasl) = &self.sasl {
            check_login("username", &sasl.username)?;
            check_login("password", &sasl.password)?;
        }
        Ok(())
    }
}

fn check_servers(servers: &str) -> Result<(), Error> {
    for server in servers.split(',').map(str::trim) {
        let port = server.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
        if !port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port != 0)) {
            return Err(Error::invalid(format!("bootstrap server {server:?} is not of the form host:port")));
        }
    }
    Ok(())
}

fn check_pem(what: &str, pem: &str, label: &str) -> Result<(), Error> {
    if pem.contains("-----BEGIN ") && pem.contains(label) && !pem.contains('\0') {
        return Ok(());
    }
    Err(Error::invalid(format!("{what} is not PEM text with a block ending in {label}")))
}

fn check_login(what: &str, value: &str) -> Result<(), Error> {
    if value.is_empty() || value.contains('\0') {
        return Err(Error::invalid(format!("the SASL {what} is empty or has a zero byte")));
    }
    // The most common mistake in a Secret, and no broker's refusal says so.
    if value.ends_with(['\n', '\r']) {
        return Err(Error::invalid(format!("the SASL {what} ends with a line break: write it without (echo -n)")));
    }
    Ok(())
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.bootstrap_servers, self.security_protocol())?;
        if let Some(sasl) = &self.sasl {
            write!(f, ", {}", sasl.mechanism)?;
        }
        f.write_str(")")
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate { .. }")
    }
}

impl fmt::Debug for Sasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sasl").field("mechanism", &self.mechanism).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    const PEM: &str = "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";

    fn full() -> Connection {
        let client = ClientCertificate { certificate_pem: PEM.into(), key_pem: KEY.into() };
        let sasl = Sasl { mechanism: SaslMechanism::ScramSha512, username: "u5er".into(), password: "pa55".into() };
        Connection {
            bootstrap_servers: "kafka:9093".into(),
            tls: Some(Tls { ca_pem: Some(PEM.into()), client: Some(client) }),
            sasl: Some(sasl),
        }
    }

    #[test]
    fn every_setting_reaches_the_client() {
        let config = full().client_config();
        for (key, value) in [
            ("bootstrap.servers", "kafka:9093"),
            ("security.protocol", "SASL_SSL"),
            ("ssl.ca.pem", PEM),
            ("ssl.certificate.pem", PEM),
            ("ssl.key.pem", KEY),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", "u5er"),
            ("sasl.password", "pa55"),
        ] {
            assert_eq!(config.get(key), Some(value), "{key}");
        }
    }

    #[test]
    fn encryption_and_login_choose_the_protocol_independently() {
        let plain = Connection::plaintext("kafka:9092");
        assert_eq!(plain.security_protocol(), "PLAINTEXT");
        assert_eq!(Connection { tls: full().tls, ..plain.clone() }.security_protocol(), "SSL");
        assert_eq!(Connection { sasl: full().sasl, ..plain }.security_protocol(), "SASL_PLAINTEXT");
    }

    #[test]
    fn neither_debug_nor_display_shows_a_secret() {
        let shown = format!("{:?} {}", full(), full());
        for secret in ["pa55", "u5er", "PRIVATE KEY", KEY] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(full().to_string().starts_with("kafka:9093 (SASL_SSL, SCRAM-SHA-512)"));
    }

    #[test]
    fn settings_that_cannot_work_are_refused_with_their_name() {
        type Spoil = fn(&mut Connection);
        let cases: [(&str, Spoil); 8] = [
            ("host:port", |it| it.bootstrap_servers = String::new()),
            ("kafka", |it| it.bootstrap_servers = "kafka".into()),
            ("kafka:0", |it| it.bootstrap_servers = "a:1,kafka:0".into()),
            ("authority", |it| it.tls = Some(Tls { ca_pem: Some("no pem".into()), client: None })),
            ("client key", |it| {
                it.tls.iter_mut().flat_map(|tls| &mut tls.client).for_each(|it| it.key_pem = PEM.into())
            }),
            ("username", |it| it.sasl.iter_mut().for_each(|sasl| sasl.username.clear())),
            ("password", |it| it.sasl.iter_mut().for_each(|sasl| sasl.password.push('\0'))),
            ("line break", |it| it.sasl.iter_mut().for_each(|sasl| sasl.password.push('\n'))),
        ];
        assert_eq!(full().check(), Ok(()));
        for (named, spoil) in cases {
            let mut connection = full();
            spoil(&mut connection);
            let error = connection.check().expect_err(named);
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(named) && !error.to_string().contains("pa55"), "{error}");
        }
    }

    #[test]
    fn several_servers_and_ipv6_addresses_are_fine() {
        for servers in ["a:9092,b:9092", "a:9092, b:9092", "[::1]:9092"] {
            assert_eq!(Connection::plaintext(servers).check(), Ok(()), "{servers}");
        }
    }
}
