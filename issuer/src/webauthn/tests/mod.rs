//! What no route reaches yet, and the shared corpus.

mod rows;
mod vectors;
