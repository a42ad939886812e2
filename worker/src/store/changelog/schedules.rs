//! The changelog under random schedules: the real rows, restore and decisions, with a log that is a list.

use std::sync::LazyLock;

use super::{
    Standing,
    found::Found,
    loaded::Loaded,
    progress::{Ledger as Identity, ProgressRecord},
    rows::{PROGRESS, RowWriter},
    settle::Known,
    writer::{Share, Written},
};
use crate::{
    config::StartFrom,
    ledger::Ledger,
    ledger_rules::{LedgerRules, Rulebook, tests::book},
    store::{
        Assignment, Folding, Plan, Progress, Seal,
        offsets::Position,
        schedules::{Flight, Group, Medium, Verdict, Worker, try_all},
    },
};

static BOOK: LazyLock<Rulebook> = LazyLock::new(|| book(&[]));
static IDENTITY: LazyLock<Identity<'static>> =
    LazyLock::new(|| Identity { group: "g", topic: "t", topic_id: "i", book: &BOOK });

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// What a reader of committed records gets.
#[derive(Default)]
struct Log {
    rows: Rows,
    /// Offsets of the records put aside.
    letters: Vec<i64>,
}

impl Log {
    fn loaded(&self) -> Loaded {
        let mut loaded = Loaded::default();
        self.rows.iter().for_each(|(key, value)| loaded.take(Some(key), Some(value)));
        loaded
    }
}

impl From<Found> for Verdict {
    fn from(found: Found) -> Self {
        match found {
            Found::Written => Self::Written,
            Found::Untouched => Self::Untouched,
            Found::Others => Self::Others,
        }
    }
}

impl Medium for Log {
    const FOLDING: Folding = Folding::Layered;
    /// Few, so that a ledger that moves takes several commits.
    const LEDGER_AT_ONCE: usize = 3;
    type Standing = Standing;
    type Sent = (Rows, Written);

    /// A ledger of more customers than go into one commit is left half written, as a release before this one did when it
    /// was interrupted.
    fn rebuilt(&mut self, ledger: &Ledger, next_offset: i64) {
        let (mut row, mut seal) = (RowWriter::default(), Seal::default());
        for (id, customer) in ledger.customers().take(Self::LEDGER_AT_ONCE) {
            seal = seal.changed(0, row.write(id, customer));
            self.rows.push((row.key().to_vec(), row.value().to_vec()));
        }
        let rules = LedgerRules::begin(&BOOK, 0);
        let progress = ProgressRecord::new(&IDENTITY, &rules, 0, next_offset, None, seal);
        let progress = ProgressRecord { partial: ledger.len() > Self::LEDGER_AT_ONCE, ..progress };
        self.rows.push((PROGRESS.to_vec(), progress.to_json()));
    }

    fn plan(&mut self, _worker: Worker, Assignment { epoch, .. }: Assignment, position: &Position) -> (Plan, Standing) {
        let content = self.loaded().finish().expect("what is stored is sound");
        let known = Known { identity: &IDENTITY, position, start_from: StartFrom::Earliest, beginning: None };
        Standing::after(content, epoch, &known).expect("it can go on")
    }

    fn send(&mut self, standing: &Standing, progress: &Progress) -> (Rows, Written) {
        let mut rows = Rows::new();
        let written = Share { progress, standing: standing.clone() }.rows(&IDENTITY, |key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            Ok::<_, std::convert::Infallible>(())
        });
        (rows, written.unwrap())
    }

    /// With the offsets go or fall the rows.
    fn land(&mut self, flight: &Flight<(Rows, Written)>, group: &mut Group) -> Verdict {
        if !group.takes(flight) {
            return Verdict::Untouched;
        }
        self.rows.extend(flight.sent.0.clone());
        self.letters.extend(flight.progress.changes.dead_letters().iter().map(|letter| letter.offset));
        group.commit(&flight.progress);
        Verdict::Written
    }

    fn find_out(&mut self, flight: &Flight<(Rows, Written)>, group: &Group) -> Verdict {
        Found::compare(std::iter::once((&flight.progress, &group.committed))).into()
    }

    fn accept(&mut self, standing: &mut Standing, flight: &Flight<(Rows, Written)>, _group: &mut Group) {
        (standing.seal, standing.rules) = (flight.sent.1.seal, flight.sent.1.rules.clone());
    }

    fn durable(&mut self, group: &Group) -> Option<(i64, Option<Ledger>)> {
        let content = self.loaded().finish().expect("what is stored is sound");
        let progress = content.progress?;
        if progress.partial {
            return Some((progress.next_offset, None));
        }
        if let Some(committed) = &group.committed {
            assert_eq!(progress.next_offset, committed.offset, "rows and offsets are apart");
        }
        Some((progress.next_offset, Some(content.ledger)))
    }

    fn put_aside(&mut self) -> Option<Vec<i64>> {
        Some(self.letters.clone())
    }

    fn may_forget_offsets(&self) -> bool {
        true
    }
}

#[test]
fn nothing_is_lost_doubled_or_seen_too_early() {
    try_all(|| Log::default);
}
