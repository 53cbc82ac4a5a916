/** Which endpoints of a Service count for clients of one host, as kube-proxy chooses them (`CategorizeEndpoints`). */

/** An endpoint as a choice needs it. */
export type Candidate = {
  /** It takes new connections; false: it serves those that it has, and terminates. */
  readonly isReady: boolean;
  /** Empty: none. */
  readonly host: string;
  /** Zones, and hosts, whose clients should use it; empty: it has no such hint. */
  readonly zoneHints: readonly string[];
  readonly hostHints: readonly string[];
};

/** Where the clients are. */
export type ClientPlace = { readonly host: string; readonly zone: string };

/** `counting`: to these new connections go. `kept`: the others, whose datagrams go on. In the order in which they were given. */
export type Serving<T> = { readonly counting: readonly T[]; readonly kept: readonly T[] };

/** `isLocal`: only endpoints of the clients' own host count. */
export function chooseServing<T extends Candidate>(
  all: readonly T[],
  place: ClientPlace,
  isLocal: boolean,
): Serving<T> {
  const counting = new Set(isLocal ? readyOrLast(all.filter(({ host }) => host === place.host)) : near(all, place));
  return { counting: all.filter((one) => counting.has(one)), kept: all.filter((one) => !counting.has(one)) };
}

/** Where no endpoint is ready, those that terminate do better than none. */
function readyOrLast<T extends Candidate>(all: readonly T[]): readonly T[] {
  const ready = all.filter(({ isReady }) => isReady);
  return ready.length > 0 ? ready : all;
}

/** Hints count only where every endpoint that is ready has one, and one of them names this place: else there would be too few, or none. */
function near<T extends Candidate>(all: readonly T[], { host, zone }: ClientPlace): readonly T[] {
  const ready = all.filter(({ isReady }) => isReady);
  if (ready.length === 0) return all;
  return (
    hinted(ready, ({ hostHints }) => hostHints, host) ?? hinted(ready, ({ zoneHints }) => zoneHints, zone) ?? ready
  );
}

function hinted<T>(
  ready: readonly T[],
  hintsOf: (one: T) => readonly string[],
  here: string,
): readonly T[] | undefined {
  if (ready.some((one) => hintsOf(one).length === 0)) return undefined;
  const named = ready.filter((one) => hintsOf(one).includes(here));
  return named.length === 0 ? undefined : named;
}
