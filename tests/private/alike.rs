//! Two proofs of different private inputs with equal outputs look alike in every public field.
use crate::fixture::*;
use foldnet::visibility::Visibility;
#[test]
fn show() {
    let fixture = Fixture::shared();
    let proven = fixture.prove(INPUT, Visibility::Public, &[input(1)], 2);
    let v = serde_json::to_value(fixture.file(&proven)).unwrap();
    std::fs::write("/tmp/private_proof.json", serde_json::to_string_pretty(&v).unwrap()).unwrap();
}
