//! Puts the parts together and ends the process.
//!
//! | ends by | exit code |
//! |---|---|
//! | SIGTERM, SIGINT | 0, within 3 s |
//! | a wrong setting, a topic the store cannot work with | 2 |
//! | a failure that only a new process can clear, a failed `--check`, `healthcheck` or tool | 1 |
//! | an audit that found differences, or could not compare everything | 3 |

use std::{collections::BTreeMap, io::IsTerminal, net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use balancefleet_kafka::Admin;
use jiff::Timestamp;
use tokio::{
    runtime::Handle,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{EnvFilter, fmt};

use crate::{
    api::{self, ApiConfig, ApiServer, ApiServerError},
    config::{self, Command, Config, ConfigError, LogFormat},
    critical_thread, ops,
    ops::OpsError,
    partition_failure::PartitionFailure,
    poll::{Fatal, PollLoop},
    preflight::{self, PreflightError},
    processor,
    status::Status,
    stop::Stop,
    store::DatabaseReader,
    topic_facts::TopicFacts,
    view::{View, WorkerInfo},
};

/// After a signal the process exits within this time, even if it could not leave the group: the progress is committed
/// by then.
const STOP_WITHIN: Duration = Duration::from_millis(2800);
/// The exit code of an audit that did not find everything equal.
const DIFFERENT: u8 = 3;
/// The time for running requests to finish.
const FINISH_ANSWERS: Duration = Duration::from_millis(100);

/// Silences the admin client's own lines: unreachable brokers are reported once, by the code that waits for them.
const QUIET: &str = "balancefleet_kafka::session=error";
/// Silences PostgreSQL's driver, which would log customers' rows, whatever level is configured.
const NEVER: &str = "tokio_postgres=warn";

/// Why a worker ended without a stop.
#[derive(Debug, thiserror::Error)]
enum ExitError {
    #[error(transparent)]
    Refused(#[from] PreflightError),
    #[error(transparent)]
    Failed(#[from] Fatal),
    #[error(transparent)]
    Api(#[from] ApiServerError),
    #[error("{0}")]
    System(#[from] std::io::Error),
    #[error("the poll thread has ended without a word")]
    Silent,
}

/// Does what the command line asks for; the table above has the exit codes.
pub fn main() -> ExitCode {
    if let Err(error) = processor::exec_best_binary() {
        eprintln!("balance-worker: the binary for this processor cannot be started ({error}); going on without it");
    }
    let text = |text: std::ffi::OsString| text.into_string().ok();
    // Variables that are not UTF-8 are not the worker's.
    let variables: BTreeMap<_, _> =
        std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect();
    match config::load(std::env::args_os(), &variables) {
        Ok(Command::Run(config)) => work(*config),
        Ok(Command::Check(config)) => check(&config),
        Ok(Command::Healthcheck(listen_address)) => healthcheck(listen_address),
        Ok(Command::Audit(config)) => {
            tool(&config, |admin, runtime, out| match ops::audit(&config, admin, runtime, out) {
                Ok(true) => Ok(ExitCode::SUCCESS),
                Ok(false) => Ok(ExitCode::from(DIFFERENT)),
                Err(error) => Err(error),
            })
        }
        Ok(Command::Rebuild { config, options }) => tool(&config, |admin, runtime, out| {
            ops::rebuild(&config, admin, runtime, options, out).map(|()| ExitCode::SUCCESS)
        }),
        Ok(Command::Print(settings)) => {
            print!("{settings}");
            ExitCode::SUCCESS
        }
        Ok(Command::PrintOpenApi) => match api::openapi() {
            Ok(document) => {
                println!("{document}");
                ExitCode::SUCCESS
            }
            Err(error) => complain(&error, 1),
        },
        Err(ConfigError::Flags(error)) => error.exit(),
        Err(error) => complain(&error, 2),
    }
}

fn complain(error: &dyn std::error::Error, code: u8) -> ExitCode {
    eprintln!("balance-worker: {error}");
    ExitCode::from(code)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("api").enable_all().build()
}

/// Says whether the worker that listens on this address is ready.
fn healthcheck(listen_address: SocketAddr) -> ExitCode {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error, 1),
    };
    match runtime.block_on(api::healthcheck(listen_address)) {
        Ok(sentence) => {
            println!("{sentence}");
            ExitCode::SUCCESS
        }
        Err(error) => complain(&error, 1),
    }
}

/// `--check`: says whether a worker with these settings would work.
fn check(config: &Config) -> ExitCode {
    start_log_of_tools();
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error, 1),
    };
    let looked = connect(config).map_err(OpsError::from).and_then(|admin| look(config, &admin, runtime.handle()));
    let (facts, failures) = match looked {
        Ok(found) => found,
        Err(error) => return complain(&error, 1),
    };
    if !failures.is_empty() {
        say_failures(&failures);
        return ExitCode::from(1);
    }
    let Config { connection, topic, group_id, .. } = config;
    let (servers, count) = (&connection.bootstrap_servers, facts.partition_count);
    let database = config.database_in_use().map(|target| format!(", PostgreSQL at {} can be used", target.address()));
    let database = database.unwrap_or_default();
    println!("ok: {servers} answer, topic {topic} has {count} partitions{database}, group {group_id} can begin");
    ExitCode::SUCCESS
}

/// Groups partitions with the same failure into one sentence.
fn say_failures(failures: &[(i32, PartitionFailure)]) {
    let mut partitions: BTreeMap<(&str, String), Vec<String>> = BTreeMap::new();
    for (partition, failure) in failures {
        let key = (failure.category(), failure.to_string());
        partitions.entry(key).or_default().push(partition.to_string());
    }
    for ((category, sentence), partitions) in partitions {
        let word = if partitions.len() == 1 { "partition" } else { "partitions" };
        let list = partitions.join(", ");
        eprintln!("balance-worker: {word} {list} would stand still ({category}): {sentence}");
    }
}

fn look(
    config: &Config,
    admin: &Admin,
    runtime: &Handle,
) -> Result<(TopicFacts, Vec<(i32, PartitionFailure)>), OpsError> {
    ops::retry_transient(|| {
        let facts = preflight::check(config, admin, runtime, false)??;
        let failures = ops::failures(config, admin, runtime, facts.clone())?;
        Ok((facts, failures))
    })
}

/// Runs a tool, which reports to standard output and logs problems to standard error.
fn tool(
    config: &Config,
    work: impl FnOnce(&Admin, &Handle, &mut std::io::Stdout) -> Result<ExitCode, OpsError>,
) -> ExitCode {
    start_log_of_tools();
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error, 1),
    };
    let worked = connect(config).map_err(OpsError::from);
    let worked = worked.and_then(|admin| work(&admin, runtime.handle(), &mut std::io::stdout()));
    worked.unwrap_or_else(|error| complain(&error, 1))
}

fn connect(config: &Config) -> Result<Admin, PreflightError> {
    Admin::connect(&config.connection, &format!("{}-admin", config.consumer_id)).map_err(PreflightError::Connection)
}

fn work(config: Config) -> ExitCode {
    start_log(&config);
    let outcome = runtime().map_err(ExitError::from).and_then(|runtime| runtime.block_on(serve(config)));
    let code = match outcome {
        Ok(()) => 0,
        Err(error) => {
            tracing::error!("fatal error, exiting: {error}");
            if matches!(error, ExitError::Refused(_)) { 2 } else { 1 }
        }
    };
    // Not by returning: threads that wait for brokers would delay the exit.
    std::process::exit(code)
}

pub(crate) fn view(config: &Config) -> View {
    let worker_info = WorkerInfo {
        consumer_id: config.consumer_id.clone(),
        group_id: config.group_id.clone(),
        topic: config.topic.clone(),
        ledger: config.rules.ledger,
        store: config.store,
        started_at: Timestamp::now(),
    };
    View::new(worker_info, config.rules.clone(), config.session_timeout)
}

/// Runs the API and the poll thread until a signal comes or one of them ends.
async fn serve(config: Config) -> Result<(), ExitError> {
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let view = Arc::new(view(&config));
    let database = config.database_in_use().map(|target| DatabaseReader::new(&config, target));
    let api = ApiConfig { address: config.http_address, peers: config.peers.clone(), database: database.map(Arc::new) };
    let server = ApiServer::bind(api, view.clone()).await?;
    tracing::info!(address = %server.address()?, consumer_id = config.consumer_id, "balance-worker starts");
    let (stop, stop_api) = (Stop::default(), CancellationToken::new());
    let api = tokio::spawn(server.run(stop_api.clone()));
    let mut consumer = start_consumer(config, view.clone(), stop.clone())?;
    let outcome = tokio::select! {
        ended = &mut consumer => return ended.unwrap_or(Err(ExitError::Silent)),
        _ = term.recv() => wind_down(&view, &stop, consumer).await,
        _ = interrupt.recv() => wind_down(&view, &stop, consumer).await,
    };
    stop_api.cancel();
    // The process must exit in time; a client repeats a request that is cut off.
    let _ = tokio::time::timeout(FINISH_ANSWERS, api).await;
    outcome
}

async fn wind_down(
    view: &View,
    stop: &Stop,
    consumer: oneshot::Receiver<Result<(), ExitError>>,
) -> Result<(), ExitError> {
    tracing::info!("stopping");
    // First of all, so that clients see the stop on `/readyz` while requests are still answered.
    view.set_status(Status::Stopped);
    stop.order();
    if let Ok(ended) = tokio::time::timeout(STOP_WITHIN, consumer).await {
        return ended.unwrap_or(Err(ExitError::Silent));
    }
    tracing::warn!("leaving the group takes too long: ending without it");
    Ok(())
}

/// Starts the poll thread; the channel delivers its outcome.
fn start_consumer(
    config: Config,
    view: Arc<View>,
    stop: Stop,
) -> Result<oneshot::Receiver<Result<(), ExitError>>, ExitError> {
    let (ending, ended) = oneshot::channel();
    let runtime = Handle::current();
    critical_thread::start("poll", move || {
        // Nobody waits for it when the process is already ending.
        let _ = ending.send(consume(&config, view, &runtime, stop));
    })?;
    Ok(ended)
}

fn consume(config: &Config, view: Arc<View>, runtime: &Handle, stop: Stop) -> Result<(), ExitError> {
    let admin = connect(config)?;
    let Some(topic) = preflight::pass(config, &admin, &view, runtime, &stop)? else { return Ok(()) };
    view.set_topic(topic.clone());
    Ok(PollLoop::new(config, &topic.topic_id, admin, view, runtime, stop)?.run()?)
}

/// Log lines go to standard output, as text for people or as one JSON object a line. The filter was checked with the
/// configuration.
fn start_log(config: &Config) {
    let filter = EnvFilter::new(format!("{QUIET},{},{NEVER}", config.log_level));
    let log = fmt().with_env_filter(filter).with_ansi(std::io::stdout().is_terminal());
    // A second log in one process is a test's; the first one stays.
    let _ = match config.log_format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
    };
}

/// The same for a tool, whose output is a report: only what is wrong, on standard error.
fn start_log_of_tools() {
    let log = fmt().with_env_filter(EnvFilter::new(format!("{QUIET},warn"))).with_writer(std::io::stderr);
    let _ = log.with_ansi(std::io::stderr().is_terminal()).try_init();
}
