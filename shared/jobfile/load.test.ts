import { describe, expect, it } from "vitest";
import { loadJobFile } from "./load.ts";

const options = {
  fileName: "job.yaml",
  env: {},
  args: ["a", "b"],
  params: {},
  runCommand: async () => ({ ok: false as const, message: "must not run" }),
};
const head = "name: hello\nsteps: [{ run: echo }]\ntasks:\n";

describe("loadJobFile", () => {
  it("parses a file without templates as it is", async () => {
    const loaded = await loadJobFile(`${head}  - Bad\n`, options);
    expect(loaded).toMatchObject({ ok: false, text: `${head}  - Bad\n`, problems: [{ file: "job.yaml", line: 4 }] });
  });

  it("renders templates before it parses", async () => {
    const loaded = await loadJobFile(`${head}{% for arg in args %}  - task-{{ arg }}\n{% endfor %}`, options);
    expect(loaded.ok && loaded.job.tasks.map(({ name }) => name)).toEqual(["task-a", "task-b"]);
  });

  it("gives positions in the rendered text where rendering changed it", async () => {
    const loaded = await loadJobFile(`${head}{% for arg in args %}  - task-{{ arg }}\n{% endfor %}  - Bad\n`, options);
    expect(loaded.ok).toBe(false);
    if (loaded.ok) return;
    expect(loaded.problems).toMatchObject([
      { file: "job.yaml (rendered)", line: 6, column: 5, excerpt: { text: "  - Bad" } },
    ]);
  });

  it("gives positions in the file where a template is wrong", async () => {
    const loaded = await loadJobFile(`${head}  - {{ params.x }}\n`, options);
    expect(loaded).toMatchObject({ ok: false, problems: [{ file: "job.yaml", line: 4, column: 8 }] });
  });
});
