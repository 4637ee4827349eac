//! Cached Groth16 keys and circuits under the name of another circuit.

use crate::fixture::*;
use bellpepper_core::{ConstraintSystem, SynthesisError};
use foldnet::decider::error::DeciderError;
use foldnet::decider::groth16::Decider;
use foldnet::decider::keys::Groth16Cache;
use foldnet::decider::statement::StatementShape;
use foldnet::progress::Silent;
use foldnet_compress::groth16::{Circuit, ProvingKey, Shape};
use foldnet_layers::graph::Graph;
use halo2curves::bn256::Fr;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

/// `x^2 = y` with public `y`.
struct Square;

impl Circuit for Square {
    fn synthesize<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS) -> Result<(), SynthesisError> {
        let x = cs.alloc(|| "x", || Ok(Fr::from(3)))?;
        let y = cs.alloc_input(|| "y", || Ok(Fr::from(9)))?;
        cs.enforce(|| "square", |lc| lc + x, |lc| lc + x, |lc| lc + y);
        Ok(())
    }
}

fn refused<T: Debug>(result: Result<T, DeciderError>, file: &Path, names: [&str; 2]) {
    let error = result.unwrap_err();
    let message = error.to_string();
    let DeciderError::Misnamed {
        path,
        expected,
        got,
    } = error
    else {
        panic!("a file under a wrong name, got {message}")
    };
    assert_eq!(path, file);
    assert_eq!([expected.as_str(), got.as_str()], names, "{message}");
}

/// Names are whole digests, and files say what they are: one under the name of another is refused.
#[test]
fn files_under_a_wrong_name_are_refused() {
    let networks = Networks::shared();
    let folder = tempfile::tempdir().unwrap();
    let decider = networks.decider();
    let cache = Groth16Cache::new(&decider, Some(folder.path()));
    let path = |cache: &Groth16Cache<'_>, part: &str| -> PathBuf { cache.path(part).unwrap() };
    let digest = |cache: &Groth16Cache<'_>| -> String {
        let name = path(cache, "name");
        let stem = name.file_stem().unwrap().to_str().unwrap();
        stem.strip_prefix("groth16-").unwrap().to_owned()
    };
    assert_eq!(digest(&cache).len(), 64);
    let circuit = cache.circuit(&decider).unwrap();
    assert_eq!(cache.circuit(&decider).unwrap(), circuit);
    assert!(cache.verifying(&decider).unwrap().is_none());

    // The name of this circuit in the place of that of proofs about two inferences.
    let two = Decider::<'_, Graph<Fr>> {
        statement: StatementShape::new(networks.session.architecture(), 2),
        ..networks.decider()
    };
    let other = Groth16Cache::new(&two, Some(folder.path()));
    fs::copy(path(&cache, "name"), path(&other, "name")).unwrap();
    let names = [digest(&other), digest(&cache)];
    let names = names.each_ref().map(String::as_str);
    refused(other.circuit(&two), &path(&other, "name"), names);

    let toy = Shape::of(&Square).unwrap();
    let key = ProvingKey::development(&toy, &mut rng(41)).unwrap();
    let foreign = toy.digest().to_string();
    let names = [circuit.as_str(), &foreign];
    toy.save(&path(&cache, "circuit")).unwrap();
    refused(cache.shape(&decider), &path(&cache, "circuit"), names);
    key.verifying_key()
        .save(&path(&cache, "verifying"))
        .unwrap();
    refused(cache.verifying(&decider), &path(&cache, "verifying"), names);
    fs::remove_file(path(&cache, "circuit")).unwrap();
    key.save(&path(&cache, "proving")).unwrap();
    let keys = cache.load_or_create(&decider, &mut Silent, &mut rng(42));
    refused(keys, &path(&cache, "proving"), names);
}
