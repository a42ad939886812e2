//! Customers: each is a pure function of the seed and its number.

use super::money::Currency;
use super::random::Draws;

const FIRST_NAMES: [&str; 24] = [
    "Camille", "Louis", "Amina", "Hugo", "Chloé", "Yanis", "Inès", "Jules", "Léa", "Adam", "Sofia", "Noah", "Emma",
    "Karim", "Zoé", "Paul", "Fatou", "Arthur", "Nora", "Gabriel", "Manon", "Rayan", "Alice", "Théo",
];
const LAST_NAMES: [&str; 24] = [
    "Martin",
    "Bernard",
    "Diallo",
    "Petit",
    "Durand",
    "Leroy",
    "Moreau",
    "Nguyen",
    "Lefèvre",
    "Garcia",
    "Roux",
    "Fournier",
    "Benali",
    "Mercier",
    "Dupont",
    "Lambert",
    "Traoré",
    "Girard",
    "Andersson",
    "Rossi",
    "Schmidt",
    "Kowalski",
    "Da Silva",
    "Haddad",
];

/// One customer of the bank.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Customer {
    /// `CUST-000042`.
    pub id: String,
    /// First and last name.
    pub name: String,
    /// An IBAN-like account number of 27 characters.
    pub account: String,
    /// The currency the account is kept in.
    pub currency: Currency,
}

impl Customer {
    /// Customer `number` of that seed. Four of five keep their account in the first currency, the rest share the
    /// others.
    pub fn of(seed: u64, number: u64, currencies: &[Currency]) -> Self {
        let mut draws = Draws::new(seed, super::CUSTOMERS, number);
        let name = format!("{} {}", draws.one_of(&FIRST_NAMES), draws.one_of(&LAST_NAMES));
        let account = account(&mut draws);
        let currency = draw_currency(currencies, &mut draws);
        Self { id: id(number), name, account, currency }
    }
}

pub(super) fn id(number: u64) -> String {
    format!("CUST-{number:06}")
}

/// The first currency in four of five draws, else one of the others.
pub(super) fn draw_currency(currencies: &[Currency], draws: &mut Draws) -> Currency {
    let others = currencies.get(1..).unwrap_or_default();
    if others.is_empty() || draws.below(5) < 4 { currencies[0] } else { *draws.one_of(others) }
}

/// `FR76`, bank, branch, account and key: the form of an IBAN, its check digits not computed.
pub(super) fn account(draws: &mut Draws) -> String {
    let bank = draws.one_of(&["3000100012", "3000400031", "1027800010", "1820600280", "2004101005"]);
    format!("FR76{bank}{:011}{:02}", draws.below(100_000_000_000), draws.between(1, 97))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_is_the_same_each_time_it_is_asked_for() {
        let currencies = ["EUR".parse().unwrap(), "JPY".parse().unwrap()];
        assert_eq!(Customer::of(1, 42, &currencies), Customer::of(1, 42, &currencies));
        assert_ne!(Customer::of(1, 42, &currencies).account, Customer::of(2, 42, &currencies).account);
        assert_eq!(Customer::of(1, 42, &currencies).account.len(), 27);
    }

    #[test]
    fn most_customers_keep_the_first_currency() {
        let currencies = ["EUR".parse().unwrap(), "JPY".parse().unwrap(), "KWD".parse().unwrap()];
        let euro = (0..1_000).filter(|number| Customer::of(9, *number, &currencies).currency.code == "EUR").count();
        assert!((750..850).contains(&euro), "{euro}");
    }
}
