use super::{MAX_WITNESSED, Witnessed};
use crate::algorithm::Algorithm;
use crate::key::{JwkSet, PublicKey, VerificationKey};
use crate::signature::CryptoBackend;

fn set(kids: impl IntoIterator<Item = String>, material: u8) -> JwkSet {
    let mut set = JwkSet::default();
    for kid in kids {
        let mut n = vec![0xff; 256];
        n[1] = material;
        let public = PublicKey::Rsa {
            n,
            e: vec![1, 0, 1],
        };
        let backend = CryptoBackend::default();
        set.admit(VerificationKey::bind(Some(kid), Algorithm::RS256, public, backend).unwrap());
    }
    set
}

#[test]
fn an_issuer_of_endless_kids_is_remembered_in_part_and_its_dead_keys_whole() {
    let mut witnessed = Witnessed::default();
    let of = |name: &str| [name.to_owned()];
    witnessed.condemn(&mut set(of("dead"), 0));
    assert_eq!(witnessed.condemn(&mut set(of("dead"), 1)), ["dead"]);
    for round in 0..40 {
        witnessed.condemn(&mut set((0..100).map(|kid| format!("{round}-{kid}")), 0));
    }
    assert_eq!(witnessed.by_kid.len(), MAX_WITNESSED);
    assert_eq!(witnessed.order.len(), MAX_WITNESSED);
    let mut back = set(of("dead"), 0);
    assert!(
        witnessed.condemn(&mut back).is_empty(),
        "one alarm for one death"
    );
    assert!(back.is_empty());
}
