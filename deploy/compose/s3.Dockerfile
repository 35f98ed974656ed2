# versitygw at the version that passed the race in docs/s3-stores.md, with one bucket.
FROM golang:1.26-bookworm AS build
RUN CGO_ENABLED=0 go install github.com/versity/versitygw/cmd/versitygw@v1.8.0

FROM alpine:3.22
COPY --from=build /go/bin/versitygw /usr/local/bin/versitygw
RUN mkdir -p /data/cairn
VOLUME /data
EXPOSE 7080
# The bucket is a folder; a volume that is new or older gets it here.
ENTRYPOINT ["/bin/sh", "-c", "mkdir -p /data/cairn && export ROOT_ACCESS_KEY_ID=\"$AWS_ACCESS_KEY_ID\" ROOT_SECRET_ACCESS_KEY=\"$AWS_SECRET_ACCESS_KEY\" && exec versitygw --port :7080 --health /health --quiet posix /data"]
