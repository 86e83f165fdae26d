# The day's commands: `just` lists them. Each is one command that also works without just.

[private]
default:
    @just --list --unsorted

# Build and start the server on http://127.0.0.1:8080, with a PostgreSQL of its own
serve *arguments:
    cargo run -- serve {{arguments}}

# Run the tests, or those whose names contain a word: `just test rooms`
test *arguments:
    cargo test {{arguments}}

# Check everything that must hold before a change lands, as CI does
check:
    .ci/run

# Measure the server beside the machine's limits, some minutes: `just bench --quick` takes one
bench *arguments:
    cargo run --release -p isao-bench -- {{arguments}}

# Run the fault suite for long, or one fault: `just faults --rounds 50 --only server-killed`
faults *arguments='--rounds 20':
    cargo test --test faults -- {{arguments}}

# Refresh openapi.json
openapi:
    UPDATE_OPENAPI=1 cargo test --test isao openapi

# Refresh the offline query data in .sqlx
sqlx *arguments:
    scripts/sqlx-prepare {{arguments}}
