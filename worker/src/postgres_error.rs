//! What can go wrong between a worker and PostgreSQL: a bounded number of kinds, each with what to do.

use std::{error::Error as _, time::Duration};

use tokio_postgres::error::SqlState;

/// A failed call. `detail` has the driver's or the server's own words: never a password, and nothing of a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DatabaseError {
    #[error("PostgreSQL at {place} cannot be reached ({detail}): check host, port and network")]
    Unreachable {
        /// Host and port.
        place: String,
        detail: String,
    },
    #[error("PostgreSQL at {place} refused the login ({detail}): check user, password and database in the URL")]
    Login { place: String, detail: String },
    /// The server's certificate, or a server without one.
    #[error(
        "the TLS handshake with PostgreSQL at {place} failed ({detail}): check the authority and the host's name; \
         sslmode=disable in the URL does without encryption"
    )]
    Tls { place: String, detail: String },
    #[error("PostgreSQL does not allow this user what the store needs ({detail}): grant it")]
    Rights { detail: String },
    #[error("the connection to PostgreSQL was lost ({detail})")]
    Lost { detail: String },
    /// Not a fault of the database: the balances that were being read are no longer this assignment's.
    #[error("the partition moved while its balances were read from PostgreSQL ({detail})")]
    PartitionMoved { detail: &'static str },
    #[error("PostgreSQL did not answer within {0:?}")]
    Late(Duration),
    #[error("PostgreSQL refused a statement (SQLSTATE {code}): {detail}")]
    Refused { code: String, detail: String },
    /// Ids could not be kept as they are.
    #[error("the database is encoded in {found}, the store needs UTF8: create another database")]
    Encoding { found: String },
    #[error(
        "the schema balancefleet has version {found}, this release knows {known}: run the release that made it, or use \
         another database"
    )]
    NewerSchema { found: i32, known: i32 },
}

impl DatabaseError {
    /// A bounded name for logs.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "DatabaseUnreachable",
            Self::Login { .. } => "DatabaseLogin",
            Self::Tls { .. } => "DatabaseTls",
            Self::Rights { .. } => "DatabaseRights",
            Self::Lost { .. } => "DatabaseConnectionLost",
            Self::PartitionMoved { .. } => "DatabasePartitionMoved",
            Self::Late(_) => "DatabaseLate",
            Self::Refused { .. } => "DatabaseRefused",
            Self::Encoding { .. } => "DatabaseEncoding",
            Self::NewerSchema { .. } => "DatabaseNewerSchema",
        }
    }

    /// Whether waiting is in vain.
    pub(crate) const fn is_permanent(&self) -> bool {
        matches!(self, Self::Encoding { .. } | Self::NewerSchema { .. })
    }

    /// Whether the same is likely to succeed a little later, without anybody's help.
    pub(crate) const fn is_transient(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::PartitionMoved { .. } | Self::Late(_))
    }

    /// Whether nothing more can be asked on the same connection.
    pub(crate) const fn ends_session(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::PartitionMoved { .. } | Self::Late(_))
    }

    /// Why no connection came about with `place`.
    pub(crate) fn of_connecting(error: &tokio_postgres::Error, place: &str) -> Self {
        let (place, detail) = (place.to_owned(), words(error));
        match error.as_db_error().map(tokio_postgres::error::DbError::code) {
            Some(code) if [SqlState::INVALID_CATALOG_NAME, SqlState::INSUFFICIENT_PRIVILEGE].contains(code) => {
                Self::Login { place, detail }
            }
            Some(code) if code.code().starts_with("28") => Self::Login { place, detail },
            // The driver tells these kinds by their words alone.
            None if detail.starts_with("error performing TLS") => Self::Tls { place, detail },
            None if detail.starts_with("authentication error") || detail.starts_with("invalid configuration") => {
                Self::Login { place, detail }
            }
            _ => Self::Unreachable { place, detail },
        }
    }
}

impl From<tokio_postgres::Error> for DatabaseError {
    fn from(error: tokio_postgres::Error) -> Self {
        let detail = words(&error);
        match error.code() {
            Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => Self::Rights { detail },
            // The server said why it closes the connection.
            Some(code) if code.code().starts_with("57P") || code.code().starts_with("08") => Self::Lost { detail },
            Some(code) => Self::Refused { code: code.code().to_owned(), detail },
            None => Self::Lost { detail },
        }
    }
}

/// The server's sentence without its details, which may quote a row; else what the driver and the system say.
fn words(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(refusal), _) => refusal.message().to_owned(),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}
