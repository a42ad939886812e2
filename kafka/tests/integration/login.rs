use std::net::TcpListener;
use std::time::{Duration, Instant};

use balancefleet_kafka::{Admin, At, Connection, Error, ErrorKind, Isolation, Sasl, SaslMechanism, Tls};

use crate::support::{TIMEOUT, broker, login_broker};

const SHORT: Duration = Duration::from_secs(3);

fn with_login(mechanism: SaslMechanism, username: &str, password: &str) -> Connection {
    let sasl = Sasl { mechanism, username: username.into(), password: password.into() };
    Connection { sasl: Some(sasl), ..login_broker() }
}

fn ask(connection: &Connection, timeout: Duration) -> Result<(), Error> {
    let admin = Admin::connect(connection, "balancefleet-test").expect("the settings are fine");
    admin.describe_topics(&["no-such-topic"], timeout).map(|_| ())
}

/// What every call says of a connection that does not work: all at once, and one more on the client that is left then.
/// None outlives its time-out by much.
fn kinds(connection: &Connection) -> Vec<ErrorKind> {
    let admin = Admin::connect(connection, "balancefleet-test").expect("the settings are fine");
    let partitions = [("t".to_owned(), 0)];
    let (at, isolation) = (At::Latest, Isolation::ReadCommitted);
    let topics = || admin.describe_topics(&["t"], SHORT).map(|_| ());
    let begin = Instant::now();
    let mut results = std::thread::scope(|scope| {
        let calls = [
            scope.spawn(topics),
            scope.spawn(|| admin.committed_offsets("g", None, false, SHORT).map(|_| ())),
            scope.spawn(|| admin.committed_offsets_of_groups(&["g", "h"], false, SHORT).remove(1).1.map(|_| ())),
            scope.spawn(|| admin.list_offsets(&partitions, at, isolation, SHORT).map(|_| ())),
            scope.spawn(|| admin.describe_groups(&["g"], SHORT).and_then(|mut all| all.remove(0).1).map(|_| ())),
        ];
        calls.map(|call| call.join().expect("no call panics")).to_vec()
    });
    results.push(topics());
    assert!(begin.elapsed() < 2 * (SHORT + Duration::from_secs(1)), "{:?}", begin.elapsed());
    results.into_iter().map(|result| result.expect_err("nothing can work").kind()).collect()
}

#[test]
fn every_mechanism_logs_in_with_the_right_password() {
    for mechanism in [SaslMechanism::Plain, SaslMechanism::ScramSha256, SaslMechanism::ScramSha512] {
        assert_eq!(ask(&with_login(mechanism, "balance", "balance-secret"), TIMEOUT), Ok(()), "{mechanism}");
    }
}

#[test]
fn a_wrong_password_or_user_is_an_authentication_error_whatever_is_asked() {
    for connection in [
        with_login(SaslMechanism::ScramSha512, "balance", "wrong"),
        with_login(SaslMechanism::Plain, "nobody", "balance-secret"),
    ] {
        assert_eq!(kinds(&connection), [ErrorKind::Authentication; 6]);
    }
}

#[test]
fn an_error_never_shows_the_password() {
    let connection = with_login(SaslMechanism::Plain, "balance", "hunter2-is-secret");
    let error = ask(&connection, SHORT).expect_err("the password is wrong");
    assert!(!format!("{error} {error:?} {connection} {connection:?}").contains("hunter2"), "{error:?}");
}

#[test]
fn where_nothing_listens_is_unreachable_within_the_timeout() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port is free").local_addr().expect("it has an address");
    assert_eq!(kinds(&Connection::plaintext(free.to_string())), [ErrorKind::Unreachable; 6]);
}

#[test]
fn a_name_that_does_not_resolve_is_unreachable() {
    assert_eq!(kinds(&Connection::plaintext("kafka.invalid:9092")), [ErrorKind::Unreachable; 6]);
}

#[test]
fn an_address_that_swallows_everything_is_unreachable() {
    // Accepted by the kernel and never by us: the connection stands and stays silent.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = silent.local_addr().expect("it has an address").to_string();
    assert_eq!(kinds(&Connection::plaintext(address)), [ErrorKind::Unreachable; 6]);
}

#[test]
fn a_listener_without_tls_says_so() {
    let error = ask(&Connection { tls: Some(Tls::default()), ..broker() }, SHORT).expect_err("it does not speak TLS");
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("SSL_HANDSHAKE"), "{error}");
}

#[test]
fn a_missing_login_says_that_the_listener_may_want_one() {
    let error = ask(&login_broker(), SHORT).expect_err("the listener wants a login");
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("wants TLS or a login"), "{error}");
}

#[test]
fn a_certificate_that_cannot_be_read_is_invalid_before_any_network() {
    let tls =
        Tls { ca_pem: Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into()), client: None };
    let connection = Connection { tls: Some(tls), ..broker() };
    let error = Admin::connect(&connection, "balancefleet-test").expect_err("it is no certificate");
    assert_eq!(error.kind(), ErrorKind::Invalid);
}
