/** What ECR calls a repository, with `*` for any characters, slashes included. */
const repositoryPattern = /^(?:[a-z0-9*]+(?:[._/-]+[a-z0-9*]+)*)$/;

/**
 * The private repositories of the deployment's account and region that workers may pull from, as its environment names
 * them: `team/*,tools/builder`. None where nothing is said: whoever may submit a job may run, and so read, all of them.
 */
export function parseEcrRepositories(text = ""): string[] {
  const names = text.split(",").flatMap((name) => name.trim() || []);
  const wrong = names.filter((name) => !repositoryPattern.test(name));
  if (wrong.length === 0) return [...new Set(names)].sort();
  throw new Error(
    `SLUICE_ECR_REPOSITORIES: ${wrong.map((name) => `"${name}"`).join(", ")} is no name of a repository; ` +
      'names are separated by commas, without account and region, and may hold "*", as in team/*,tools/builder',
  );
}
