//! What an attacker sends, byte by byte, over a connection of HTTP/1.
