//! Lets the binaries, tests and doc tests of this package find libtorch at run time, without LD_LIBRARY_PATH, and compiles
//! what tch lacks for GPUs where libtorch has CUDA.

use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(cuda)");
    let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") else { return };
    println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
    println!("cargo::metadata=libtorch_lib={lib}"); // for the packages that depend on this one
    let lib = PathBuf::from(lib);
    if lib.join("libtorch_cuda.so").exists() {
        compile_cuda(&lib);
    }
}

fn compile_cuda(lib: &Path) {
    println!("cargo::rerun-if-changed=src/cuda/native.cpp");
    println!("cargo::rerun-if-env-changed=CUDA_HOME");
    let Some(cuda) = cuda_headers(lib) else {
        println!(
            "cargo::error=libtorch in {} has CUDA, but the headers of its runtime (cuda_runtime_api.h and \
             crt/host_defines.h) are not beside it; run `scripts/libtorch.sh --cuda`, which gets both, or `pip install \
             nvidia-cuda-runtime==13.0.* nvidia-cuda-crt==13.0.*` where that libtorch comes from pip, or set CUDA_HOME",
            lib.display()
        );
        return;
    };
    let torch = lib.with_file_name("include");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false) // those of libtorch's headers
        .include(&torch)
        .include(torch.join("torch/csrc/api/include"))
        .include(cuda)
        .file("src/cuda/native.cpp")
        .compile("rlvr_cuda");
    println!("cargo::rustc-link-lib=c10_cuda");
    println!("cargo::rustc-cfg=cuda");
}

/// Finds the headers of the CUDA runtime: in CUDA_HOME, in the packages of pip beside libtorch, or where toolkits go.
fn cuda_headers(lib: &Path) -> Option<PathBuf> {
    let packages = lib.canonicalize().ok()?.join("../../nvidia");
    let home = std::env::var("CUDA_HOME").ok().map(|home| Path::new(&home).join("include"));
    let places = [packages.join("cu13/include"), PathBuf::from("/usr/local/cuda/include")];
    let is_whole =
        |folder: &PathBuf| ["cuda_runtime_api.h", "crt/host_defines.h"].iter().all(|h| folder.join(h).exists());
    home.into_iter().chain(places).find(is_whole)
}
