/** Fewer ports than this may go without a question. */
const LEAST = 10;

/** Ports that a server left out and the host keeps, as it is remembered. */
export type Removal = {
  /** Of how many ports: those there were at first, and those that were left out since; without those deleted since. */
  readonly before: number;
  /** When it began, ISO 8601. */
  readonly since: string;
};

/** What an update does to a host's ports. */
export type PortAbsence = {
  /** Ports before it that are not kept ones. */
  readonly live: number;
  /** Of these, left out by it. */
  readonly absent: number;
  /** Kept ports that it neither brings back nor deletes. */
  readonly kept: number;
  /** Kept ports that it deletes. */
  readonly deleted: number;
};

/** Whether so many of a host's ports may not go without a question. */
export function isMost(absent: number, before: number): boolean {
  return absent >= LEAST && absent > before / 2;
}

/**
 * Guards a host's ports against a server that does not know them any more: when more than half of them are absent, and at least ten, they are kept.
 * Ports that are deleted one by one are not absent. Answers what is kept after the update; null: nothing is, also of what was kept before.
 */
export function judgeRemoval(removal: Removal | null, ports: PortAbsence, now: Date): Removal | null {
  const before = removal === null ? ports.live : removal.before + ports.absent - ports.deleted;
  const absent = ports.kept + ports.absent;
  if (!isMost(absent, before)) return null;
  return { before, since: removal?.since ?? now.toISOString() };
}
