-- Values of business curves; numbers are kept as text.
CREATE TABLE curve_points (
    curve TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (curve, at_ms)
);
CREATE INDEX curve_points_by_age ON curve_points (at_ms);
