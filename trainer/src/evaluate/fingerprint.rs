//! Which weights: a hash that tells models apart without reading all of them.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::Context;
use sha2::{Digest, Sha256};

/// Bytes read at either end of a file.
const ENDS: u64 = 1 << 20;

/// Hashes the names, the sizes and both ends of the files of a model folder; the state of a run in it is left out.
///
/// # Errors
///
/// If the folder cannot be read.
pub fn of_model(folder: &Path) -> anyhow::Result<String> {
    let read = || -> std::io::Result<String> {
        let mut files: Vec<PathBuf> = vec![];
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_model = name.ends_with(".safetensors") || name.ends_with(".json");
            if is_model && !["optimizer.safetensors", "state.json", "checksums.json"].contains(&name.as_str()) {
                files.push(path);
            }
        }
        files.sort();
        let mut hash = Sha256::new();
        for path in files {
            hash_ends(&path, &mut hash)?;
        }
        Ok(hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    };
    read().with_context(|| format!("model `{}` cannot be read", folder.display()))
}

fn hash_ends(path: &Path, hash: &mut Sha256) -> std::io::Result<()> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    hash.update(path.file_name().unwrap_or_default().as_encoded_bytes());
    hash.update(size.to_le_bytes());
    let mut bytes = vec![];
    Read::by_ref(&mut file).take(ENDS).read_to_end(&mut bytes)?;
    if size > ENDS {
        file.seek(SeekFrom::Start((size - ENDS).max(ENDS)))?;
        file.read_to_end(&mut bytes)?;
    }
    hash.update(&bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_byte_is_another_model_and_a_changed_state_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let weights = folder.path().join("model.safetensors");
        std::fs::write(&weights, vec![7; 3_000_000]).unwrap();
        let first = of_model(folder.path()).unwrap();
        std::fs::write(folder.path().join("state.json"), "{}").unwrap();
        assert_eq!(of_model(folder.path()).unwrap(), first);
        let mut bytes = vec![7; 3_000_000];
        bytes[2_999_999] = 8;
        std::fs::write(&weights, bytes).unwrap();
        assert_ne!(of_model(folder.path()).unwrap(), first);
        assert!(of_model(&folder.path().join("nowhere")).is_err());
    }
}
