# Shared by the scripts: the virtual environment, Debian packages without their services, the caller's rights.
# Sourced from the project's folder.

say() { printf '%s\n' "${0##*/}: $*" >&2; }
die() { say "$@"; exit 1; }

# Whether the caller may act as root: is root, or may use sudo (which asks for a password only at a terminal).
may_be_root() { [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; }; }

# Prints the first Python that is new enough.
python_new_enough() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    die "needs Python 3.11 or newer; found: $("${PYTHON:-python3}" --version 2>&1 || echo none). Set PYTHON=/path/to/python3.11"
}

# Makes .venv with what the lock file lists and this project, editable. A second run finds it done.
virtual_environment() {
    local lock=$1 python wanted
    wanted=$(cat pyproject.toml requirements.lock "$lock" | cksum)
    [ "$(cat ".venv/installed-$lock" 2>/dev/null)" != "$wanted $PWD" ] || ! .venv/bin/python -c pass 2>/dev/null || return 0

    # What stands in a virtual environment names its folder, so a moved one is made anew.
    if [ "$(cat .venv/made-in 2>/dev/null)" != "$PWD" ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        python=$(python_new_enough)
        say "making .venv with $("$python" --version)"
        "$python" -c 'import ensurepip, venv' 2>/dev/null || python_venv_package "$python"
        "$python" -m venv --clear .venv
        printf '%s\n' "$PWD" >.venv/made-in
    fi
    say "installing the packages of $lock into .venv (about a minute)"
    .venv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r "$lock"
    .venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
    # Bytecode is written now, since the environment may forbid to write it later (PYTHONDONTWRITEBYTECODE).
    .venv/bin/python -m compileall -q attune_ops
    printf '%s\n' "$wanted $PWD" >".venv/installed-$lock"
}

# Debian keeps venv in a package of its own.
python_venv_package() {
    local package
    package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    debian_install "$package" || die "$1 has no venv module: run 'apt-get install $package' as root, or set PYTHON to another Python"
}

# Installs Debian packages without starting or enabling their services; fails where the caller may not.
debian_install() {
    local sudo=
    command -v apt-get >/dev/null && may_be_root || return 1
    [ "$(id -u)" = 0 ] || sudo=sudo
    say "installing the Debian packages: $* (none of their services is started or enabled)"
    $sudo scripts/_debian_install "$@"
}
