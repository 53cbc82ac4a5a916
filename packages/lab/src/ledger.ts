import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';

/**
 * What the lab has made outside its own directory, written down before it is made: so that a later `cable lab down` finds
 * all of it, however the lab ended.
 */
export type LedgerEntry =
  | { readonly kind: 'namespace'; readonly name: string }
  /** An agent's name for its host, and the host's namespace; absent: of the same name. */
  | { readonly kind: 'host'; readonly name: string; readonly netns?: string }
  /** `startedAt`: the kernel's start time, so that a later process with the same number is not taken for it. */
  | { readonly kind: 'process'; readonly name: string; readonly pid: number; readonly startedAt: string };

export type Ledger = {
  /** Throws after `close`: whatever was to be made must then not be made. */
  add(entry: LedgerEntry): void;
  entries(): readonly LedgerEntry[];
  /** The lab is about to be removed. */
  close(): void;
};

/** Makes the lab's directory, which is also the lock: returns undefined when it is there already. */
export function createLedger(dir: string): Ledger | undefined {
  if (existsSync(dir)) return undefined;
  mkdirSync(`${dir}/logs`, { recursive: true, mode: 0o700 });
  return openLedger(dir);
}

/** The ledger of a lab that is up, or that a crash left behind. */
export function openLedger(dir: string): Ledger {
  const path = `${dir}/ledger`;
  let closed = false;
  return {
    add: (entry) => {
      if (closed) throw new Error('the lab is being removed');
      appendFileSync(path, `${JSON.stringify(entry)}\n`);
    },
    close: () => {
      closed = true;
    },
    entries: () => (existsSync(path) ? parseLedger(readFileSync(path, 'utf8')) : []),
  };
}

/** A torn last line, of a lab that was killed while writing it, is left out. */
function parseLedger(text: string): readonly LedgerEntry[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line) as LedgerEntry);
}

/** The kernel's start time of a process, in ticks since boot; undefined: there is none (or it is dead and not yet reaped). */
export function processStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
