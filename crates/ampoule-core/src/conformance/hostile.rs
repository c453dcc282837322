//! Unusual keys and values.

use bytes::Bytes;

use super::Subject;
use crate::key::StoreKey;

pub(super) async fn any_key_is_accepted(subject: Subject) {
    let mut last_bit = [0; 32];
    last_bit[31] = 1;
    let mut first_bit = [0; 32];
    first_bit[0] = 0x80;
    let text = *b"../../../../etc/passwd\0\r\n'\";--%s";
    let keys = [[0; 32], [0xff; 32], last_bit, first_bit, text].map(StoreKey::new);
    for (index, key) in keys.iter().enumerate() {
        subject.always(*key, subject.entry(vec![index as u8])).await;
    }
    for (index, key) in keys.iter().enumerate() {
        assert_eq!(subject.value(*key).await.as_deref(), Some(&[index as u8][..]), "{key:?}");
        assert!(subject.delete(*key).await);
    }
}

pub(super) async fn any_value_is_read_back_unchanged(subject: Subject) {
    let largest = Bytes::from_iter((0..subject.max_value).map(|at| ((at * 31) >> 3) as u8));
    let values = [
        Bytes::new(),
        Bytes::from_static(b"\0"),
        Bytes::from_static(b"\r\n"),
        Bytes::from_static(b"\xff\xfe\xc0\x80"),
        Bytes::from_static(b"'); DROP TABLE sessions; --"),
        Bytes::from_static("\u{1f36a}\u{202e}".as_bytes()),
        largest,
    ];
    let key = super::fresh_key();
    for value in values {
        subject.always(key, subject.entry(value.clone())).await;
        assert!(subject.value(key).await == Some(value.clone()), "a value of {} bytes came back changed", value.len());
    }
    subject.delete(key).await;
}
