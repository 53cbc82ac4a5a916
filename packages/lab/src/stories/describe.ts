import { groupsOf, type Story } from '../story.ts';

/** A line for each story. */
export function describeStories(stories: readonly Story[]): string {
  const width = Math.max(...stories.map((story) => story.name.length));
  return stories.map((story) => `${story.name.padEnd(width)}  ${story.sentence}`).join('\n');
}

/** What a story checks, and what may be set. */
export function describeStory(story: Story): string {
  const checks = groupsOf(story).flatMap((group) => {
    const names = story.checks.filter((check) => check.group === group).map((check) => `    ${check.name}`);
    return [`  ${group}:`, ...names];
  });
  const settings = Object.entries(story.world.settings ?? {}).map(
    ([name, { what, standard }]) => `  ${name}=${standard}: ${what}`,
  );
  return [
    `${story.name}: ${story.sentence}`,
    'checks, by group:',
    ...checks,
    ...(settings.length === 0 ? [] : ['settings:', ...settings]),
  ].join('\n');
}
