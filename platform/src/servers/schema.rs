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
