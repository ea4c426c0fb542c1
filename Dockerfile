# The one image of Tidegate: a single file that is each service under its name.
#
#     docker build --tag tidegate:0.1.0 .
#
# `runtime` comes first, so that whoever has a binary already builds no more than that: `--target runtime`.

FROM debian:bookworm-slim AS runtime
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin tidegate \
 && install -d -o 10001 -g 10001 -m 0700 /var/lib/tidegate /run/tidegate \
 # A volume that is mounted here for the first time belongs to whom the folder does.
 && for owner in admin nats postgres operator outside-default api registry-writer stage-scheduler analyzer traffic-updater deployer notifier router; do \
      install -d -o 10001 -g 10001 -m 0755 "/secrets/$owner"; \
    done \
 && for service in api registry-writer stage-scheduler analyzer traffic-updater deployer notifier router modelsim; do \
      ln -s tidegate "/usr/local/bin/$service"; \
    done
ENV TIDEGATE_DATA=/var/lib/tidegate
USER 10001:10001

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --locked --release --package tidegate && mv target/release/tidegate /tidegate && rm -rf target

FROM runtime
COPY --from=build /tidegate /usr/local/bin/tidegate
CMD ["tidegate", "--help"]
