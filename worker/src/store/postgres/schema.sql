CREATE TABLE balancefleet.version (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version integer NOT NULL
);

-- How far a partition has come, and who may go on with it. base_offset is the ledger's start offset; torn withholds the
-- partition from readers.
CREATE TABLE balancefleet.part (
    group_id text COLLATE "C" NOT NULL,
    topic text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    topic_id text NOT NULL,
    base_offset bigint NOT NULL,
    next_offset bigint NOT NULL,
    leader_epoch integer,
    rules text NOT NULL,
    customers bigint NOT NULL,
    checksum text NOT NULL,
    torn boolean NOT NULL DEFAULT false,
    generation integer NOT NULL,
    epoch bigint NOT NULL,
    owner text NOT NULL,
    touched timestamptz NOT NULL DEFAULT clock_timestamp(),
    rule_details text,
    PRIMARY KEY (group_id, topic, partition)
) WITH (fillfactor = 50);

-- What the records of a partition say about a customer, one row per currency; all but amount and place is the customer's.
-- place is the index of the currency among the customer's, which keeps their order.
CREATE TABLE balancefleet.bal (
    group_id text COLLATE "C" NOT NULL,
    topic text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    customer text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    place smallint NOT NULL,
    minor_units numeric(39, 0) NOT NULL,
    count bigint NOT NULL,
    last_transaction_id text COLLATE "C" NOT NULL,
    updated_second bigint NOT NULL,
    updated_nanosecond integer NOT NULL,
    last_offset bigint NOT NULL,
    PRIMARY KEY (group_id, topic, partition, customer, currency)
) WITH (fillfactor = 70);

-- Records that could not be applied, as they came.
CREATE TABLE balancefleet.dead_letter (
    group_id text COLLATE "C" NOT NULL,
    topic text COLLATE "C" NOT NULL,
    topic_id text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    category text NOT NULL,
    message text NOT NULL,
    key bytea,
    value bytea,
    header_names text[] NOT NULL,
    header_values bytea[] NOT NULL,
    written timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (group_id, topic, topic_id, partition, record_offset)
);

INSERT INTO balancefleet.version (version) VALUES (1);
