import type { Check } from './checks/check.ts';
import type { World } from './world.ts';

/** A small world, and what must hold in it. One file in `stories/` (or a folder), listed in `stories/index.ts`. */
export type Story<W extends World = World> = {
  /** Lower-case words joined by dashes. */
  readonly name: string;
  /** What it shows, in one sentence. */
  readonly sentence: string;
  readonly world: W;
  /** They run in this order. */
  readonly checks: readonly Check<W>[];
};

/** Says that the checks are about that world: names in it are then checked by the compiler. */
export function defineStory<W extends World>(story: Story<W>): Story {
  return story;
}

/** The groups of a story's checks, in their order. */
export function groupsOf(story: Story): readonly string[] {
  return [...new Set(story.checks.map((check) => check.group))];
}
