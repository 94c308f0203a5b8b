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
  ])("%s is %s", (message, kind) => {
    expect(classifyImageFault(message)).toBe(kind);
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
      const isRefusal = isImageRefusal(classifyImageFault(message));
      expect(explainPullFault("a:1", message, false).fault).toBe(isRefusal ? "user" : "infrastructure");
    }
  });
});
