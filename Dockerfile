# Build: the dependencies first, so that a change of the source does not build them again.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc g++ make cmake && rm -rf /var/lib/apt/lists/*
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
# The bench is a member of the workspace: it has to be there, and is not built.
COPY bench/Cargo.toml bench/
COPY crates crates
RUN mkdir src bench/src && echo 'fn main() {}' | tee src/main.rs > bench/src/main.rs && touch src/lib.rs \
    && cargo build --release --locked && rm -rf src
COPY .sqlx .sqlx
COPY migrations migrations
COPY src src
# Newer than what was built above, whatever time the files came with.
RUN touch src/main.rs src/lib.rs && cargo build --release --locked

# Run: the binary and the CA certificates that HTTPS targets need.
FROM debian:bookworm-slim
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home isao
COPY --from=build /build/target/release/isao /usr/local/bin/isao
USER isao
ENV ISAO_BIND=0.0.0.0:8080
EXPOSE 8080
ENTRYPOINT ["isao"]
CMD ["serve"]
