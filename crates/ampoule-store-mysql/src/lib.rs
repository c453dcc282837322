//! Ampoule sessions in MySQL or MariaDB.
