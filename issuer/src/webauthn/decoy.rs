//! Decoys: takes an address nobody owns, gives the passkeys it seems to have.
//!
//! **Invariant:** the same address has the same decoys each time, and without the key nobody can tell them
//! from the random ids of real passkeys.

use super::ceremony::Descriptor;
use crate::secret::Secrets;

/// One or two passkeys of `address`, in the shapes that common authenticators make.
pub(super) fn of(secrets: &Secrets, address: &str) -> Vec<Descriptor> {
    let shape = secrets.decoy(address.as_bytes(), 0);
    let [number, first, second, ..] = shape.as_ref() else {
        return Vec::new();
    };
    // One passkey is commoner than two.
    let shapes = [Some(first), Some(second).filter(|_| number % 4 == 0)];
    let mut decoys = Vec::new();
    for (place, shape) in (1..).zip(shapes.into_iter().flatten()) {
        let (length, transports) = SHAPES[usize::from(*shape) % SHAPES.len()];
        let bytes = secrets.decoy(address.as_bytes(), place);
        decoys.push(Descriptor {
            credential_id: bytes.as_ref().iter().copied().take(length).collect(),
            transports: super::words(transports),
        });
    }
    decoys
}

/// Length and transports of platform and password-manager passkeys, the commonest twice.
const SHAPES: [(usize, &str); 4] = [
    (20, "internal hybrid"),
    (16, "internal hybrid"),
    (32, "internal"),
    (32, "internal hybrid"),
];
