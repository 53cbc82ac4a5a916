/** Frames of a port, as its host takes them. */
import type { FrameFilter, Port } from '@cable/model';
import { answerValue } from './answer-values.ts';
import { boundHost, type FaultDeps } from './counted.ts';
import type { Eyes } from './eyes.ts';
import { askOf, type FollowPlace, placeAfter } from './followed.ts';
import { formatFollowMarker } from './queries.ts';

/** `GET .../capture` */
export type CapturedQuery = FollowPlace & { readonly filter: FrameFilter; readonly snaplen: number };

/** What came since the marker. */
export async function showCaptured(
  { ask }: Pick<FaultDeps, 'ask'>,
  port: Port,
  { filter, snaplen, ...query }: CapturedQuery,
  eyes: Eyes,
): Promise<unknown> {
  const host = boundHost(port);
  const asked = { kind: 'capture', portId: port.id, ...askOf(query), filter, snaplen } as const;
  const answer = answerValue('capture', host, await ask(host, asked));
  const { frames, hasMore } = answer;
  const place = placeAfter(query.marker, { ...answer, records: frames });
  return {
    port: { id: port.id, name: port.name },
    host: eyes.host(host, port),
    marker: formatFollowMarker(place.marker),
    begun_anew: place.isAnew,
    missing: place.missing,
    more: hasMore,
    frames: frames.map(({ atUs, bytes, frame }) => ({ at_us: atUs, bytes, frame })),
  };
}
