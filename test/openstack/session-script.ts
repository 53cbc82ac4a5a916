/**
 * The session's commands: files of `session/`, one for each area, in order of their names.
 *
 * A line is `USER: COMMAND`, as it is typed behind `openstack`, with the shell's quotes; `-> NAME` behind it keeps the ID that the command
 * answers, which later commands of the area name by `$NAME`. `#` begins a comment.
 */
import { readdirSync, readFileSync } from 'node:fs';

export const USERS = ['admin', 'member', 'reader', 'other'] as const;

/** `admin` of the project `admin`; `member` and `reader` of `alpha`; `other`, a member of `beta`. */
export type UserName = (typeof USERS)[number];

export type Step = {
  /** `ports:12`: area and number of the line. */
  readonly place: string;
  readonly user: UserName;
  /** As it is written. */
  readonly command: string;
  readonly words: readonly string[];
  /** The ID that it answers is kept under this name. */
  readonly keep?: string;
};

export type Area = { readonly name: string; readonly steps: readonly Step[] };

const DIRECTORY = new URL('./session/', import.meta.url);

/** Those whose name begins with `prefix`. */
export function readAreas(prefix: string): readonly Area[] {
  const names = readdirSync(DIRECTORY)
    .filter((file) => file.endsWith('.txt') && file.startsWith(prefix))
    .map((file) => file.slice(0, -'.txt'.length))
    .sort();
  return names.map((name) => parseArea(name, readFileSync(new URL(`${name}.txt`, DIRECTORY), 'utf8')));
}

/** Throws with place and line when one is not of the form above. */
export function parseArea(name: string, text: string): Area {
  const lines = text.split('\n').map((line, index) => ({ line: line.trim(), place: `${name}:${index + 1}` }));
  const steps = lines
    .filter(({ line }) => line !== '' && !line.startsWith('#'))
    .map(({ line, place }) => parseStep(place, line));
  return { name, steps };
}

function parseStep(place: string, line: string): Step {
  const found = /^(\w+): (.*?)(?: -> (\w+))?$/.exec(line);
  const [, name, command = '', keep] = found ?? [];
  const user = USERS.find((one) => one === name);
  if (user === undefined) throw new Error(`${place}: not "USER: COMMAND" with one of ${USERS.join(', ')}: ${line}`);
  return { place, user, command, words: wordsOf(command), ...(keep === undefined ? {} : { keep }) };
}

/** As a shell takes a line apart: what is in quotes is as it is. */
function wordsOf(command: string): readonly string[] {
  const words = command.match(/(?:[^\s'"]|'[^']*'|"[^"]*")+/g) ?? [];
  return words.map((word) => word.replace(/'([^']*)'|"([^"]*)"/g, (_, one?: string, two?: string) => one ?? two ?? ''));
}
