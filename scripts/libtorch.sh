#!/usr/bin/env bash
# Finds or gets libtorch, and is the only place that does.
#
#   scripts/libtorch.sh [--cpu | --cuda]
#
# Afterwards `.libtorch/` in the root of the repository holds `include/`, `lib/` and `build-version`, and plain cargo
# commands work (`.cargo/config.toml` points there). A good installation is recognised at once and left alone.
#
#   LIBTORCH=DIR             use an unpacked libtorch 2.11.0, or the `torch` folder of an installed PyTorch 2.11.0
#   LIBTORCH_USE_PYTORCH=1   use the PyTorch 2.11.0 of the active python3
#
# Without either, the PyPI wheel of torch 2.11.0 is downloaded. `--cpu`, the default where no NVIDIA driver is found,
# keeps the 450 MB that a CPU needs; `--cuda`, the default where one is, installs the wheel with its CUDA libraries (6 GB).
set -euo pipefail

readonly version=2.11.0
readonly python_tag=312 # of the wheel; libtorch itself does not depend on Python
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root home="$root/.libtorch" work="$root/.libtorch.part"

say() { printf 'libtorch: %s\n' "$*" >&2; }
die() {
  printf 'libtorch: error: %s\n' "$*" >&2
  exit 1
}

# Prints everything that is missing, each with its remedy, before anything is downloaded or built.
check_prerequisites() {
  local missing=()
  if ! command -v cargo >/dev/null 2>&1; then
    missing+=("cargo: install Rust from https://rustup.rs")
  elif ! cargo --version >/dev/null 2>&1; then
    missing+=("a cargo that works: \`cargo --version\` fails; with rustup, run \`rustup default stable\`")
  fi
  command -v "${CXX:-c++}" >/dev/null 2>&1 || command -v g++ >/dev/null 2>&1 || command -v clang++ >/dev/null 2>&1 ||
    missing+=("a C++17 compiler: apt install g++ (Debian, Ubuntu), dnf install gcc-c++ (Fedora), or set CXX")
  if [ "$1" = download ]; then
    if ! command -v python3 >/dev/null 2>&1; then
      missing+=("python3 with pip and venv (only used to download): apt install python3 python3-pip python3-venv")
    elif ! python3 -m pip --version >/dev/null 2>&1 && ! python3 -c 'import venv, ensurepip' >/dev/null 2>&1; then
      missing+=("pip for $(command -v python3): apt install python3-pip python3-venv, or python3 -m ensurepip")
    fi
  fi
  [ ${#missing[@]} -eq 0 ] && return
  printf 'libtorch: error: missing:\n' >&2
  printf '  - %s\n' "${missing[@]}" >&2
  exit 1
}

# version_of DIR: the version of the libtorch in DIR, or nothing.
version_of() {
  if [ -f "$1/build-version" ]; then
    head -n 1 "$1/build-version"
  elif [ -f "$1/version.py" ]; then # the torch folder of an installed PyTorch
    sed -n "s/^__version__ *= *['\"]\([^'\"]*\).*/\1/p" "$1/version.py" | head -n 1
  fi
}

# use_existing DIR WHERE: checks a libtorch that the user named and links to it, unless our own is already there.
use_existing() {
  local dir=$1 found
  [ -e "$dir/lib/libtorch_cpu.so" ] || [ -e "$dir/lib/libtorch_cpu.dylib" ] ||
    die "$2 names $dir, but there is no lib/libtorch_cpu.so in it; name a folder that holds include/ and lib/"
  [ -d "$dir/include/torch" ] ||
    die "$2 names $dir, but there is no include/torch in it; name a folder that holds include/ and lib/"
  found=$(version_of "$dir")
  case $found in
    "$version" | "$version"+*) ;;
    *) die "$2 names $dir, which is version ${found:-unknown}; $version is needed (unset $2 to download it)" ;;
  esac
  if [ ! -e "$home" ] || [ -L "$home" ]; then
    [ "$(readlink "$home" 2>/dev/null)" = "$dir" ] || { ln -sfn "$dir" "$home" && say "using $dir"; }
  fi
}

# is_whole DIR KIND: whether DIR is a finished download of KIND, none of whose files has changed its size.
is_whole() {
  [ -f "$1/manifest" ] && [ "$(head -n 1 "$1/manifest")" = "$version $2" ] || return 1
  [ "$2" = cpu ] || [ -e "$1/site/nvidia/cu13/include/crt/host_defines.h" ] || return 1
  local size path
  while read -r size path; do
    [ "$(stat -Lc %s "$1/$path" 2>/dev/null)" = "$size" ] || return 1
  done < <(tail -n +2 "$1/manifest")
}

# write_manifest DIR KIND: the sizes of all libraries and headers, for is_whole.
write_manifest() {
  {
    printf '%s %s\n' "$version" "$2"
    cd "$1" && find -L lib include -type f \( -name '*.so*' -o -name 'Version.h' -o -name 'version.h' -o -name 'torch.h' \) \
      -printf '%s %p\n' | LC_ALL=C sort -k 2
  } >"$1/manifest.part"
  mv "$1/manifest.part" "$1/manifest"
}

need_space() { # need_space MEGABYTES
  local free
  free=$(df -Pm "$root" | awk 'NR == 2 { print $4 }')
  [ "$free" -ge "$1" ] || die "needs $1 MB in $root, but only $free MB are free"
}

ticker=
start_ticker() {
  (trap 'kill $!; exit' TERM; while sleep 15 & wait $!; do say "  … $(du -sm "$work" 2>/dev/null | cut -f 1) MB so far"; done) &
  ticker=$!
  trap stop_ticker EXIT
}
stop_ticker() {
  [ -z "$ticker" ] || kill "$ticker" 2>/dev/null || true
  ticker=
}

# fetch DIR PACKAGE…: downloads wheels into DIR; pip checks each against the hash of the index.
fetch() {
  local dir=$1 pip=(python3 -m pip) platforms=(--platform manylinux2014_x86_64 --platform manylinux1_x86_64) minor
  shift
  for minor in {5..28}; do # pip matches these tags exactly
    platforms+=(--platform "manylinux_2_${minor}_x86_64")
  done
  if ! python3 -m pip --version >/dev/null 2>&1; then
    [ -x "$work/venv/bin/pip" ] || python3 -m venv "$work/venv"
    pip=("$work/venv/bin/python" -m pip)
  fi
  mkdir -p "$dir" "$work/tmp"
  [ -t 2 ] || start_ticker # pip draws its progress bar on terminals only
  TMPDIR="$work/tmp" "${pip[@]}" download --quiet --progress-bar on --disable-pip-version-check --no-cache-dir \
    --only-binary :all: --implementation cp --python-version "$python_tag" --abi "cp$python_tag" --abi abi3 --abi none \
    "${platforms[@]}" --platform linux_x86_64 --dest "$dir" "$@" >&2 ||
    die "the download failed; check the network (or pip's index settings) and run this again"
  stop_ticker
}

# unpack WHEEL DIR PREFIX…: extracts the members under the prefixes, each checked against the wheel's own RECORD.
unpack() {
  python3 - "$@" <<'PY'
import base64, csv, hashlib, io, os, sys, zipfile

wheel, out, *prefixes = sys.argv[1:]
try:
    with zipfile.ZipFile(wheel) as z:
        record = next(n for n in z.namelist() if n.endswith(".dist-info/RECORD"))
        wanted = {row[0]: row[1] for row in csv.reader(io.TextIOWrapper(z.open(record), "utf-8")) if row[1]}
        for name, digest in wanted.items():
            if not name.startswith(tuple(prefixes)):
                continue
            path = os.path.join(out, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            kind, _, expected = digest.partition("=")
            seen = hashlib.new(kind)
            with z.open(name) as source, open(path, "wb") as target:
                while block := source.read(1 << 20):
                    seen.update(block)
                    target.write(block)
            if base64.urlsafe_b64encode(seen.digest()).rstrip(b"=").decode() != expected.rstrip("="):
                sys.exit(f"libtorch: {name} in {wheel} does not have the recorded hash")
except (zipfile.BadZipFile, OSError, EOFError, StopIteration, KeyError) as error:
    sys.exit(f"libtorch: {wheel} cannot be unpacked: {error}")
PY
}

# unpack_or_refetch DIR PACKAGE PREFIX…: a broken wheel left by an interrupted run is thrown away and fetched once more.
unpack_or_refetch() {
  local into=$1 package=$2 wheel name attempt
  shift 2
  name=${package%%==*}
  name=${name//-/_}
  for attempt in 1 2; do
    wheel=$(find "$work/wheels" -name "$name-*.whl" | head -n 1)
    if [ -z "$wheel" ]; then
      fetch "$work/wheels" --no-deps "$package"
      wheel=$(find "$work/wheels" -name "$name-*.whl" | head -n 1)
    fi
    unpack "$wheel" "$into" "$@" && return
    [ "$attempt" = 1 ] && say "fetching $package again"
    rm -f "$wheel"
  done
  die "$package could not be unpacked; the download may be damaged on its way"
}

# The smallest set that links and runs without a GPU: libtorch_cpu.so of the CUDA build asks for two CUDA libraries by
# name. Without libtorch_cuda.so beside it, torch-sys links the CPU half alone.
install_cpu() {
  need_space 2500
  say "getting libtorch $version for CPUs: 1 of 3, download (530 MB)"
  rm -rf "$work/site" "$work/home"
  mkdir -p "$work/home/lib"
  unpack_or_refetch "$work/site" "torch==$version" torch/include/ torch/lib/libtorch_cpu.so torch/lib/libc10.so \
    torch/lib/libgomp
  say "2 of 3, the two CUDA stubs it names (15 MB)"
  unpack_or_refetch "$work/site" "nvidia-cuda-runtime==13.0.*" nvidia/cu13/lib/libcudart.so.13
  unpack_or_refetch "$work/site" "nvidia-cuda-cupti==13.0.*" nvidia/cu13/lib/libcupti.so.13
  say "3 of 3, putting it in place"
  mv "$work/site/torch/include" "$work/home/include"
  mv "$work"/site/torch/lib/* "$work"/site/nvidia/cu13/lib/libcudart.so.13 "$work"/site/nvidia/cu13/lib/libcupti.so.13 \
    "$work/home/lib/"
  ln -s libtorch_cpu.so "$work/home/lib/libtorch.so"
}

# The wheel with its dependencies, laid out as pip would: libtorch_cuda.so finds the CUDA libraries relative to itself.
install_cuda() {
  need_space 12000
  say "getting libtorch $version with CUDA: 1 of 2, download (3 GB)"
  rm -rf "$work/home"
  mkdir -p "$work/home/site"
  fetch "$work/wheels" "torch==$version"
  fetch "$work/wheels" --no-deps "nvidia-cuda-crt==13.0.*" # headers that those of the runtime include
  say "2 of 2, unpacking"
  local wheel
  for wheel in "$work"/wheels/torch-*.whl "$work"/wheels/nvidia_*.whl; do
    unpack "$wheel" "$work/home/site" torch/include/ torch/lib/ nvidia/ || {
      rm -f "$wheel"
      die "a wheel was damaged and has been removed; run this again"
    }
  done
  ln -s site/torch/include "$work/home/include"
  ln -s site/torch/lib "$work/home/lib"
}

main() {
  local kind=
  case ${1:-} in
    --cpu) kind=cpu ;;
    --cuda) kind=cuda ;;
    '') ;;
    *) die "unknown argument $1; usage: scripts/libtorch.sh [--cpu | --cuda]" ;;
  esac

  if [ -n "${LIBTORCH_USE_PYTORCH:-}" ]; then
    check_prerequisites existing
    local torch
    torch=$(python3 -c 'import torch, os; print(os.path.dirname(torch.__file__))' 2>/dev/null) ||
      die "LIBTORCH_USE_PYTORCH is set, but $(command -v python3 || echo python3) cannot import torch; activate the environment that has PyTorch $version, or unset it"
    use_existing "$torch" LIBTORCH_USE_PYTORCH
    return
  fi
  if [ -n "${LIBTORCH:-}" ] && [ "$(realpath -m "$LIBTORCH")" != "$home" ]; then
    check_prerequisites existing
    use_existing "$(realpath -m "$LIBTORCH")" LIBTORCH
    return
  fi

  # A link that an earlier run made to a named libtorch stays good as long as it leads somewhere.
  if [ -L "$home" ] && [ -z "$kind" ] && [ -e "$home/lib/" ]; then
    check_prerequisites existing
    return
  fi
  if [ -z "$kind" ]; then
    kind=cpu
    if is_whole "$home" cuda; then
      kind=cuda
    elif ! is_whole "$home" cpu && { [ -e /proc/driver/nvidia/version ] || nvidia-smi -L >/dev/null 2>&1; }; then
      kind=cuda
    fi
  fi
  if is_whole "$home" "$kind"; then
    check_prerequisites existing
    return
  fi

  [ "$(uname -sm)" = "Linux x86_64" ] ||
    die "there is no ready-made libtorch for $(uname -sm); install PyTorch $version and set LIBTORCH_USE_PYTORCH=1"
  check_prerequisites download
  [ ! -e "$home" ] || say "the installation in $home is incomplete or of another kind; replacing it"
  mkdir -p "$work/wheels"
  if [ "$kind" = cuda ]; then install_cuda; else install_cpu; fi
  printf '%s\n' "$version" >"$work/home/build-version"
  write_manifest "$work/home" "$kind"
  rm -rf "$home"
  mv "$work/home" "$home"
  rm -rf "$work"
  say "libtorch $version ($kind) is in $home"
}

main "$@"
