//! Ampoule sessions in memcached, which may evict them.
