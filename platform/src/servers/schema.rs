//! Tables and first rows of every database.

use anyhow::{Result, bail};

/// The statements that make one database ready for its service.
pub(super) fn of(database: &str) -> Result<&'static str> {
    Ok(match database {
        "store" => {
            "CREATE TABLE stores (id BIGINT PRIMARY KEY, name VARCHAR(80) NOT NULL, open BOOLEAN NOT NULL);
             INSERT INTO stores SELECT seq, CONCAT('Store ', seq), TRUE FROM seq_1_to_20;"
        }
        "member" => {
            "CREATE TABLE members (id BIGINT PRIMARY KEY, name VARCHAR(80) NOT NULL, points BIGINT NOT NULL);
             INSERT INTO members SELECT seq, CONCAT('Member ', seq), 0 FROM seq_1_to_1000;"
        }
        "product" => {
            "CREATE TABLE products (id BIGINT PRIMARY KEY, name VARCHAR(80) NOT NULL, price_fen BIGINT NOT NULL);
             INSERT INTO products SELECT seq, CONCAT('Coffee ', seq), 900 + seq * 50 FROM seq_1_to_60;"
        }
        "coupon" => {
            "CREATE TABLE campaigns (id BIGINT PRIMARY KEY, name VARCHAR(80) NOT NULL, stock BIGINT NOT NULL,
                 left_over BIGINT NOT NULL);
             CREATE TABLE coupons (campaign_id BIGINT NOT NULL, member_id BIGINT NOT NULL,
                 claimed_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (campaign_id, member_id),
                 KEY (member_id));
             INSERT INTO campaigns SELECT seq, CONCAT('Campaign ', seq), 1000000, 1000000 FROM seq_1_to_3;"
        }
        "notification" => {
            "CREATE TABLE notifications (id BIGINT AUTO_INCREMENT PRIMARY KEY, member_id BIGINT NOT NULL,
                 words VARCHAR(200) NOT NULL, at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, KEY (member_id));"
        }
        "oms" => {
            "CREATE TABLE orders (id BIGINT PRIMARY KEY, store_id BIGINT NOT NULL, member_id BIGINT NOT NULL,
                 product_id BIGINT NOT NULL, quantity BIGINT NOT NULL, status VARCHAR(20) NOT NULL,
                 reported BOOLEAN NOT NULL DEFAULT FALSE, pickup_code VARCHAR(20) NULL,
                 at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, KEY (reported, id));"
        }
        "orders" => {
            "CREATE TABLE orders (id BIGINT PRIMARY KEY, request UUID NOT NULL UNIQUE, member_id BIGINT NOT NULL,
                 store_id BIGINT NOT NULL, product_id BIGINT NOT NULL, quantity BIGINT NOT NULL,
                 amount_fen BIGINT NOT NULL, status TEXT NOT NULL, paid BOOLEAN NOT NULL DEFAULT FALSE,
                 pickup_code TEXT, created_at TIMESTAMPTZ NOT NULL DEFAULT now(), ready_at TIMESTAMPTZ);
             CREATE INDEX ON orders (created_at);
             CREATE INDEX ON orders (member_id, id);
             -- The order curve: counted from the table above a minute at a time, so that nobody counts it twice.
             CREATE TABLE order_counts (minute TIMESTAMPTZ PRIMARY KEY, orders BIGINT NOT NULL,
                 generated BOOLEAN NOT NULL DEFAULT FALSE);
             GRANT SELECT ON order_counts TO monitor;
             CREATE TABLE outbox (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, order_id BIGINT NOT NULL,
                 payload TEXT NOT NULL);"
        }
        "payment" => {
            "CREATE TABLE payments (order_id BIGINT PRIMARY KEY, member_id BIGINT NOT NULL,
                 amount_fen BIGINT NOT NULL, paid_at TIMESTAMPTZ NOT NULL DEFAULT now());"
        }
        other => bail!("no tables are known for the database {other}"),
    })
}

/// The table that a service cannot do without, by database; each has a key called as the second word.
pub(crate) fn table_of(database: &str) -> Option<&'static str> {
    key_of(database).map(|(table, _)| table)
}

/// The same with the name of its key.
pub(crate) fn key_of(database: &str) -> Option<(&'static str, &'static str)> {
    Some(match database {
        "store" => ("stores", "id"),
        "member" => ("members", "id"),
        "product" => ("products", "id"),
        "coupon" => ("coupons", "campaign_id"),
        "notification" => ("notifications", "id"),
        "oms" | "orders" => ("orders", "id"),
        "payment" => ("payments", "order_id"),
        _ => return None,
    })
}

/// Eight days of orders a minute for one of the shards, so that the curve has a yesterday and a last week:
/// little at night, a peak of twenty times the mean of the night at noon and a smaller one at six, in China's
/// time, and up to a tenth of noise that is the same in every run. Marked as generated.
pub(super) const HISTORY: &str = "
    INSERT INTO order_counts (minute, orders, generated)
    SELECT minute, round((3 + 60 * exp(-power((hour - 12.3) / 1.4, 2)) + 35 * exp(-power((hour - 18.2) / 1.8, 2))
        + 12 * exp(-power((hour - 8.5) / 1.2, 2))) * (0.95 + 0.1 * (abs(hashtext(minute::text)) % 1000) / 1000.0) / 4), TRUE
    FROM (SELECT minute, EXTRACT(EPOCH FROM (minute AT TIME ZONE 'UTC' + interval '8 hours')::time)::float8 / 3600 AS hour
        FROM generate_series(date_trunc('minute', now()) - interval '8 days',
            date_trunc('minute', now()) - interval '1 minute', interval '1 minute') AS minute) AS minutes";
