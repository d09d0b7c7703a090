//! Lets the binaries, tests and doc tests of this package find libtorch at run time, without LD_LIBRARY_PATH.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
        println!("cargo::metadata=libtorch_lib={lib}"); // for the packages that depend on this one
    }
}
