import { existsSync, readdirSync } from 'node:fs';
import { drawWorld } from './draw.ts';
import { isLabName, LABS_DIR, labNames } from './names.ts';
import { type DownOptions, labCommand } from './options.ts';
import { describeStories, describeStory } from './stories/describe.ts';
import { STORIES } from './stories/index.ts';
import { tearDown } from './teardown.ts';
import { LabError, labUp } from './up.ts';

/** The process `cable lab`. Ctrl-C removes the lab; a second one is ignored while that goes on. */
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupted.abort());

const say = (line: string): void => {
  process.stderr.write(`cable lab: ${line}\n`);
};

async function down(options: DownOptions): Promise<number> {
  const labs = 'all' in options ? labsHere() : [options.name];
  let code = 0;
  for (const lab of labs) if (!(await remove(lab))) code = 1;
  if (labs.length === 0) say('there is no lab');
  return code;
}

function labsHere(): readonly string[] {
  return existsSync(LABS_DIR) ? readdirSync(LABS_DIR).filter(isLabName) : [];
}

/** False: something is left. */
async function remove(lab: string): Promise<boolean> {
  const names = labNames(lab);
  if (!existsSync(names.dir)) {
    say(`there is no lab "${lab}"`);
    return true;
  }
  const left = await tearDown(names);
  say(left.length === 0 ? `removed "${lab}"` : `"${lab}" could not be removed: ${left.join(', ')}`);
  return left.length === 0;
}

try {
  const exit = async (code: Promise<number>): Promise<void> => {
    process.exitCode = await code;
  };
  const print = (text: string): void => {
    process.stdout.write(`${text}\n`);
  };
  const command = labCommand({
    up: (options) => exit(labUp(options, interrupted.signal)),
    down: (options) => exit(down(options)),
    list: () => print(describeStories(STORIES)),
    show: (story) => print(`${drawWorld(story.world)}\n\n${describeStory(story)}`),
  });
  await command.parseAsync(process.argv);
  process.exit();
} catch (err) {
  if (!(err instanceof LabError)) throw err;
  say(err.message);
  process.exitCode = 1;
}
