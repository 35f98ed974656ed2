# Read by ./test, ./quickstart and the scripts beside it: where things that outlive one clone are kept,
# and how a missing system package comes in.
#
# If the folder ~/.cache/cairn exists, several clones share what is slow to
# make: the build (~/.cache/cairn/target), cargo-deny and an S3 server
# (~/.cache/cairn/tools), the Python environment (~/.cache/cairn/venv) and a
# Kafka broker's jars (~/.cache/cairn/kafka). Else each clone has its own
# target/ and .venv/. $CARGO_TARGET_DIR, where it is set, goes before both.

cache="$HOME/.cache/cairn"
if [ -n "${CARGO_TARGET_DIR:-}" ]; then
  :
elif [ -d "$cache" ]; then
  CARGO_TARGET_DIR="$cache/target"
else
  CARGO_TARGET_DIR="$PWD/target"
fi
export CARGO_TARGET_DIR
if [ -d "$cache" ]; then
  venv="$cache/venv"
  tools="$cache/tools"
  kafka="$cache/kafka"
else
  venv="$PWD/.venv"
  tools="$CARGO_TARGET_DIR/tools"
  kafka="$CARGO_TARGET_DIR/kafka"
fi

die() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

# Installs Debian packages, as root or through sudo; says what to do where it cannot.
need_apt() {
  local missing=()
  local package
  for package in "$@"; do
    dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  command -v apt-get >/dev/null || die "this needs ${missing[*]}: install them with your system's package manager"
  echo "installing ${missing[*]}"
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "this needs ${missing[*]}: run 'apt-get install ${missing[*]}' as root"
    as_root=(sudo)
  fi
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq || die "apt-get update failed"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null \
    || die "could not install ${missing[*]}"
}

# A C compiler: the ring, aws-lc and zstd crates compile C. And what librdkafka
# is built with and linked to: make, and OpenSSL found by pkg-config. Nothing
# else of the system is needed (no cmake, perl or protoc).
need_compiler() {
  command -v cc >/dev/null && echo 'int main(void){return 0;}' | cc -x c -o /dev/null - 2>/dev/null \
    || need_apt gcc libc6-dev
  command -v make >/dev/null || need_apt make
  command -v pkg-config >/dev/null || need_apt pkg-config
  pkg-config --exists openssl || need_apt libssl-dev
}

# Rust of at least the version that Cargo.toml asks for.
need_rust() {
  [ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
  command -v cargo >/dev/null || die "Rust is missing: install it with rustup, then run this again"
  local want have
  want=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  have=$(rustc --version | cut -d' ' -f2)
  [ "$(printf '%s\n%s\n' "$want" "$have" | sort -V | head -1)" = "$want" ] \
    || die "Rust $have is too old: at least $want is needed; try 'rustup update'"
}

# Java of at least 17, which Kafka 4 brokers need.
need_java() {
  local have
  have=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -1 || true)
  [ -n "$have" ] && [ "$have" -ge 17 ] && return 0
  if apt-cache show openjdk-17-jre-headless >/dev/null 2>&1; then
    need_apt openjdk-17-jre-headless
  else
    need_apt default-jre-headless
  fi
  have=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -1 || true)
  [ -n "$have" ] && [ "$have" -ge 17 ] || die "Java ${have:-of any version} is on the path, at least 17 is needed: install it, or put it first on the path"
}

# Whether a process is there and has the text in its command line. A process
# that ended and that nobody waited for has an empty one.
runs() {
  [ -n "$1" ] && [[ $(tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline") == *"$2"* ]]
}

# A port of 127.0.0.1 that nothing listens on; below those that outgoing
# connections take, so that it is still free at a restart.
free_port() {
  local port
  for _ in $(seq 100); do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
  die "found no free port between 20000 and 32000"
}

# Go of at least 1.21: from there on it fetches the version that a module asks for by itself.
need_go() {
  [ -x /usr/local/go/bin/go ] && ! command -v go >/dev/null && PATH="$PATH:/usr/local/go/bin"
  command -v go >/dev/null || need_apt golang-go
  local have
  have=$(go env GOVERSION | sed -n 's/^go\([0-9]*\.[0-9]*\).*/\1/p')
  [ "$(printf '%s\n' 1.21 "$have" | sort -V | head -1)" = 1.21 ] \
    || die "Go $have is too old: at least 1.21 is needed; install it from https://go.dev/dl into /usr/local/go"
}
