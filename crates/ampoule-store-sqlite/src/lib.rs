//! Ampoule sessions in an SQLite file.
