//! Ampoule sessions in PostgreSQL.
