//! Reading and writing safetensors files, one tensor in memory at a time.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, Metadata, TensorInfo, View};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use crate::error::PolicyError;

/// The name of an unsharded file.
const SINGLE: &str = "model.safetensors";
/// The name of the index of shards.
const INDEX: &str = "model.safetensors.index.json";
/// Bytes beyond which a model is written in shards, as transformers does.
const SHARD_BYTES: usize = 5_000_000_000;

/// The weight files of a folder.
#[derive(Debug)]
pub struct TensorFiles {
    folder: PathBuf,
    shards: Vec<Shard>,
    /// For each tensor its shard; what has been read is removed.
    unread: BTreeMap<String, usize>,
}

#[derive(Debug)]
struct Shard {
    path: PathBuf,
    file: File,
    metadata: Metadata,
    /// Where the tensors begin.
    data_start: u64,
}

impl TensorFiles {
    /// Opens the single file or all shards of a folder and checks that none is cut short.
    pub(crate) fn open(folder: &Path) -> Result<Self, PolicyError> {
        let mut shards = vec![];
        let mut unread = BTreeMap::new();
        for path in shard_paths(folder)? {
            let shard = Shard::open(&path)?;
            for name in shard.metadata.tensors().into_keys() {
                if unread.insert(name.clone(), shards.len()).is_some() {
                    return Err(PolicyError::weights(&path, format!("the tensor `{name}` stands in two files")));
                }
            }
            shards.push(shard);
        }
        Ok(Self { folder: folder.to_owned(), shards, unread })
    }

    /// Opens one safetensors file.
    ///
    /// # Errors
    ///
    /// If it is missing or damaged.
    pub fn open_file(path: &Path) -> Result<Self, PolicyError> {
        let shard = Shard::open(path)?;
        let unread = shard.metadata.tensors().into_keys().map(|name| (name, 0)).collect();
        Ok(Self { folder: path.to_owned(), shards: vec![shard], unread })
    }

    /// Reads a tensor into float32; its shape must be the one given.
    ///
    /// # Errors
    ///
    /// If there is no such tensor, or if it has another shape.
    pub fn read(&mut self, name: &str, shape: &[i64], device: Device) -> Result<Tensor, PolicyError> {
        let Some(shard) = self.unread.remove(name) else {
            let why = format!("the tensor `{name}` is missing; it should have the shape {shape:?}");
            return Err(PolicyError::weights(&self.folder, why));
        };
        self.shards[shard].read(name, shape, device)
    }

    /// Refuses tensors that nobody asked for, which mean that the model is not what its config says.
    pub(crate) fn refuse_leftovers(&self, is_harmless: impl Fn(&str) -> bool) -> Result<(), PolicyError> {
        let strange: Vec<&str> = self.unread.keys().map(String::as_str).filter(|name| !is_harmless(name)).collect();
        match strange.as_slice() {
            [] => Ok(()),
            [first, ..] => {
                let n = strange.len();
                let why =
                    format!("the tensor `{first}` ({n} in all) has no place in the model that config.json describes");
                Err(PolicyError::weights(&self.folder, why))
            }
        }
    }
}

/// Returns the files to read, sorted.
fn shard_paths(folder: &Path) -> Result<Vec<PathBuf>, PolicyError> {
    let index = folder.join(INDEX);
    if !index.exists() {
        let single = folder.join(SINGLE);
        if single.exists() {
            return Ok(vec![single]);
        }
        let why =
            format!("there is neither `{SINGLE}` nor `{INDEX}`; other formats can be converted with transformers");
        return Err(PolicyError::weights(folder, why));
    }
    let text = std::fs::read_to_string(&index).map_err(PolicyError::io(&index))?;
    let json: Value =
        serde_json::from_str(&text).map_err(|e| PolicyError::weights(&index, format!("not JSON: {e}")))?;
    let map = json["weight_map"].as_object().ok_or_else(|| PolicyError::weights(&index, "there is no `weight_map`"))?;
    let mut names: Vec<&str> = map.values().filter_map(Value::as_str).collect();
    names.sort_unstable();
    names.dedup();
    for name in &names {
        if Path::new(name).components().count() != 1 || !folder.join(name).exists() {
            return Err(PolicyError::weights(&index, format!("the shard `{name}` is missing in the folder")));
        }
    }
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

impl Shard {
    fn open(path: &Path) -> Result<Self, PolicyError> {
        let mut file = File::open(path).map_err(PolicyError::io(path))?;
        let length = file.metadata().map_err(PolicyError::io(path))?.len();
        let damaged = |why: String| PolicyError::weights(path, format!("{why}; the file is damaged, fetch it again"));

        let mut prefix = [0; 8];
        file.read_exact(&mut prefix).map_err(|_| damaged(format!("it has {length} bytes, too few for a header")))?;
        let header_length = u64::from_le_bytes(prefix);
        if header_length > length - 8 {
            return Err(damaged(format!("its header claims {header_length} bytes, but the file has {length}")));
        }
        let mut header = vec![0; header_length as usize];
        file.read_exact(&mut header).map_err(PolicyError::io(path))?;
        let metadata: Metadata = serde_json::from_slice(&header).map_err(|error| damaged(error.to_string()))?;
        let data_start = 8 + header_length;
        let expected = data_start + metadata.data_len() as u64;
        if expected != length {
            return Err(damaged(format!("it should have {expected} bytes, but has {length}")));
        }
        Ok(Self { path: path.to_owned(), file, metadata, data_start })
    }

    fn read(&mut self, name: &str, shape: &[i64], device: Device) -> Result<Tensor, PolicyError> {
        let TensorInfo { dtype, shape: found, data_offsets: (start, end) } =
            self.metadata.info(name).expect("the name came from this header");
        let refuse = |why: String| Err(PolicyError::weights(&self.path, format!("the tensor `{name}` {why}")));
        let kind = match dtype {
            Dtype::BF16 => Kind::BFloat16,
            Dtype::F16 => Kind::Half,
            Dtype::F32 => Kind::Float,
            Dtype::F64 => Kind::Double,
            other => return refuse(format!("is {other:?}; bf16, f16 and f32 can be read")),
        };
        let found: Vec<i64> = found.iter().map(|&size| size as i64).collect();
        if found != shape {
            return refuse(format!("has the shape {found:?}, but should have {shape:?}"));
        }
        let mut bytes = vec![0; end - start];
        self.file
            .seek(SeekFrom::Start(self.data_start + *start as u64))
            .and_then(|_| self.file.read_exact(&mut bytes))
            .map_err(PolicyError::io(&self.path))?;
        Ok(Tensor::from_data_size(&bytes, shape, kind).to_device(device).to_kind(Kind::Float))
    }
}

/// A tensor on its way into a file; its bytes are made when they are written.
struct Outgoing<'a> {
    tensor: &'a Tensor,
    shape: Vec<usize>,
}

impl<'a> Outgoing<'a> {
    fn new(tensor: &'a Tensor) -> Self {
        Self { tensor, shape: tensor.size().into_iter().map(|size| size as usize).collect() }
    }
}

impl View for Outgoing<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let tensor = self.tensor.to_device(Device::Cpu).to_kind(Kind::Float).contiguous();
        let mut bytes = vec![0; self.data_len()];
        tensor.copy_data_u8(&mut bytes, tensor.numel());
        Cow::Owned(bytes)
    }

    fn data_len(&self) -> usize {
        self.tensor.numel() * 4
    }
}

/// Writes tensors as `model.safetensors`, or as shards with an index if they are many.
pub(crate) fn write_folder(folder: &Path, tensors: &[(String, Tensor)]) -> Result<(), PolicyError> {
    let shards = cut_into_shards(tensors);
    if let [all] = shards.as_slice() {
        return write_file(&folder.join(SINGLE), all);
    }
    let mut weight_map = serde_json::Map::new();
    for (i, shard) in shards.iter().enumerate() {
        let name = format!("model-{:05}-of-{:05}.safetensors", i + 1, shards.len());
        write_file(&folder.join(&name), shard)?;
        weight_map.extend(shard.iter().map(|(tensor, _)| (tensor.clone(), Value::from(name.clone()))));
    }
    let total: usize = tensors.iter().map(|(_, tensor)| tensor.numel() * 4).sum();
    let index = serde_json::json!({"metadata": {"total_size": total}, "weight_map": weight_map});
    let path = folder.join(INDEX);
    std::fs::write(&path, format!("{index:#}\n")).map_err(PolicyError::io(&path))
}

fn cut_into_shards(tensors: &[(String, Tensor)]) -> Vec<&[(String, Tensor)]> {
    let mut shards = vec![];
    let (mut start, mut bytes) = (0, 0);
    for (i, (_, tensor)) in tensors.iter().enumerate() {
        let more = tensor.numel() * 4;
        if i > start && bytes + more > SHARD_BYTES {
            shards.push(&tensors[start..i]);
            (start, bytes) = (i, 0);
        }
        bytes += more;
    }
    shards.push(&tensors[start..]);
    shards
}

/// Writes named tensors into one safetensors file, in float32.
///
/// # Errors
///
/// If the file cannot be written.
pub fn write_file(path: &Path, tensors: &[(String, Tensor)]) -> Result<(), PolicyError> {
    let views = tensors.iter().map(|(name, tensor)| (name.as_str(), Outgoing::new(tensor)));
    let about = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(views, Some(about), path).map_err(|error| match error {
        safetensors::SafeTensorError::IoError(source) => PolicyError::Io { path: path.to_owned(), source },
        other => PolicyError::weights(path, other.to_string()),
    })
}
