//! Records of every kind.

use crate::harness::{Fleet, SOON, Traffic, eventually, fleet, stream, stream_of, worker};

const DEPOSIT: &str = r#"{"transactionId":"BAL-001","fromAccount":"BANK","toAccount":"FR7630001000123456789","amount":5000.00,"currency":"EUR","type":3,"description":"Depot initial","customerId":"CUST-001","timestamp":"2026-02-08T22:00:00Z","riskScore":0,"status":1}"#;
const TRANSFER: &str = r#"{"transactionId":"BAL-002","fromAccount":"FR7630001000123456789","toAccount":"FR7630001000987654321","amount":1200.00,"currency":"EUR","type":1,"description":"Virement loyer","customerId":"CUST-001","timestamp":"2026-02-08T22:01:00Z","riskScore":0,"status":1}"#;

#[test]
fn the_messages_of_the_guides_give_3800_by_one_line_of_configuration() {
    let stream = stream("signs-3800");
    stream.produce(0, [DEPOSIT]);
    stream.produce(5, [TRANSFER]);
    let worker = worker(&stream, &[("BALANCE_SIGNS", "Transfer=debit")]);
    let body = eventually(SOON, || match worker.get("/api/Balance/balances/CUST-001")? {
        (200, body) if body.contains("\"transactionCount\":2") => Ok(body),
        (_, body) => Err(body),
    });
    assert!(body.contains("\"balance\":3800.00") && body.contains("\"lastTransactionId\":\"BAL-002\""), "{body}");
}

#[test]
fn poison_is_counted_logged_without_its_content_and_changes_nothing() {
    let stream = stream("poison");
    let mut traffic = Traffic::new(10, 20);
    traffic.send(&stream, 200);
    let secret = "SECRET-CUSTOMER";
    let wrong_type = DEPOSIT.replace("5000.00", "\"5000.00\"").replace("CUST-001", secret);
    let three_decimals = DEPOSIT.replace("5000.00", "5000.001").replace("CUST-001", secret);
    let enormous = DEPOSIT.replace("5000.00", "1e400").replace("CUST-001", secret);
    let twice = DEPOSIT.replacen('{', r#"{"amount":1.00,"#, 1).replace("CUST-001", secret);
    let long = format!("\"{}\"", "x".repeat(900_000));
    // A parser that goes down with every bracket runs out of stack, and with it the process ends.
    let deep = format!(r#"{{"x":{}"#, "[".repeat(900_000));
    let poison = ["", "{", "null", "[]", &wrong_type, &three_decimals, &enormous, &twice, &long, &deep];
    for partition in 0..stream.partitions {
        stream.produce(partition, poison);
        stream.send(partition, None);
    }
    traffic.send(&stream, 200);

    let mut fleet = fleet(&stream, 1, &[]);
    fleet.start(0);
    fleet.await_balances(&traffic.oracle, SOON);
    let worker = fleet.get(0);
    worker.await_count("messagesConsumed", 400 + 66);
    worker.await_count("processingErrors", 66);
    worker.await_count("balanceUpdates", 400);
    let log = worker.log();
    assert!(log.contains("AmountTooManyDecimals") && log.contains("\"offset\":"), "{log}");
    assert!(!log.contains(secret) && !log.contains("xxxxx"), "the content of a record was logged");
    eventually(SOON, || stream.is_committed());
}

#[test]
fn the_same_kind_of_poison_is_logged_once_per_partition() {
    let stream = stream_of("poison-rate", 2, &[]);
    for partition in 0..2 {
        stream.produce(partition, ["junk"; 500]);
    }
    let worker = worker(&stream, &[]);
    worker.await_count("processingErrors", 1000);
    assert_eq!(worker.log().matches("BrokenJson").count(), 2, "{}", worker.log());
}

#[test]
fn a_count_ledger_counts_records_of_any_content_and_goes_on_where_it_stopped() {
    let stream = stream("orders");
    let orders = [r#"{"orderId":"ORD-001","amount":99.99,"status":"NEW"}"#, "", "anything"];
    (0..6).for_each(|partition| stream.produce(partition, orders));
    let settings = [("WORKER_LEDGER", "count")];
    {
        let mut worker = worker(&stream, &settings);
        worker.await_count("messagesConsumed", 18);
        assert_eq!(worker.count("processingErrors"), Ok(0));
        assert_eq!(worker.json("/api/v1/stats").unwrap()["messagesProcessed"], 18);
        assert_eq!(worker.stop().0.code(), Some(0));
    }
    stream.is_committed().unwrap();
    stream.produce(3, orders);
    worker(&stream, &settings).await_count("messagesConsumed", 3);
}

#[test]
fn a_count_ledger_can_begin_at_the_end() {
    let stream = stream("latest");
    stream.produce(0, ["old"; 10]);
    let settings = [("WORKER_LEDGER", "count"), ("KAFKA_AUTO_OFFSET_RESET", "latest")];
    let worker = worker(&stream, &settings);
    eventually(SOON, || stream.is_committed());
    stream.produce(0, ["new"; 3]);
    stream.produce(4, ["new"; 2]);
    worker.await_count("messagesConsumed", 5);
}

#[test]
fn workers_that_begin_together_at_the_end_of_the_log_agree_where_that_is() {
    for ledger in ["balances", "count"] {
        let mut stream = stream_of("latest-fleet", 6, &[]);
        Traffic::new(61, 40).send(&stream, 900);
        let settings = [("WORKER_LEDGER", ledger), ("KAFKA_AUTO_OFFSET_RESET", "latest")];
        let consumed = |fleet: &Fleet<'_>, expected: u64| {
            let counts = fleet.workers().map(|worker| worker.count("messagesConsumed"));
            let count = counts.sum::<Result<u64, String>>()?;
            if count == expected { Ok(()) } else { Err(format!("{ledger}: {count} were consumed")) }
        };
        let mut traffic = Traffic::new(62, 40);
        {
            let mut fleet = fleet(&stream, 3, &settings);
            fleet.start_all(0..3);
            eventually(SOON, || stream.is_committed());
            traffic.send(&stream, 600);
            eventually(SOON, || consumed(&fleet, 600));
            eventually(SOON, || stream.is_committed());
        }
        // A partition that is added later was not there at the beginning: nothing of it is left out.
        stream.grow_to(7);
        stream.partitions = 7;
        traffic.send(&stream, 700);
        let mut fleet = fleet(&stream, 3, &settings);
        fleet.start_all(0..3);
        eventually(SOON, || consumed(&fleet, 700));
        if ledger == "balances" {
            fleet.await_balances(&traffic.oracle, SOON);
        }
    }
}
