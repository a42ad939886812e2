//! Layers, names and refusals.

use std::{io::Write, time::Duration};

use super::{effective::Assignor, *};
use crate::domain::rules::{LedgerKind, Sign};
use crate::domain::transaction::TransactionType;

fn load_with(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Command, ConfigError> {
    let arguments = std::iter::once("balance-worker").chain(arguments.iter().copied()).map(OsString::from);
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    load(arguments, &variables)
}

fn config(arguments: &[&str], variables: &[(&str, &str)]) -> Config {
    match load_with(arguments, variables).unwrap() {
        Command::Run(config) => *config,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(arguments: &[&str], variables: &[(&str, &str)], words: &[&str]) {
    let error = load_with(arguments, variables).unwrap_err().to_string();
    assert!(words.iter().all(|word| error.contains(word)), "{error}");
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn path(file: &tempfile::NamedTempFile) -> &str {
    file.path().to_str().unwrap()
}

#[test]
fn without_any_setting_the_default_names_are_those_of_the_dotnet_consumer() {
    let config = config(&[], &[]);
    assert_eq!(config.connection.bootstrap_servers, "localhost:9092");
    assert_eq!((config.topic.as_str(), config.group_id.as_str()), ("banking.transactions", "balance-service"));
    assert_eq!(config.http_address.to_string(), "0.0.0.0:8080");
    assert_eq!((config.rules.ledger, config.store), (LedgerKind::Balances, StoreKind::Changelog));
    assert!(config.changelog_topic.starts_with("balance-service-banking.transactions-changelog-"));
    assert_eq!(config.session_timeout, Duration::from_secs(10));
    assert!(config.simulated_work.is_zero() && config.peers.is_empty() && config.connection.tls.is_none());
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = file("kafka: {topic: of-the-file, groupId: of-the-file, bootstrapServers: 'file:1'}\n");
    let config = config(
        &["--config", path(&file), "--topic", "of-the-flags"],
        &[("KAFKA_TOPIC", "of-the-environment"), ("KAFKA_GROUP_ID", "of-the-environment")],
    );
    assert_eq!((config.topic.as_str(), config.group_id.as_str()), ("of-the-flags", "of-the-environment"));
    assert_eq!(config.connection.bootstrap_servers, "file:1");
}

#[test]
fn the_names_of_the_dotnet_reference_consumer_are_understood() {
    let config = config(
        &[],
        &[
            ("Kafka__BootstrapServers", "kafka:9092"),
            ("Kafka__GroupId", "balance"),
            ("Kafka__Topic", "banking"),
            ("ASPNETCORE_URLS", "http://+:5000"),
        ],
    );
    assert_eq!(config.connection.bootstrap_servers, "kafka:9092");
    assert_eq!((config.topic.as_str(), config.group_id.as_str()), ("banking", "balance"));
    assert_eq!(config.http_address.to_string(), "0.0.0.0:5000");
}

#[test]
fn of_two_addresses_the_higher_layer_wins_and_then_our_own_name() {
    let address =
        |arguments: &[&str], variables: &[(&str, &str)]| config(arguments, variables).http_address.to_string();
    let both = [("ASPNETCORE_URLS", "http://+:5000"), ("HTTP_ADDRESS", "127.0.0.1:6000")];
    assert_eq!(address(&[], &both), "127.0.0.1:6000");
    assert_eq!(address(&["--urls", "http://+:7000"], &both), "0.0.0.0:7000");
}

#[test]
fn the_healthcheck_asks_where_the_worker_listens() {
    for (variables, asked) in [
        (&[][..], "0.0.0.0:8080"),
        (&[("HTTP_ADDRESS", "127.0.0.1:6000")], "127.0.0.1:6000"),
        (&[("ASPNETCORE_URLS", "http://+:5000")], "0.0.0.0:5000"),
    ] {
        let Command::Healthcheck(address) = load_with(&["healthcheck"], variables).unwrap() else { panic!() };
        assert_eq!(address.to_string(), asked);
    }
    refused(&["healthcheck"], &[("HTTP_ADDRESS", "8080")], &["HTTP_ADDRESS"]);
}

#[test]
fn of_a_map_only_the_names_given_again_are_replaced() {
    let file = file("balances: {signs: {Transfer: debit, Payment: ignore}}\n");
    let config = config(&["--config", path(&file)], &[("BALANCE_SIGNS", "Payment=debit,Deposit=ignore")]);
    let signs = |kind| config.rules.signs.of(kind);
    assert_eq!(signs(TransactionType::Transfer), Sign::Debit);
    assert_eq!(signs(TransactionType::Payment), Sign::Debit);
    assert_eq!(signs(TransactionType::Deposit), Sign::Ignore);
}

#[test]
fn every_setting_of_the_file_is_understood() {
    let file = file(
        "kafka:\n  startFrom: latest\n  sessionTimeout: 12s\n  heartbeatInterval: 1s\n  maxPollInterval: 5m\n  \
         assignor: range\n  extraConfig: {fetch.min.bytes: 1024, client.dns.lookup: use_all_dns_ips}\n\
         ledger: count\nbalances:\n  signs: {Transfer: debit, Payment: ignore}\n  minorUnits: {XTS: 3}\n\
         http: {address: '127.0.0.1:0', peers: ['a:8080', 'b:8080']}\nsimulatedWork: 7ms\nlog: {format: text, level: debug}\n",
    );
    let config = config(&["--config", path(&file)], &[]);
    assert_eq!((config.start_from, config.assignor), (StartFrom::Latest, Assignor::Range));
    assert_eq!(config.extra_config["fetch.min.bytes"], "1024");
    assert_eq!(config.rules.signs.of(TransactionType::Payment), Sign::Ignore);
    assert_eq!(config.rules.exponents.of(crate::domain::money::Currency::parse("XTS").unwrap()), Some(3));
    assert_eq!(config.peers, ["a:8080", "b:8080"]);
    assert_eq!((config.simulated_work, config.log_format), (Duration::from_millis(7), LogFormat::Text));
}

#[test]
fn unknown_settings_are_named() {
    let misspelt = file("kafka: {bootstrapServer: 'a:1'}\n");
    refused(&["--config", path(&misspelt)], &[], &["kafka.bootstrapServer", path(&misspelt)]);
    let section = file("kafkas: {topic: t}\n");
    refused(&["--config", path(&section)], &[], &["kafkas"]);
    for empty in ["kafkas:\n", "kafka: {bootstrapServer: }\n"] {
        let file = file(empty);
        refused(&["--config", path(&file)], &[], &["unknown setting", path(&file)]);
    }
    let without_values = file("kafka:\nhttp: {address: , tokenFile: }\n");
    config(&["--config", path(&without_values)], &[]);
    refused(&["--topics", "t"], &[], &["--topics"]);
    for name in ["KAFKA_GROUPID", "BALANCE_SIGN", "WORKER_PEER", "Kafka__Group"] {
        refused(&[], &[(name, "x")], &[name]);
    }
}

#[test]
fn variables_of_kubernetes_services_and_of_kafkas_scripts_are_left_alone() {
    let names = [
        "KAFKA_SERVICE_HOST",
        "KAFKA_SERVICE_PORT_CLIENT",
        "KAFKA_PORT",
        "KAFKA_PORT_9092_TCP_ADDR",
        "KAFKA_HEAP_OPTS",
    ];
    config(&[], &names.map(|name| (name, "x")));
}

#[test]
fn what_this_release_does_not_have_is_refused_by_name() {
    for (_, name) in sources::NOT_AVAILABLE {
        refused(&[], &[(name, "x")], &[name, "not available"]);
    }
    let file = file("http: {tokenFile: token}\n");
    refused(&["--config", path(&file)], &[], &["http.tokenFile", "not available"]);
    refused(&[], &[("BALANCE_STORE", "rocksdb")], &["BALANCE_STORE", "changelog"]);
}

#[test]
fn reserved_client_settings_are_refused_by_name() {
    refused(&[], &[("KAFKA_CONFIG_ENABLE_AUTO_COMMIT", "true")], &["enable.auto.commit"]);
    refused(&["--kafka-config", "group.instance.id=one"], &[], &["--kafka-config", "group.instance.id"]);
    refused(&[], &[("KAFKA_CONFIG_NO_SUCH_KEY", "1")], &["no.such.key"]);
}

#[test]
fn client_settings_that_are_refused_are_named_as_they_were_given_and_their_values_are_not_repeated() {
    let extra = file("kafka: {extraConfig: {saslpassword: s3cret, fetch.min.bytes: s3cret}}\n");
    let nested = file("kafka: {extraConfig: [sasl.password=s3cret]}\n");
    let (from_file, from_nested) = (["--config", path(&extra)], ["--config", path(&nested)]);
    let password = ("KAFKA_CONFIG_SASL_PASSWORD", "s3cret");
    for (arguments, variables, name) in [
        (&[][..], &[password][..], "KAFKA_CONFIG_SASL_PASSWORD"),
        (&[], &[password, ("KAFKA_CONFIG_FETCH_MIN_BYTES", "many")], "KAFKA_CONFIG_FETCH_MIN_BYTES"),
        (&[], &[password, ("KAFKA_CONFIG_NO_SUCH_KEY", "1")], "KAFKA_CONFIG_NO_SUCH_KEY"),
        (&["--kafka-config", "sasl.password=s3cret"], &[], "--kafka-config"),
        (&["--kafka-config", "sasl.password=a,s3cret"], &[], "--kafka-config"),
        (&["--kafka-config", "fetch.min.bytes=1,fetch.min.bytes=2"], &[], "--kafka-config"),
        (&from_file, &[], path(&extra)),
        (&from_file, &[("KAFKA_CONFIG_CLIENT_DNS_LOOKUP", "use_all_dns_ips")], path(&extra)),
        (&from_nested, &[], "kafka.extraConfig"),
    ] {
        let error = load_with(arguments, variables).unwrap_err().to_string();
        assert!(error.contains(name) && !error.contains("s3cret"), "{error}");
    }
}

#[test]
fn a_file_that_cannot_work_is_named_with_its_setting_and_its_content_is_not_shown() {
    let (secret, name) = (file("s3cret\n"), file("alice"));
    let login = [
        ("KAFKA_SASL_MECHANISM", "PLAIN"),
        ("KAFKA_SASL_USERNAME_FILE", path(&name)),
        ("KAFKA_SASL_PASSWORD_FILE", path(&secret)),
    ];
    for (variables, words) in [
        (&[("KAFKA_TLS_CA_FILE", path(&secret))][..], &["KAFKA_TLS_CA_FILE", "authority"][..]),
        (&login, &["KAFKA_SASL_PASSWORD_FILE", "password", "line break"]),
        (&[("KAFKA_BOOTSTRAP_SERVERS", "kafka")], &["KAFKA_BOOTSTRAP_SERVERS", "host:port"]),
    ] {
        let error = load_with(&[], variables).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)) && !error.contains("s3cret"), "{error}");
    }
}

#[test]
fn what_the_client_would_refuse_is_refused_at_once() {
    refused(&[], &[("KAFKA_MAX_POLL_INTERVAL", "25h")], &["KAFKA_MAX_POLL_INTERVAL", "86400s"]);
    let long = [("KAFKA_SESSION_TIMEOUT", "2h"), ("KAFKA_MAX_POLL_INTERVAL", "3h")];
    refused(&[], &long, &["KAFKA_SESSION_TIMEOUT", "3600s"]);
    for peer in ["foo", "a:1,foo", "foo:port"] {
        refused(&[], &[("WORKER_PEERS", peer)], &["WORKER_PEERS", "host:port"]);
    }
    let backoff = [("KAFKA_CONFIG_RECONNECT_BACKOFF_MS", "9000"), ("KAFKA_CONFIG_RECONNECT_BACKOFF_MAX_MS", "8000")];
    refused(&[], &backoff, &["reconnect.backoff.max.ms"]);
}

#[test]
fn a_wrong_value_is_refused_with_the_name_it_was_given_under() {
    refused(&[], &[("SIMULATED_WORK", "7")], &["SIMULATED_WORK", "500ms"]);
    refused(&["--simulated-work", "2s"], &[], &["--simulated-work", "1s"]);
    refused(&[], &[("KAFKA_ASSIGNOR", "sticky")], &["KAFKA_ASSIGNOR", "cooperative-sticky"]);
    refused(&[], &[("BALANCE_SIGNS", "Transfer=minus")], &["BALANCE_SIGNS", "minus"]);
    refused(&[], &[("HTTP_ADDRESS", "8080")], &["HTTP_ADDRESS", "0.0.0.0:8080"]);
    for (text, words) in [
        ("kafka: {topic: [a, b]}\n", ["kafka.topic", "single value"]),
        ("http: {peers: 'a:1'}\n", ["http.peers", "list"]),
        ("balances: {signs: [Transfer]}\n", ["balances.signs", "map"]),
    ] {
        let file = file(text);
        refused(&["--config", path(&file)], &[], &[words[0], words[1], path(&file)]);
    }
}

#[test]
fn an_entry_of_a_map_is_refused_with_the_name_it_was_given_under_and_only_once_per_source() {
    let file = file("balances: {signs: {Transfer: minus}}\n");
    let arguments = ["--config", path(&file)];
    refused(&arguments, &[("BALANCE_SIGNS", "Payment=debit")], &["balances.signs", path(&file), "minus"]);
    config(&arguments, &[("BALANCE_SIGNS", "Transfer=debit")]);
    refused(&["--signs", "Transfer=debit,Transfer=credit"], &[], &["--signs", "Transfer is given twice"]);
    refused(&["--minor-units", "XYZ=3,XYZ=3"], &[], &["--minor-units", "XYZ is given twice"]);
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    refused(&[], &[("KAFKA_SESSION_TIMEOUT", "6s"), ("KAFKA_HEARTBEAT_INTERVAL", "3s")], &["kafka.heartbeatInterval"]);
    refused(&[], &[("KAFKA_SESSION_TIMEOUT", "61s")], &["kafka.maxPollInterval"]);
    refused(&[], &[("KAFKA_AUTO_OFFSET_RESET", "latest"), ("BALANCE_STORE", "replay")], &["store replay"]);
    let dead = ("BALANCE_DEAD_LETTER_TOPIC", "dead");
    refused(&[], &[("BALANCE_STORE", "replay"), dead], &["balances.store replay"]);
    config(&[], &[dead]);
    refused(&[], &[("KAFKA_SASL_MECHANISM", "PLAIN")], &["kafka.sasl.usernameFile"]);
    refused(&[], &[("KAFKA_SASL_USERNAME_FILE", "/no/such/file")], &["KAFKA_SASL_USERNAME_FILE", "/no/such/file"]);
}

#[test]
fn a_login_is_read_from_its_files_and_never_shown() {
    let (username, password) = (file("alice"), file("s3cret"));
    let variables = [
        ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"),
        ("KAFKA_SASL_USERNAME_FILE", path(&username)),
        ("KAFKA_SASL_PASSWORD_FILE", path(&password)),
        ("KAFKA_TLS_ENABLED", "true"),
    ];
    let config = config(&[], &variables);
    assert_eq!(config.connection.sasl.as_ref().map(|sasl| sasl.password.as_str()), Some("s3cret"));
    assert!(config.connection.tls.is_some());
    assert!(!format!("{config:?}").contains("s3cret"));
    let Command::Print(text) = load_with(&["--print-config"], &variables).unwrap() else { panic!() };
    assert!(!text.contains("s3cret") && text.contains(path(&password)), "{text}");
}

#[test]
fn the_printed_settings_are_a_file_that_gives_them_again() {
    let variables = [("BALANCE_SIGNS", "Transfer=debit"), ("KAFKA_TOPIC", "t"), ("WORKER_PEERS", "a:1,b:2")];
    let Command::Print(printed) = load_with(&["--print-config"], &variables).unwrap() else { panic!() };
    let printed_file = file(&printed);
    let Command::Print(again) = load_with(&["--print-config", "--config", path(&printed_file)], &[]).unwrap() else {
        panic!()
    };
    assert_eq!(printed, again);
    let Command::Print(address) = load_with(&["--print-config"], &[("ASPNETCORE_URLS", "http://+:5000")]).unwrap()
    else {
        panic!()
    };
    assert!(address.contains("urls: http://+:5000") && !address.contains("address:"), "{address}");
    assert!(printed.contains("Transfer: debit") && printed.contains("topic: t"), "{printed}");
}

#[test]
fn help_lists_every_setting_with_its_variable() {
    let help = load_with(&["--help"], &[]).unwrap_err().to_string();
    for setting in Settings::table().get_arguments() {
        let flag = setting.get_long().unwrap();
        assert!(help.contains(&format!("--{flag} ")), "{flag}");
        let variable = setting.get_env().map(|name| name.to_str().unwrap());
        assert!(variable.is_none_or(|name| help.contains(name)), "{flag}");
    }
}

const POSTGRES: [(&str, &str); 2] =
    [("BALANCE_STORE", "postgres"), ("BALANCE_POSTGRES_URL", "postgres://u:s3cr3t@db:5433/b?sslmode=disable")];

#[test]
fn a_database_is_given_by_its_url_and_the_url_is_shown_to_nobody() {
    let config = config(&[], &POSTGRES);
    assert_eq!(config.store, StoreKind::Postgres);
    assert_eq!(config.database_in_use().unwrap().address(), "db:5433");
    assert!(!format!("{config:?}").contains("s3cr3t"));
    let Command::Print(printed) = load_with(&["--print-config"], &POSTGRES).unwrap() else { panic!() };
    assert!(printed.contains("postgresUrl: (hidden)") && !printed.contains("s3cr3t"), "{printed}");
    for wrong in ["postgres://u:s3cr3t@db/b?sslmode=prefer", "mysql://u:s3cr3t@db/b", "postgres://u:s3cr3t@x@db/b"] {
        let error = load_with(&[], &[POSTGRES[0], ("BALANCE_POSTGRES_URL", wrong)]).unwrap_err().to_string();
        assert!(error.contains("BALANCE_POSTGRES_URL") && !error.contains("s3cr3t"), "{error}");
    }
    let file = file("balances: {store: postgres, postgresUrl: [s3cr3t]}\n");
    let error = load_with(&["--config", path(&file)], &[]).unwrap_err().to_string();
    assert!(error.contains("postgresUrl") && !error.contains("s3cr3t"), "{error}");
}

#[test]
fn a_store_and_a_database_go_together_and_dead_letters_have_their_table() {
    refused(&[], &POSTGRES[..1], &["balances.postgresUrl"]);
    refused(&[], &POSTGRES[1..], &["BALANCE_POSTGRES_URL", "changelog"]);
    refused(&["--dead-letter-topic", "dead"], &POSTGRES, &["balancefleet.dead_letter"]);
    let count = [&POSTGRES[..], &[("WORKER_LEDGER", "count")]].concat();
    assert!(config(&[], &count).database_in_use().is_none(), "there are no balances to keep");
}

#[test]
fn an_authority_for_the_database_is_read_from_its_file() {
    let junk = file("not PEM");
    let url = ("BALANCE_POSTGRES_URL", "postgres://u:p@db/b");
    let ca = ("BALANCE_POSTGRES_CA_FILE", path(&junk));
    refused(&[], &[POSTGRES[0], url, ca], &["no authority"]);
    refused(&[], &[POSTGRES[0], url, ("BALANCE_POSTGRES_CA_FILE", "/nowhere/ca.crt")], &["/nowhere/ca.crt"]);
    refused(&[], &[POSTGRES[0], POSTGRES[1], ca], &["sslmode=disable"]);
}

#[test]
fn what_a_rebuild_may_do_is_said_by_its_own_flags() {
    let options = |arguments: &[&str]| match load_with(&[&["rebuild"], arguments].concat(), &[]).unwrap() {
        Command::Rebuild { options, .. } => options,
        other => panic!("{other:?}"),
    };
    assert_eq!(options(&[]), RebuildOptions::default());
    let all = RebuildOptions { is_agreed: true, from_base: true, another_topic: true, lose: Some(1500), recount: true };
    assert_eq!(options(&["--yes", "--from-base", "--another-topic", "--lose", "1500", "--recount"]), all);
    refused(&["rebuild", "--lose", "-1"], &[], &["--lose"]);
    refused(&["rebuild", "--lose", "all"], &[], &["--lose"]);
}
