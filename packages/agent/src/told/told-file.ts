import { existsSync, readFileSync } from 'node:fs';
import { appendFile, rename, writeFile } from 'node:fs/promises';
import type { Logger } from '@cable/kit';
import { parseJson } from '../json.ts';
import type { ToldPair } from './told-table.ts';

/** Name of the file, and of the one that takes its place, in the agent's state directory. */
export const TOLD_FILES = ['told-names', 'told-names.new'] as const;

/** Of root alone: it says which guest asks for whom. */
const MODE = 0o600;
/** Lines beyond twice those that count: then it is written anew. */
const SPARE_LINES = 4096;

export type ToldFileOptions = { readonly path: string; readonly log: Logger };

/**
 * Keeps what ports were told: a line for each pair, the last counts. What is written is there for an agent that starts after `kill -9`, not after a crash of the machine, where no connection is
 * left for which it would count. A disk that takes nothing holds nobody up.
 */
export class ToldFile {
  readonly #options: ToldFileOptions;
  #lines = 0;
  #isBroken = false;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: ToldFileOptions) {
    this.#options = options;
  }

  /** What was kept, in no order, `untilMs` in Unix time; lines that make no sense are passed over. */
  load(): readonly ToldPair[] {
    const { path, log } = this.#options;
    const found = new Map<string, ToldPair>();
    try {
      if (!existsSync(path)) return [];
      for (const line of readFileSync(path, 'utf8').split('\n')) {
        if (line !== '') this.#lines += 1;
        const pair = parseLine(line);
        if (pair === undefined) continue;
        const key = `${pair.portId} ${pair.order} ${pair.name}`;
        if (pair.untilMs === 0) found.delete(key);
        else found.set(key, pair);
      }
    } catch (err) {
      log.error({ err, path }, 'what DNS told ports before is not known: connections to addresses allowed by name end');
    }
    return [...found.values()];
  }

  /** Resolves when it is written, or cannot be. `untilMs`: Unix time; 0: the pair is gone. `all`: what counts by then. */
  write(
    pairs: readonly ToldPair[],
    all: { readonly pairs: () => Iterable<ToldPair>; readonly count: number },
  ): Promise<void> {
    if (pairs.length === 0) return this.#writing;
    this.#lines += pairs.length;
    if (this.#lines > 2 * all.count + SPARE_LINES) {
      this.#lines = all.count;
      this.#writing = this.#then(() => this.#replace([...all.pairs()]));
    } else this.#writing = this.#then(() => appendFile(this.#options.path, textOf(pairs), { mode: MODE }));
    return this.#writing;
  }

  async #replace(pairs: readonly ToldPair[]): Promise<void> {
    const { path } = this.#options;
    await writeFile(`${path}.new`, textOf(pairs), { mode: MODE });
    await rename(`${path}.new`, path);
  }

  async #then(work: () => Promise<void>): Promise<void> {
    const { path, log } = this.#options;
    try {
      await this.#writing;
      await work();
      this.#isBroken = false;
    } catch (err) {
      // Said once, until it works again.
      if (!this.#isBroken)
        log.error(
          { err, path },
          'what DNS tells ports is not kept: a restart of the agent ends connections to addresses allowed by name',
        );
      this.#isBroken = true;
    }
  }
}

function textOf(pairs: readonly ToldPair[]): string {
  return pairs.map((one) => `${JSON.stringify([one.portId, one.name, one.order, one.untilMs])}\n`).join('');
}

function parseLine(line: string): ToldPair | undefined {
  const value = parseJson(line);
  if (!Array.isArray(value)) return undefined;
  const [portId, name, order, untilMs] = value as readonly unknown[];
  if (typeof portId !== 'string' || typeof name !== 'string' || typeof order !== 'string') return undefined;
  if (!/^[0-9a-f]{32}\/128$/.test(order) || typeof untilMs !== 'number') return undefined;
  return { portId, name, order, untilMs };
}
