# The binary alone, for linux/amd64 and linux/arm64, from a clean clone:
#
#   docker build -t tidepool .
#   docker buildx build --platform linux/amd64,linux/arm64 -t registry.example.com/tidepool:dev --push .
#
# The compiler runs on the builder's own processor and makes code for the other: no emulation.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETARCH
ARG VERSION=dev
RUN CGO_ENABLED=0 GOOS=linux GOARCH=$TARGETARCH go build -pgo cmd/tidepool/serve.pgo -trimpath -ldflags "-s -w -X main.version=$VERSION" -o tidepool ./cmd/tidepool

# Certificates are for NATS, etcd and HTTP behind public authorities. There is no shell and no passwd: the user is a number.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /src/tidepool /tidepool
USER 65532:65532
EXPOSE 11211 4301 9411
ENTRYPOINT ["/tidepool"]
CMD ["help"]
