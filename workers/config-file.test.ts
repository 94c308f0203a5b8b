import { describe, expect, it } from "vitest";
import { explainUnknown, parseConfigFile } from "./config-file.ts";

const known = ["SLUICE_URL", "SLUICE_TOKEN", "SLUICE_SLOTS", "DOCKER_HOST"];

describe("the configuration file", () => {
  it("holds variables, comments and quoted values", () => {
    const text = `# a worker\n\nSLUICE_URL=https://x/?a=b#c\r\n export SLUICE_TOKEN = 'it is'\nAWS_REGION="eu-west-1"\nDOCKER_HOST=\n`;
    expect(parseConfigFile(text, known)).toEqual({
      values: { SLUICE_URL: "https://x/?a=b#c", SLUICE_TOKEN: "it is", AWS_REGION: "eu-west-1", DOCKER_HOST: "" },
      problems: [],
    });
  });

  it("tells of each line what is wrong with it", () => {
    const { problems } = parseConfigFile(
      "SLUICE_URL\nSLUICE_SLTOS=4\nSLUICE_URL=a\nSLUICE_URL=b\nSLUICE_QQQQQQQQ=1",
      known,
    );
    expect(problems).toEqual([
      "line 1 is not of the form KEY=VALUE",
      "line 2: SLUICE_SLTOS is not known: did you mean SLUICE_SLOTS?",
      "line 4 sets SLUICE_URL a second time",
      "line 5: SLUICE_QQQQQQQQ is not known",
    ]);
  });

  it("knows nothing of variables that are not Sluice's", () => {
    expect(explainUnknown("PATH", known)).toBeUndefined();
    expect(explainUnknown("SLUICE_TOKEN", known)).toBeUndefined();
  });
});
