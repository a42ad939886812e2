//! Which database, and how to reach it: made of the URL once, at the start.

use std::{fmt, ops::Deref, sync::Arc, time::Duration};

use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer, pki_types::pem::PemObject};
use tokio::task::AbortHandle;
use tokio_postgres::{
    Client, Config, NoTls,
    config::{Host, SslMode, TargetSessionAttrs},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::postgres_error::DatabaseError;

/// Between knocking and the first answer of the session.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A peer that does not acknowledge for so long is gone.
const SILENT_FOR: Duration = Duration::from_secs(10);

/// Its password never shows.
#[derive(Clone)]
pub(crate) struct DatabaseTarget {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    place: String,
}

impl fmt::Debug for DatabaseTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseTarget")
            .field("place", &self.place)
            .field("tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}

impl DatabaseTarget {
    /// Reads `postgres://user:password@host:port/database?sslmode=…`; `authorities` are PEM, without them those of the
    /// system are trusted.
    ///
    /// # Errors
    /// What is wrong, without the URL: it holds a password.
    pub(crate) fn parse(url: &str, authorities: Option<&str>) -> Result<Self, String> {
        let (url, mode) = take_ssl_mode(url)?;
        let mut config: Config = url.parse().map_err(|error| reason(&error))?;
        check(&config)?;
        let tls = match mode {
            Mode::Disable if authorities.is_some() => {
                return Err("sslmode=disable and an authority are given: choose one".to_owned());
            }
            Mode::Disable => None,
            Mode::VerifyFull => Some(MakeRustlsConnect::new(client_config(authorities)?)),
        };
        config
            .ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable })
            // Of several hosts the one that may write.
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .connect_timeout(CONNECT_WITHIN)
            .keepalives_idle(SILENT_FOR)
            .tcp_user_timeout(SILENT_FOR);
        let place = place(&config);
        Ok(Self { config, tls, place })
    }

    /// How the server is to list this worker's sessions.
    pub(crate) fn named(mut self, application: &str) -> Self {
        self.config.application_name(application);
        self
    }

    /// Host and port, of all that are given.
    pub(crate) fn address(&self) -> &str {
        &self.place
    }

    /// Opens a connection, which the runtime it is called in drives.
    pub(crate) async fn connect(&self) -> Result<Session, DatabaseError> {
        match tokio::time::timeout(CONNECT_WITHIN, self.open()).await {
            Ok(opened) => opened.map_err(|error| DatabaseError::of_connecting(&error, &self.place)),
            Err(_) => {
                let detail = format!("no answer within {CONNECT_WITHIN:?}");
                Err(DatabaseError::Unreachable { place: self.place.clone(), detail })
            }
        }
    }

    async fn open(&self) -> Result<Session, tokio_postgres::Error> {
        // A connection that ends shows in the next call of its client.
        let (client, connection) = match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                (client, tokio::spawn(connection).abort_handle())
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                (client, tokio::spawn(connection).abort_handle())
            }
        };
        Ok(Session { client, connection })
    }
}

/// An open connection, closed as soon as it is dropped: dropping the client alone would let a running statement
/// continue.
pub(crate) struct Session {
    client: Client,
    connection: AbortHandle,
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

enum Mode {
    Disable,
    VerifyFull,
}

/// Takes `sslmode` out of the URL: the driver knows only three of libpq's six, one of which encrypts if it can.
fn take_ssl_mode(url: &str) -> Result<(String, Mode), String> {
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err("write postgres://user:password@host:port/database".to_owned());
    }
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let is_mode = |parameter: &&str| parameter.starts_with("sslmode=");
    let (modes, others): (Vec<_>, Vec<_>) = query.split('&').filter(|it| !it.is_empty()).partition(is_mode);
    let mode = match modes[..] {
        // What is not said is safe, unlike libpq's default.
        [] | ["sslmode=require" | "sslmode=verify-full"] => Mode::VerifyFull,
        ["sslmode=disable"] => Mode::Disable,
        _ => {
            return Err(
                "of libpq's values for sslmode this worker has verify-full (the default; require is the same: the \
                 certificate is always verified) and disable: the others may do without encryption or verification \
                 in silence"
                    .to_owned(),
            );
        }
    };
    let rest = if others.is_empty() { String::new() } else { format!("?{}", others.join("&")) };
    Ok((format!("{base}{rest}"), mode))
}

/// The driver's words without the text they are about.
fn reason(error: &tokio_postgres::Error) -> String {
    use std::error::Error as _;
    let source = error.source().map(ToString::to_string).unwrap_or_default();
    match source.as_str() {
        unknown if unknown.starts_with("unknown option") => {
            format!("it has an {unknown}; authorities are given by balances.postgresCaFile")
        }
        _ => "it cannot be read as postgres://user:password@host:port/database; percent-encode special characters of \
              user and password (@ is %40, / is %2F, : is %3A)"
            .to_owned(),
    }
}

fn check(config: &Config) -> Result<(), String> {
    if config.get_hosts().is_empty() {
        return Err("it names no host".to_owned());
    }
    let is_odd = |host: &Host| matches!(host, Host::Tcp(name) if name.is_empty() || name.contains('@'));
    if config.get_hosts().iter().any(is_odd) {
        return Err("its host holds an @: percent-encode special characters of user and password (@ is %40)".to_owned());
    }
    if config.get_user().is_none() {
        return Err("it names no user".to_owned());
    }
    Ok(())
}

fn place(config: &Config) -> String {
    let ports = config.get_ports();
    let hosts = config.get_hosts().iter().enumerate().map(|(index, host)| {
        let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
        match host {
            Host::Tcp(name) => format!("{name}:{port}"),
            Host::Unix(path) => path.display().to_string(),
        }
    });
    hosts.collect::<Vec<_>>().join(",")
}

fn client_config(authorities: Option<&str>) -> Result<ClientConfig, String> {
    let mut trusted = RootCertStore::empty();
    match authorities {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let certificate = certificate.map_err(|error| format!("the authority is not PEM: {error}"))?;
                trusted.add(certificate).map_err(|error| format!("the authority cannot be used: {error}"))?;
            }
        }
        None => {
            trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if trusted.is_empty() {
        return Err("there is no authority to trust: give one by balances.postgresCaFile".to_owned());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| format!("TLS cannot be set up: {error}"))?;
    Ok(config.with_root_certificates(trusted).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        DatabaseTarget::parse(url, None).unwrap_err()
    }

    #[test]
    fn without_a_word_it_is_encrypted_and_verified() {
        for url in
            ["postgres://u:p@db/b", "postgresql://u:p@db/b?sslmode=require", "postgres://u@db?sslmode=verify-full"]
        {
            assert_eq!(DatabaseTarget::parse(url, None).unwrap().config.get_ssl_mode(), SslMode::Require, "{url}");
        }
        let plain = DatabaseTarget::parse("postgres://u:p@db/b?sslmode=disable&connect_timeout=3", None).unwrap();
        assert!(plain.tls.is_none() && plain.config.get_ssl_mode() == SslMode::Disable);
    }

    #[test]
    fn what_might_do_without_encryption_in_silence_is_refused() {
        for mode in ["prefer", "allow", "verify-ca", "", "disable&sslmode=require"] {
            assert!(refused(&format!("postgres://u:p@db/b?sslmode={mode}")).contains("verify-full"), "{mode}");
        }
    }

    #[test]
    fn no_error_and_no_debug_output_repeats_the_password() {
        for url in [
            "postgres://u:s3cr3t@db:port/b",
            "postgres://u:s3cr3t@more@db/b",
            "postgres://u:%ff@db/b?s3cr3t",
            "s3cr3t",
            "postgres://:s3cr3t@/b",
        ] {
            assert!(!refused(url).contains("s3cr3t"), "{}", refused(url));
        }
        let target = DatabaseTarget::parse("postgres://u:s3cr3t@one:1,two:2/b?sslmode=disable", None).unwrap();
        assert_eq!(target.address(), "one:1,two:2");
        assert!(!format!("{target:?}").contains("s3cr3t"));
    }

    #[test]
    fn unknown_parameters_are_named() {
        assert!(refused("postgres://u:p@db/b?sslrootcert=x").contains("sslrootcert"));
    }
}
