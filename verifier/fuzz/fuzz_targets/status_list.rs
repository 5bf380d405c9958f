#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| queue_verifier::fuzzing::status_list(bytes));
