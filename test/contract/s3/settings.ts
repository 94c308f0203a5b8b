import {
  type CORSRule,
  DeleteBucketCorsCommand,
  DeleteBucketLifecycleCommand,
  GetBucketCorsCommand,
  GetBucketLifecycleConfigurationCommand,
  HeadObjectCommand,
  type LifecycleRule,
  PutBucketCorsCommand,
  PutBucketLifecycleConfigurationCommand,
} from "@aws-sdk/client-s3";
import { beforeAll, describe, expect } from "vitest";
import { createBucket, failureOf, put, type Suite, sendHttp } from "./target.ts";

/** Configurations of buckets: lifecycle rules and CORS. */
export function describeSettings(suite: Suite): void {
  describeLifecycle(suite);
  describeCors(suite);
}

function describeLifecycle({ it, target }: Suite): void {
  describe("lifecycle configurations", () => {
    let bucket: string;
    beforeAll(async () => {
      bucket = await createBucket(target());
    });
    const get = () => target().client.send(new GetBucketLifecycleConfigurationCommand({ Bucket: bucket }));
    const replace = (Rules: LifecycleRule[]) =>
      target().client.send(
        new PutBucketLifecycleConfigurationCommand({ Bucket: bucket, LifecycleConfiguration: { Rules } }),
      );

    it("are kept, given back and removed", async () => {
      const { client } = target();
      expect(await failureOf(get())).toBe("NoSuchLifecycleConfiguration 404");
      const Rules: LifecycleRule[] = [
        { ID: "logs", Status: "Enabled", Filter: { Prefix: "logs/" }, Expiration: { Days: 30 } },
        {
          ID: "both",
          Status: "Disabled",
          Filter: { And: { Prefix: "tmp/", Tags: [{ Key: "kind", Value: "cache" }] } },
          Expiration: { Days: 1 },
        },
        {
          ID: "uploads",
          Status: "Enabled",
          Filter: { Prefix: "" },
          AbortIncompleteMultipartUpload: { DaysAfterInitiation: 2 },
        },
      ];
      await replace(Rules);
      expect((await get()).Rules).toEqual(Rules);
      await client.send(new DeleteBucketLifecycleCommand({ Bucket: bucket }));
      expect(await failureOf(get())).toBe("NoSuchLifecycleConfiguration 404");
    });

    it("are refused when a rule is incomplete or contradicts itself", async () => {
      const base = { Status: "Enabled", Filter: { Prefix: "a" } } as const;
      const bad: [LifecycleRule[], string][] = [
        [[{ ...base, ID: "nothing" }], "InvalidRequest 400"],
        [
          [{ ...base, ID: "both", Expiration: { Days: 1, Date: new Date("2030-01-01T00:00:00Z") } }],
          "MalformedXML 400",
        ],
        [[{ ...base, ID: "zero", Expiration: { Days: 0 } }], "InvalidArgument 400"],
        [[{ ...base, ID: "noon", Expiration: { Date: new Date("2030-01-01T12:00:00Z") } }], "InvalidArgument 400"],
        [
          [
            { ...base, ID: "twice", Expiration: { Days: 1 } },
            { ...base, ID: "twice", Expiration: { Days: 2 } },
          ],
          "InvalidArgument 400",
        ],
      ];
      for (const [rules, outcome] of bad)
        expect([rules[0]?.ID, await failureOf(replace(rules))]).toEqual([rules[0]?.ID, outcome]);
    });

    it("tell on reading when an object will go", async () => {
      await replace([{ ID: "week", Status: "Enabled", Filter: { Prefix: "week/" }, Expiration: { Days: 7 } }]);
      await put(target(), bucket, "week/a", "x");
      await put(target(), bucket, "other", "x");
      const read = async (Key: string) =>
        (await target().client.send(new HeadObjectCommand({ Bucket: bucket, Key }))).Expiration;
      expect(await read("week/a")).toMatch(/^expiry-date="\w{3}, \d\d \w{3} \d{4} 00:00:00 GMT", rule-id="week"$/);
      expect(await read("other")).toBeUndefined();
    });
  });
}

function describeCors({ it, target }: Suite): void {
  describe("CORS configurations", () => {
    let bucket: string;
    const rules: CORSRule[] = [
      {
        AllowedOrigins: ["https://*.example.com"],
        AllowedMethods: ["GET", "PUT"],
        AllowedHeaders: ["x-amz-*", "content-type"],
        ExposeHeaders: ["ETag"],
        MaxAgeSeconds: 300,
      },
      { AllowedOrigins: ["*"], AllowedMethods: ["GET"] },
    ];
    beforeAll(async () => {
      bucket = await createBucket(target());
    });
    const get = () => target().client.send(new GetBucketCorsCommand({ Bucket: bucket }));
    const replace = (CORSRules: CORSRule[]) =>
      target().client.send(new PutBucketCorsCommand({ Bucket: bucket, CORSConfiguration: { CORSRules } }));

    it("are kept, given back and removed", async () => {
      expect(await failureOf(get())).toBe("NoSuchCORSConfiguration 404");
      await replace(rules);
      expect((await get()).CORSRules).toEqual(rules);
      await target().client.send(new DeleteBucketCorsCommand({ Bucket: bucket }));
      expect(await failureOf(get())).toBe("NoSuchCORSConfiguration 404");
    });

    it("are refused with an unknown method", async () => {
      expect(await failureOf(replace([{ AllowedOrigins: ["*"], AllowedMethods: ["PATCH"] }]))).toBe(
        "InvalidRequest 400",
      );
    });

    it("answer a browser's preflight by the first rule that fits", async () => {
      await replace(rules);
      const ask = (origin: string, method: string, headers = "") =>
        sendHttp(`${target().endpoint}/${bucket}/key`, {
          method: "OPTIONS",
          headers: {
            origin,
            "access-control-request-method": method,
            ...(headers === "" ? {} : { "access-control-request-headers": headers }),
          },
        });
      const allowed = await ask("https://ci.example.com", "PUT", "X-Amz-Date,content-type");
      expect(allowed.status).toBe(200);
      expect(allowed.headers).toMatchObject({
        "access-control-allow-origin": "https://ci.example.com",
        "access-control-allow-methods": "GET, PUT",
        "access-control-allow-headers": "x-amz-date, content-type",
        "access-control-expose-headers": "ETag",
        "access-control-max-age": "300",
      });
      expect((await ask("https://elsewhere.org", "GET")).headers["access-control-allow-origin"]).toBe("*");
      for (const refused of [
        await ask("https://elsewhere.org", "PUT"),
        await ask("https://ci.example.com", "DELETE"),
        await ask("https://ci.example.com", "PUT", "authorization"),
      ]) {
        expect(refused.status).toBe(403);
        expect(refused.headers["access-control-allow-origin"]).toBeUndefined();
      }
    });
  });
}
