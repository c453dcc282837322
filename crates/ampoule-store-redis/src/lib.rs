//! Ampoule sessions in Redis or Valkey: single, Sentinel or Cluster.
