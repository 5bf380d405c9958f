//! The bound on memory, which no caller can see.

use std::io::BufReader;

use super::{MAX_LINE, next_line};

#[test]
fn a_line_without_end_is_kept_to_the_bound() {
    let endless = std::io::Read::take(std::io::repeat(b'A'), 64 * 1024 * 1024);
    let mut input = BufReader::new(std::io::Read::chain(endless, b"\nnext".as_slice()));
    let mut line = Vec::new();
    assert_eq!(
        next_line(&mut input, &mut line).expect("it reads"),
        Some(false)
    );
    assert_eq!(line.len(), MAX_LINE);
    assert!(line.capacity() <= 2 * MAX_LINE);
    assert_eq!(
        next_line(&mut input, &mut line).expect("it reads"),
        Some(true)
    );
    assert_eq!(line, b"next");
    assert_eq!(next_line(&mut input, &mut line).expect("it reads"), None);
}

#[test]
fn a_line_of_the_bound_is_whole() {
    let text = [vec![b'A'; MAX_LINE], b"\n".to_vec()].concat();
    let mut line = Vec::new();
    let is_whole = next_line(&mut text.as_slice(), &mut line).expect("it reads");
    assert_eq!((is_whole, line.len()), (Some(true), MAX_LINE));
}
