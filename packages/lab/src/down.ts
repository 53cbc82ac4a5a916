import { existsSync, readdirSync } from 'node:fs';
import { isLabName, LABS_DIR, labNames } from './names.ts';
import type { DownOptions } from './options.ts';
import { tearDown } from './teardown.ts';

/** Removes labs that were kept, or that a crash left behind. Returns the exit code: 1 when something is left. */
export async function labDown(options: DownOptions, say: (line: string) => void): Promise<number> {
  const labs = 'all' in options ? labsIn(LABS_DIR) : [options.name];
  if (labs.length === 0) say('there is no lab');
  let code = 0;
  for (const lab of labs) if (!(await removeLab(lab, say))) code = 1;
  return code;
}

/** The names of the labs whose directories are in `dir`. */
export function labsIn(dir: string): readonly string[] {
  return existsSync(dir) ? readdirSync(dir).filter(isLabName).sort() : [];
}

/** False: something is left. */
async function removeLab(lab: string, say: (line: string) => void): Promise<boolean> {
  const names = labNames(lab);
  if (!existsSync(names.dir)) {
    say(`there is no lab "${lab}"`);
    return true;
  }
  const left = await tearDown(names);
  say(left.length === 0 ? `removed "${lab}"` : `"${lab}" could not be removed: ${left.join(', ')}`);
  return left.length === 0;
}
