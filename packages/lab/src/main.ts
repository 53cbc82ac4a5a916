import { flushOutput } from '@cable/kit';
import { labDown } from './down.ts';
import { drawWorld } from './draw.ts';
import { labCommand } from './options.ts';
import { describeStories, describeStory } from './stories/describe.ts';
import { STORIES } from './stories/index.ts';
import { LabError, labUp } from './up.ts';

/** The process `cable lab`. Ctrl-C removes the lab; a second one is ignored while that goes on. */
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupted.abort());

const say = (line: string): void => {
  process.stderr.write(`cable lab: ${line}\n`);
};
const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};
const exit = async (code: Promise<number>): Promise<void> => {
  process.exitCode = await code;
};

try {
  const command = labCommand({
    up: (options) => exit(labUp(options, interrupted.signal)),
    down: (options) => exit(labDown(options, say)),
    list: () => print(describeStories(STORIES)),
    show: (story) => print(`${drawWorld(story.world)}\n\n${describeStory(story)}`),
  });
  await command.parseAsync(process.argv);
  await flushOutput();
  process.exit();
} catch (err) {
  if (!(err instanceof LabError)) throw err;
  say(err.message);
  process.exitCode = 1;
}
