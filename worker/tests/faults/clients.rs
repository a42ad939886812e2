//! Clients of the API that take more than their share: connections, or one answer with everything in it.

use std::time::{Duration, Instant};

use balancefleet_e2e::brokers::{Brokers, Use};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Stream, Worker, eventually, free_port};
use crate::scene::SOON;

const MIB: u64 = 1 << 20;
/// How soon probes and reads are answered.
#[derive(Clone, Copy)]
struct Demand {
    probe: Duration,
    /// How long a read of the other worker may be tried again: a peer has a tenth of a second to answer.
    read: Duration,
}

/// Beside other tests: they are not shut out.
const SOMETIME: Demand = Demand { probe: Duration::from_secs(5), read: Duration::from_secs(5) };
/// With the machine to itself. The kubelet gives up after two seconds.
const AT_ONCE: Demand = Demand { probe: Duration::from_secs(1), read: Duration::ZERO };

/// What the clients of a crowd do with their connections; those that are closed they open again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    /// Nothing at all.
    Silent,
    /// A request every five seconds.
    Asking,
    /// A byte of a head every second.
    Dribbling,
    /// Ten requests at once, whose answers are not read.
    Deaf,
}

fn record(number: u64, customer: &str) -> String {
    format!(
        r#"{{"transactionId":"T{number}","customerId":"{customer}","amount":1.00,"currency":"EUR","type":3,"timestamp":"2026-02-08T22:00:00Z"}}"#
    )
}

/// Two workers that know each other, each with one of two partitions and one transaction of customer C.
fn two_workers(brokers: &Brokers, name: &str) -> (Stream, Worker, Worker) {
    let stream = Stream::unmade_at(brokers.bootstrap().to_owned(), name, 2);
    stream.make(&[]);
    (0..2).for_each(|partition| stream.produce(partition, [record(partition.cast_unsigned().into(), "C").as_str()]));
    let ports = [free_port(), free_port()];
    let peers = ports.map(|port| format!("127.0.0.1:{port}")).join(",");
    let [first, second] = ports.map(|port| Worker::start(&stream, port, &[("WORKER_PEERS", &peers)]));
    eventually(SOON, || match (first.partitions()?.len(), second.partitions()?.len()) {
        (1, 1) => Ok(()),
        shares => Err(format!("{shares:?} partitions")),
    });
    eventually(SOON, || match second.get("/api/Balance/balances/C")? {
        (200, body) if body.contains(r#""transactionCount":2"#) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    (stream, first, second)
}

async fn client(port: u16, habit: Habit) {
    loop {
        // Refused or closed: it comes again.
        let _ended = visit(port, habit).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn visit(port: u16, habit: Habit) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let mut answer = vec![0; 16 * 1024];
    match habit {
        Habit::Silent => while stream.read(&mut answer).await? > 0 {},
        Habit::Asking => loop {
            stream.write_all(b"GET /api/Balance/balances/C HTTP/1.1\r\nhost: w\r\n\r\n").await?;
            if stream.read(&mut answer).await? == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
        },
        Habit::Dribbling => loop {
            stream.write_all(b"G").await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        },
        Habit::Deaf => {
            let request = "GET /swagger/swagger-ui-bundle.js HTTP/1.1\r\nhost: w\r\n\r\n";
            stream.write_all(request.repeat(10).as_bytes()).await?;
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    }
    Ok(())
}

/// Meanwhile every probe of the crowded worker is answered in time, on a connection of its own, and so is every read of
/// the other worker, half of which it has from the crowded one.
fn nobody_is_shut_out(name: &str, clients: usize, habits: &[Habit], lasts: Duration, demand: Demand) {
    let brokers = Brokers::take(Use::Shared).unwrap();
    let (_stream, crowded, other) = two_workers(&brokers, name);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    for number in 0..clients {
        runtime.spawn(client(crowded.port, habits[number % habits.len()]));
    }
    std::thread::sleep(Duration::from_secs(1));
    let (began, mut answered, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    while began.elapsed() < lasts {
        for path in ["/livez", "/readyz", "/health", "/metrics"] {
            let asked = Instant::now();
            let probe = async {
                // Each on a new connection, as the kubelet does.
                let client = reqwest::Client::builder().timeout(demand.probe).build().unwrap();
                client.get(format!("http://127.0.0.1:{}{path}", crowded.port)).send().await
            };
            let status = runtime.block_on(probe).map(|answer| answer.status().as_u16());
            assert!(matches!(status, Ok(200)), "{path} after {:?}: {status:?}", began.elapsed());
            (answered, slowest) = (answered + 1, slowest.max(asked.elapsed()));
        }
        for path in ["/api/Balance/balances/C", "/api/Balance/balances"] {
            eventually(demand.read, || match other.get(path)? {
                (200, body) if body.contains(r#""transactionCount":2"#) => Ok(()),
                other => Err(format!("{path}: {other:?}")),
            });
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    runtime.shutdown_background();
    eprintln!("{clients} clients, {habits:?}, {lasts:?}: {answered} probes answered, the slowest in {slowest:?}");
    eventually(SOON, || crowded.partitions().map(|held| assert_eq!(held.len(), 1, "it was never restarted")));
}

#[test]
fn a_crowd_of_clients_shuts_out_no_probe_and_no_peer() {
    let all = [Habit::Silent, Habit::Asking, Habit::Dribbling, Habit::Deaf];
    nobody_is_shut_out("crowd", 1200, &all, Duration::from_secs(8), SOMETIME);
}

#[test]
#[ignore = "takes ten minutes: make soak"]
fn crowds_shut_out_no_probe_and_no_peer_for_two_minutes() {
    let lasts = Duration::from_secs(120);
    for (clients, habit) in [(600, Habit::Silent), (600, Habit::Asking), (2000, Habit::Silent), (2000, Habit::Asking)] {
        nobody_is_shut_out("crowd-for-long", clients, &[habit], lasts, AT_ONCE);
    }
    nobody_is_shut_out("crowd-for-long", 2000, &[Habit::Dribbling, Habit::Deaf], lasts, AT_ONCE);
}

/// As load balancers do with theirs, who would otherwise send a request on one that is just being closed.
#[test]
#[ignore = "takes minutes: make soak"]
fn an_idle_connection_is_kept_for_longer_than_a_minute() {
    let brokers = Brokers::take(Use::Shared).unwrap();
    let (_stream, worker, _other) = two_workers(&brokers, "idle");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut stream = TcpStream::connect(("127.0.0.1", worker.port)).await.unwrap();
        let mut answer = vec![0; 4096];
        for _ in 0..2 {
            stream.write_all(b"GET /api/Balance/health HTTP/1.1\r\nhost: w\r\n\r\n").await.unwrap();
            let read = stream.read(&mut answer).await.unwrap();
            assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
            tokio::time::sleep(Duration::from_secs(70)).await;
        }
        let closed = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut answer)).await;
        assert_eq!(closed.unwrap().unwrap(), 0, "after 75 s");
    });
}

/// Resident memory now, and its peak since it was reset.
fn memory(worker: &Worker) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.pid())).unwrap();
    let kib = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (kib("VmRSS:") * 1024, kib("VmHWM:") * 1024)
}

/// The status and the length of an answer, however long that takes.
fn fetch(worker: &Worker, path: &str) -> (u16, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let answer = reqwest::get(format!("http://127.0.0.1:{}{path}", worker.port)).await.unwrap();
        let status = answer.status().as_u16();
        // Cut off for want of memory: said by the connection.
        let length = answer.bytes().await.map_or(0, |body| body.len());
        (status, length)
    })
}

/// Asks for lists one by one and several at a time; none takes more memory than the bound, and it comes back.
fn lists_are_bounded(worker: &Worker, customers: usize, expected: u16) {
    let before = memory(worker).0;
    std::fs::write(format!("/proc/{}/clear_refs", worker.pid()), "5").unwrap();
    let (status, length) = fetch(worker, "/api/Balance/balances");
    assert_eq!(status, expected);
    let after_one = memory(worker);
    for _ in 0..5 {
        assert_eq!(fetch(worker, "/api/Balance/balances").0, expected);
    }
    std::thread::scope(|scope| {
        for number in 0..8 {
            let path = if number % 2 == 0 { "/api/Balance/balances" } else { "/internal/v1/partitions" };
            scope.spawn(move || fetch(worker, path));
        }
    });
    let peak = memory(worker).1;
    std::thread::sleep(Duration::from_secs(5));
    let rest = memory(worker).0;
    let mib = |bytes: u64| bytes / MIB;
    eprintln!(
        "{customers} customers: {status} with {length} bytes; {} MiB before, {} MiB after one list (peak {}), {} MiB at \
         the most, {} MiB at rest",
        mib(before),
        mib(after_one.0),
        mib(after_one.1),
        mib(peak),
        mib(rest)
    );
    assert!(peak <= before + 128 * MIB, "{} MiB more", mib(peak - before));
    assert!(rest <= before + 64 * MIB, "{} MiB more", mib(rest - before));
}

/// Gives each of the customers one transaction and waits until all of them are there.
fn fill(stream: &Stream, worker: &Worker, customers: std::ops::Range<usize>) {
    for number in customers.clone() {
        let partition = i32::try_from(number % 6).unwrap();
        stream.send(partition, Some(&record(number as u64, &format!("CUST-{number:07}"))));
    }
    stream.flush();
    eventually(Duration::from_secs(300), || match worker.count("messagesConsumed")? {
        count if count >= customers.end as u64 => Ok(()),
        count => Err(format!("{count} of {}", customers.end)),
    });
    // What was committed last is shown as well.
    std::thread::sleep(Duration::from_secs(3));
}

#[test]
fn lists_of_many_customers_take_no_more_memory_than_the_bound() {
    let brokers = Brokers::take(Use::Shared).unwrap();
    let stream = Stream::unmade_at(brokers.bootstrap().to_owned(), "many", 6);
    stream.make(&[]);
    let worker = Worker::start(&stream, free_port(), &[]);
    fill(&stream, &worker, 0..100_000);
    lists_are_bounded(&worker, 100_000, 200);
}

#[test]
#[ignore = "takes minutes: make soak"]
fn a_list_of_870_000_customers_is_refused_and_costs_nothing() {
    let brokers = Brokers::take(Use::Shared).unwrap();
    let stream = Stream::unmade_at(brokers.bootstrap().to_owned(), "too-many", 6);
    stream.make(&[]);
    let worker = Worker::start(&stream, free_port(), &[]);
    fill(&stream, &worker, 0..500_000);
    lists_are_bounded(&worker, 500_000, 200);
    fill(&stream, &worker, 500_000..870_000);
    lists_are_bounded(&worker, 870_000, 413);
}
