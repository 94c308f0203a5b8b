import { describe, expect, it } from "vitest";
import { classifyImageFault, explainPullFault, isImageRefusal } from "./image-faults.ts";

describe("what a daemon says about an image", () => {
  it.each([
    ["manifest for r.io/a:2 not found: manifest unknown: manifest unknown", "not_found"],
    ["pull access denied for nothing, repository does not exist or may require 'docker login'", "denied"],
    ["Get https://r.io/v2/a/manifests/1: no basic auth credentials", "denied"],
    ["unauthorized: authentication required", "denied"],
    ["no matching manifest for linux/arm64/v8 in the manifest list entries", "platform"],
    ["invalid reference format", "invalid"],
    ["toomanyrequests: You have reached your pull rate limit.", "limited"],
    ["Get https://r.io/v2/: dial tcp: lookup r.io: no such host", "unreachable"],
    ["Get http://127.0.0.1:1/v2/: dial tcp 127.0.0.1:1: connect: connection refused", "unreachable"],
    ["received unexpected HTTP status: 503 Service Unavailable", "unreachable"],
    ["net/http: TLS handshake timeout", "unreachable"],
    ["unexpected EOF", "unreachable"],
    ["write /var/lib/docker/tmp/x: no space left on device", "disk_full"],
    ["something else", "other"],
    // In the words of Docker with the containerd image store.
    ['failed to resolve reference "r.io/a:2": r.io/a:2: not found', "not_found"],
    ["no match for platform in manifest: not found", "platform"],
    [
      "pull access denied, repository does not exist: server message: insufficient_scope: authorization failed",
      "denied",
    ],
    ["unexpected status from HEAD request to https://r.io/v2/a/manifests/1: 429 Too Many Requests", "limited"],
    ['failed to do request: Head "https://r.io/v2/a/manifests/1": dial tcp 10.0.0.1:443: i/o timeout', "unreachable"],
  ])("%s is %s", (message, kind) => {
    expect(classifyImageFault(message)).toBe(kind);
  });

  it.each([
    ["r.io/eof/timeout:1", "manifest for r.io/eof/timeout:1 not found: manifest unknown", "not_found"],
    ["denied/tool:1", "manifest for denied/tool:1 not found: manifest unknown", "not_found"],
    ["r.io/x509/not-found:1", "Get https://r.io/v2/x509/not-found/manifests/1: denied: no", "denied"],
    ["r.io/eof@sha256:0", "r.io/eof@sha256:0: not found", "not_found"],
  ])("is not told by words in the name of %s", (reference, message, kind) => {
    expect(classifyImageFault(message, reference)).toBe(kind);
  });

  it("is the user's fault exactly where another try would meet it again", () => {
    for (const message of [
      "manifest unknown",
      "denied",
      "no matching manifest",
      "dial tcp",
      "toomanyrequests",
      "odd",
    ]) {
      const kind = classifyImageFault(message);
      const isRefusal = isImageRefusal(kind);
      expect(explainPullFault("a:1", { kind, message, signIn: "none" }).fault).toBe(
        isRefusal ? "user" : "infrastructure",
      );
    }
  });
});
