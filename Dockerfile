# syntax=docker/dockerfile:1
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY benches benches
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin portcullis \
    && install -D -m 755 target/release/portcullis /out/portcullis

FROM debian:12-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin portcullis \
    && install -d -o portcullis -g portcullis -m 700 /var/lib/portcullis
COPY --from=build /out/portcullis /usr/local/bin/portcullis
USER portcullis
WORKDIR /var/lib/portcullis
VOLUME /var/lib/portcullis
EXPOSE 8080
# The gate drains on SIGTERM; give it longer than `drain` (30 s) before it is killed.
STOPSIGNAL SIGTERM
# /readyz, spoken by the shell: the image carries no HTTP client.
HEALTHCHECK --interval=5s --timeout=2s --start-period=10s CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/9900 && printf 'GET /readyz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r line <&3 && [[ $line == *' 200 '* ]]"]
ENTRYPOINT ["portcullis"]
CMD ["serve", "--config", "/etc/portcullis/portcullis.yaml"]
