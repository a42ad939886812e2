//! TLS against OpenSSL's own server: it shakes hands like a broker's listener and then never answers.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use balancefleet_kafka::{Admin, ClientCertificate, Connection, ErrorKind, Tls};

use crate::support::wait_until;

struct Server {
    process: Child,
    address: String,
    certificate: String,
    key: String,
    folder: tempfile::TempDir,
}

impl Server {
    /// A server with a certificate of its own for `127.0.0.1`.
    fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        openssl(folder.path())
            .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(' '))
            .args("-subj /CN=broker -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem".split(' '))
            .status()
            .ok()
            .filter(|status| status.success())
            .expect("openssl makes a certificate");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port is free").local_addr().expect("it has an address");
        let process = openssl(folder.path())
            .args(["s_server", "-quiet", "-cert", "cert.pem", "-key", "key.pem", "-accept", &free.to_string()])
            .args(arguments)
            .spawn()
            .expect("openssl serves");
        wait_until("the server listens", || std::net::TcpStream::connect(free).is_ok());
        let read = |name| std::fs::read_to_string(folder.path().join(name)).expect("openssl wrote it");
        let (certificate, key) = (read("cert.pem"), read("key.pem"));
        Self { process, address: free.to_string(), certificate, key, folder }
    }

    fn error(&self, tls: Tls) -> ErrorKind {
        let connection = Connection { tls: Some(tls), ..Connection::plaintext(&self.address) };
        let admin = Admin::connect(&connection, "balancefleet-test").expect("the settings are fine");
        admin.describe_topics(&["t"], Duration::from_secs(5)).expect_err("it is no broker").kind()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().expect("the server runs");
        self.process.wait().expect("the server ends");
        assert!(self.folder.path().exists());
    }
}

fn openssl(folder: &std::path::Path) -> Command {
    let mut command = Command::new("openssl");
    command.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn an_authority_nobody_vouched_for_is_a_tls_error_and_a_given_one_is_trusted() {
    let server = Server::start(&[]);
    assert_eq!(server.error(Tls::default()), ErrorKind::Tls);
    let trusting = Tls { ca_pem: Some(server.certificate.clone()), client: None };
    assert_eq!(server.error(trusting), ErrorKind::Unreachable, "the handshake succeeds, and then nobody speaks Kafka");
}

#[test]
fn a_server_that_wants_a_client_certificate_gets_the_given_one() {
    let server = Server::start(&["-Verify", "1", "-verify_return_error", "-CAfile", "cert.pem"]);
    let ca_pem = Some(server.certificate.clone());
    assert_eq!(server.error(Tls { ca_pem: ca_pem.clone(), client: None }), ErrorKind::Tls);
    let client = ClientCertificate { certificate_pem: server.certificate.clone(), key_pem: server.key.clone() };
    assert_eq!(server.error(Tls { ca_pem, client: Some(client) }), ErrorKind::Unreachable);
}
