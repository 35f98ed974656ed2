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

# What the modules built here ask for (versitygw 1.25, compose-go 1.24), and what is fetched
# where Go is older.
go_needed=1.25
go_fetched=1.26.8

# The version of a go command: its own, not one that it would switch to. Nothing where there is none.
go_version() {
  { GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null || true; } | sed -n 's/^go\([0-9]*\.[0-9]*\).*/\1/p'
}

go_suffices() {
  [ "$(printf '%s\n' "$go_needed" "$(go_version "$1")" | sort -V | head -1)" = "$go_needed" ]
}

# Go, new enough. Many distributions have an older one, and some have set it not to fetch a newer by
# itself; but any Go can fetch one as a module, from where it gets all modules and checked as they are.
need_go() {
  local own="$tools/go$go_fetched"
  if ! go_suffices "$own/bin/go"; then
    go_suffices go && return 0
    if go_suffices /usr/local/go/bin/go; then
      PATH="/usr/local/go/bin:$PATH"
      return 0
    fi
    command -v go >/dev/null || need_apt golang-go
    go_suffices go && return 0
    fetch_go "$own"
  fi
  PATH="$own/bin:$PATH"
  # Where it is set, it is for another Go.
  unset GOROOT
}

fetch_go() {
  local module new got
  module="golang.org/toolchain@v0.0.1-go$go_fetched.$(go env GOHOSTOS)-$(go env GOHOSTARCH)"
  echo "fetching Go $go_fetched, for $(command -v go) is $(go_version go) and at least $go_needed is needed" >&2
  # Into a module cache of its own, and then to its place: others may fetch it meanwhile.
  mkdir -p "$tools"
  new=$(mktemp -d "$tools/new.XXXXXX")
  got="$new/$module"
  if ! (cd "$new" && GOMODCACHE=$new go mod download "$module"); then
    chmod -R u+w "$new"
    rm -rf "$new"
    die "Go could not fetch Go $go_fetched; its message is above. Or install Go of at least $go_needed into /usr/local/go"
  fi
  # A module's files are read-only and not executable, and its inner go.mod files have another name. Go puts
  # that right only where it fetches a toolchain for its own use.
  chmod -R u+w "$new"
  chmod +x "$got"/bin/* "$got"/pkg/tool/*/*
  find "$got" -name _go.mod -exec sh -c 'cp "$1" "${1%_go.mod}go.mod"' sh {} \;
  mv -T "$got" "$1" 2>/dev/null || true
  rm -rf "$new"
  go_suffices "$1/bin/go" || die "Go $go_fetched was fetched into $1 and does not run"
}
