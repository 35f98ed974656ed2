# Read by kafka and s3server after env.sh: one server, one folder. The folder is
# $dir; $mark is a text of the server's command line that no other process has.

pid() { cat "$dir/pid" 2>/dev/null || true; }
is_up() { runs "$(pid)" "$mark"; }
need_up() { is_up || die "nothing runs on $dir"; }

# Waits at most so many tenths of a second for the end of the process.
wait_gone() {
  local tenths=$1
  while [ "$tenths" -gt 0 ]; do
    is_up || { rm -f "$dir/pid"; return 0; }
    sleep 0.1
    tenths=$((tenths - 1))
  done
  return 1
}

# SIGTERM, and after 30 s SIGKILL. Also ends one that was paused, or has ended already.
stop_server() {
  local pid
  pid=$(pid)
  if is_up; then
    kill -TERM "$pid"
    kill -CONT "$pid" 2>/dev/null || true
    if ! wait_gone 300; then
      kill -9 "$pid" 2>/dev/null || true
      wait_gone 100 || die "process $pid does not end"
    fi
  fi
  rm -f "$dir/pid"
}

kill_server() {
  need_up
  kill -9 "$(pid)"
  wait_gone 300 || die "process $(pid) does not end"
}

signal_server() {
  need_up
  kill "-$1" "$(pid)"
}

# start_server LOG SECONDS READY COMMAND…: starts the command and waits until READY, a function, says yes.
start_server() {
  local log=$1 tenths=$(($2 * 10)) ready=$3 child
  shift 3
  [ ! -f "$log" ] || mv -f "$log" "$log.1"
  : >"$log"
  setsid "$@" >>"$log" 2>&1 </dev/null &
  child=$!
  echo $child >"$dir/pid"
  while ! "$ready"; do
    tenths=$((tenths - 1))
    if ! kill -0 $child 2>/dev/null; then
      rm -f "$dir/pid"
      tail -30 "$log" >&2
      die "the server ended; its last lines are above"
    elif [ $tenths -eq 0 ]; then
      kill -9 $child
      rm -f "$dir/pid"
      tail -30 "$log" >&2
      die "the server was not ready in time; its last lines are above"
    fi
    sleep 0.1
  done
}

# Certificates for this folder alone, in $dir/tls: ca.pem; server.pem (chain)
# with server.key; client.pem with client.key; and stranger.pem with
# stranger.key, which another authority signed. Good for 30 days.
make_tls() {
  mkdir -p "$dir/tls"
  (
    cd "$dir/tls"
    key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256)
    authority() {
      openssl req -x509 "${key[@]}" -days 30 -keyout "$1.key" -out "$1.pem" -subj "/CN=$2" \
        -addext keyUsage=critical,keyCertSign
    }
    signed() {
      openssl req "${key[@]}" -keyout "$1.key" -out "$1.csr" -subj "/CN=$2"
      openssl x509 -req -sha256 -days 30 -in "$1.csr" -CA "$3.pem" -CAkey "$3.key" -out "$1.pem" \
        -set_serial "0x$(openssl rand -hex 8)" -extfile <(printf '%s\n' "$4")
      rm "$1.csr"
    }
    authority ca "Test authority"
    authority other "Another authority"
    signed server 127.0.0.1 ca 'subjectAltName=IP:127.0.0.1,DNS:localhost'
    signed client cairn ca 'extendedKeyUsage=clientAuth'
    signed stranger cairn other 'extendedKeyUsage=clientAuth'
    cat ca.pem >>server.pem
    rm other.key other.pem ca.key
  ) 2>"$dir/openssl.log" || { cat "$dir/openssl.log" >&2; die "openssl could not make the certificates"; }
  rm "$dir/openssl.log"
}

# The folder's name, absolute. Properties files and shells take some characters amiss.
folder() {
  local path=$1
  case "$path" in /*) ;; *) path=$2/$path ;; esac
  case "$path" in *[$' \t\n,"\\:']*) die "the folder's name must have no blank, comma, colon, quote or backslash: $path" ;; esac
  echo "$path"
}

# The comment at the top of a script, which is its manual.
usage() {
  sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "$0" >&2
  exit 2
}
