import { askMetadata, type MetadataAnswer, type MetadataEndpoint } from "./metadata-service.ts";

/** Six hours, the longest that EC2 gives; a token is replaced long before. */
const tokenTtlSeconds = 21_600;
const tokenUseMs = (tokenTtlSeconds * 1000) / 2;
const tokenHeader = "x-aws-ec2-metadata-token";
const tokenTtlHeader = "x-aws-ec2-metadata-token-ttl-seconds";
const longestTokenLength = 1024;

/** EC2's instance metadata service, version 2: every question carries a token that was asked for before. */
export class Imds {
  readonly #endpoint: MetadataEndpoint;
  readonly #nowMs: () => number;
  #token: { value: string; untilMs: number } | undefined;
  /** Questions that are asked at once share a token. */
  #asking: Promise<string | undefined> | undefined;

  constructor(endpoint: MetadataEndpoint, nowMs: () => number) {
    this.#endpoint = endpoint;
    this.#nowMs = nowMs;
  }

  /** Asks for `/latest/meta-data/<path>`; undefined where nobody answers, or gives no token. */
  async read(path: string, deadlineMs: number): Promise<MetadataAnswer | undefined> {
    const byMs = this.#nowMs() + deadlineMs;
    const leftMs = () => Math.max(1, byMs - this.#nowMs());
    const hadToken = this.#token !== undefined;
    const first = await this.#readOnce(path, leftMs);
    // A token of before the machine was stopped and started, or moved, is refused.
    if (first?.status !== 401 || !hadToken) return first;
    this.#token = undefined;
    return this.#readOnce(path, leftMs);
  }

  async #readOnce(path: string, leftMs: () => number): Promise<MetadataAnswer | undefined> {
    const token = await this.#getToken(leftMs());
    if (token === undefined) return undefined;
    return askMetadata(this.#endpoint, {
      path: `/latest/meta-data/${path}`,
      headers: { [tokenHeader]: token },
      deadlineMs: leftMs(),
    });
  }

  #getToken(deadlineMs: number): Promise<string | undefined> {
    if (this.#token !== undefined && this.#nowMs() < this.#token.untilMs) return Promise.resolve(this.#token.value);
    this.#asking ??= this.#askForToken(deadlineMs).finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #askForToken(deadlineMs: number): Promise<string | undefined> {
    const answer = await askMetadata(this.#endpoint, {
      method: "PUT",
      path: "/latest/api/token",
      headers: { [tokenTtlHeader]: `${tokenTtlSeconds}` },
      deadlineMs,
    });
    const value = answer?.status === 200 ? answer.text.trim() : "";
    // It goes into a header: what cannot stand in one is none.
    if (!/^[\x21-\x7e]+$/.test(value) || value.length > longestTokenLength) return undefined;
    this.#token = { value, untilMs: this.#nowMs() + tokenUseMs };
    return value;
  }
}
