/** `GET <collection>?watch=1&since=<revision>&history=<history>`: changes of the objects that the caller sees, one JSON object a line. */
import type { Writable } from 'node:stream';
import type { Turns } from '@cable/kit';
import { type AnyObject, CableError } from '@cable/model';
import type { ChangeRings, ObjectChange } from './change-rings.ts';

/** How often one is told how far everything has been told. */
const BOOKMARK_MS = 5000;

/** After so long a watch ends: whoever goes on sends a token that is still good. */
const LONGEST_MS = 30 * 60 * 1000;

/** Watches that are open at once, and those of one project. */
const MOST = 2000;
const MOST_OF_PROJECT = 200;

const open = new Map<string, number>();

/** What a watch is about. */
export type Watch = {
  readonly rings: ChangeRings;
  readonly type: string;
  /** Project of the caller; null: he has none. */
  readonly projectId: string | null;
  /** Revision up to which the client knows everything; undefined: it knows nothing. */
  readonly since: number | undefined;
  /** Which history of the store its revisions are of, as a client gives it back. */
  readonly history: () => string;
  /** All objects that are there. */
  readonly rows: () => Iterable<AnyObject>;
  /** The object's JSON text as the caller sees it; undefined: he does not see it, or did not ask for it. */
  readonly show: (row: AnyObject) => string | undefined;
  /** False: what is loaded, or who may what, is not as it was when the watch began. */
  readonly isCurrent: () => boolean;
  readonly signal: AbortSignal;
  /** Others have theirs between the objects. */
  readonly turns: Turns;
};

type Kind = 'ADDED' | 'MODIFIED' | 'DELETED';

/** Writes the lines until the client leaves, or something ends it. `start`: sends the headers. Throws a `CableError` before that. */
export async function runWatch(watch: Watch, start: () => Writable): Promise<void> {
  const { rings, type, since, signal } = watch;
  const leave = enter(watch.projectId);
  try {
    if (since !== undefined && rings.after(type, since) === undefined) throw tooOld(since, rings.revision);
    const out = start();
    let at = since ?? rings.revision;
    if (since === undefined) await writeAll(watch, out, at);
    const end = performance.now() + LONGEST_MS;
    let bookmarkAt = 0;
    while (!signal.aborted && !rings.isEnded && !out.destroyed && performance.now() < end && watch.isCurrent()) {
      const changes = rings.after(type, at);
      if (changes === undefined) {
        await write(
          out,
          line({ type: 'ERROR', status: 410, detail: 'changes were missed: list the objects anew' }),
          signal,
        );
        break;
      }
      const reached = rings.revision;
      for (const change of changes) {
        if (watch.turns.due()) await watch.turns.next();
        await writeChange(watch, out, change);
      }
      at = reached;
      if (changes.length > 0 || performance.now() >= bookmarkAt) {
        await write(out, line({ type: 'BOOKMARK', revision: at, history: watch.history() }), signal);
        bookmarkAt = performance.now() + BOOKMARK_MS;
      }
      if (rings.revision === at) await rings.next(signal, BOOKMARK_MS);
    }
    out.end();
  } finally {
    leave();
  }
}

function enter(projectId: string | null): () => void {
  const name = projectId ?? '';
  const own = open.get(name) ?? 0;
  const all = [...open.values()].reduce((sum, one) => sum + one, 0);
  if (all >= MOST || own >= MOST_OF_PROJECT) {
    throw new CableError('OverLimit', `There are ${own} open watches of the project, and ${all} in all.`, {
      detail: `There may be ${MOST_OF_PROJECT} and ${MOST}: close some.`,
    });
  }
  open.set(name, own + 1);
  return () => {
    const left = (open.get(name) ?? 1) - 1;
    if (left === 0) open.delete(name);
    else open.set(name, left);
  };
}

async function writeAll({ rows, show, signal, turns }: Watch, out: Writable, revision: number): Promise<void> {
  for (const row of rows()) {
    if (turns.due()) await turns.next();
    if (signal.aborted) return;
    const text = show(row);
    if (text !== undefined) await write(out, eventOf('ADDED', revision, text), signal);
  }
}

async function writeChange(
  { show, signal }: Watch,
  out: Writable,
  { revision, before, after }: ObjectChange,
): Promise<void> {
  const had = before === undefined ? undefined : show(before);
  const has = after === undefined ? undefined : show(after);
  if (has !== undefined) await write(out, eventOf(had === undefined ? 'ADDED' : 'MODIFIED', revision, has), signal);
  else if (had !== undefined) await write(out, eventOf('DELETED', revision, had), signal);
}

function eventOf(kind: Kind, revision: number, text: string): string {
  return `{"type":"${kind}","revision":${revision},"object":${text}}\n`;
}

function line(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}

/** Waits while the client takes nothing. */
async function write(out: Writable, text: string, signal: AbortSignal): Promise<void> {
  if (out.destroyed || out.write(text)) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      for (const name of ['drain', 'close'] as const) out.off(name, done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    for (const name of ['drain', 'close'] as const) out.on(name, done);
    signal.addEventListener('abort', done, { once: true });
  });
}

function tooOld(since: number, revision: number): CableError {
  return new CableError(
    'WatchExpired',
    `Changes since revision ${since} are not known any more, or not yet: this server is at ${revision}.`,
  );
}
