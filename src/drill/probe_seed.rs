//! What the databases of the sandbox hold: a small shop, the same one every time, its times counted
//! back from now.

/// Rows and ages of one seeded database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shop {
    pub orders: u32,
    /// Seconds between now and the newest order.
    pub newest_seconds: u64,
}

/// The statements that make and fill it.
///
/// Values are spread by a multiplicative hash of the row's number, so that two runs hold the same
/// rows; orders lie ninety seconds apart, the newest first by age.
pub fn statements(shop: &Shop) -> String {
    let (orders, newest) = (shop.orders, shop.newest_seconds);
    let customers = (orders / 12).max(1);
    format!(
        "\
CREATE TABLE customers (
    id bigint PRIMARY KEY,
    email text NOT NULL UNIQUE,
    country char(2) NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers (id),
    status text NOT NULL,
    total numeric(12, 2) NOT NULL CHECK (total > 0),
    created_at timestamptz NOT NULL
);
CREATE TABLE order_lines (
    order_id bigint NOT NULL REFERENCES orders (id),
    line int NOT NULL,
    sku text NOT NULL,
    quantity int NOT NULL,
    price numeric(10, 2) NOT NULL,
    PRIMARY KEY (order_id, line)
);
INSERT INTO customers
SELECT i, 'customer-' || i || '@example.com',
       (ARRAY['DE', 'FR', 'GB', 'IE', 'NL', 'PL'])[1 + (i * 2654435761 % 4294967296) % 6],
       now() - interval '{newest} seconds' - ((i * 2654435761 % 4294967296) % 31536000) * interval '1 second'
FROM generate_series(1::bigint, {customers}) AS i;
INSERT INTO orders
SELECT i, 1 + (i * 2654435761 % 4294967296) % {customers},
       (ARRAY['paid', 'paid', 'paid', 'shipped', 'shipped', 'refunded'])[1 + (i * 40503 % 65536) % 6],
       1 + (i * 2654435761 % 4294967296) % 25000 / 100.0,
       now() - interval '{newest} seconds' - ({orders} - i) * interval '90 seconds'
FROM generate_series(1::bigint, {orders}) AS i;
INSERT INTO order_lines
SELECT o.id, l, 'SKU-' || (o.id * 31 + l) % 997, 1 + (o.id + l) % 4, round(o.total / 2, 2)
FROM orders AS o, generate_series(1, 2) AS l;
CREATE INDEX ON orders (created_at);
ANALYZE;
"
    )
}
