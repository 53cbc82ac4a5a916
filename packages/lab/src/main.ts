import { existsSync } from 'node:fs';
import { labNames } from './names.ts';
import { type DownOptions, labCommand } from './options.ts';
import { tearDown } from './teardown.ts';
import { LabError, labUp } from './up.ts';

/** The process `cable lab`. Ctrl-C removes the lab; a second one is ignored while that goes on. */
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupted.abort());

async function down(options: DownOptions): Promise<number> {
  const names = labNames(options.name);
  if (!existsSync(names.dir)) {
    process.stderr.write(`cable lab: there is no lab "${names.lab}"\n`);
    return 0;
  }
  const left = await tearDown(names);
  process.stderr.write(
    left.length === 0 ? 'cable lab: removed\n' : `cable lab: could not be removed: ${left.join(', ')}\n`,
  );
  return left.length === 0 ? 0 : 1;
}

try {
  const exit = async (code: Promise<number>): Promise<void> => {
    process.exitCode = await code;
  };
  const command = labCommand({
    up: (options) => exit(labUp(options, interrupted.signal)),
    down: (options) => exit(down(options)),
  });
  await command.parseAsync(process.argv);
  process.exit();
} catch (err) {
  if (!(err instanceof LabError)) throw err;
  process.stderr.write(`cable lab: ${err.message}\n`);
  process.exitCode = 1;
}
