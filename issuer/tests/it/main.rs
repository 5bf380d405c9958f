//! The issuer through its public interface, on SQLite and on Postgres.
