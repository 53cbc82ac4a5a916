/**
 * Bridges in which libvirt makes devices of VMs (`--vif-type bridge`), one for each. Nova makes them before a machine starts, and leaves them. Nothing
 * goes through them: the vrouter takes what comes by the device, and before its program is there the guard drops it.
 */
import { type Logger, startLoop } from '@cable/kit';
import { TAP_BRIDGE_PREFIX, tapBridgeName } from '@cable/model';
import type { StateUpdate } from '../stream/slice-reader.ts';
import type { LinkRemover } from './link-remover.ts';
import type { ObservedLink } from './link-rows.ts';

const NAME = new RegExp(`^${TAP_BRIDGE_PREFIX}[0-9a-f]{8}-[0-9a-f]{2}$`);
/** Nova may be ahead of what this host was told of its ports. */
const EVERY_MS = 60_000;

export type TapBridgeSweepOptions = {
  readonly links: { values(): Iterable<ObservedLink> };
  /** Ids of the ports of this host. */
  readonly ports: () => Iterable<string>;
  readonly remover: Pick<LinkRemover, 'remove'>;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Time between looks. Default one minute. */
  readonly everyMs?: number;
};

/** `take`: the state of the host changed. `done` resolves after the signal aborted. */
export type TapBridgeSweep = { take(update: Pick<StateUpdate, 'synced'>): void; readonly done: Promise<void> };

/** Whether it is a bridge that Nova makes for the device of one port. */
export function isTapBridge({ name, kind }: Pick<ObservedLink, 'name' | 'kind'>): boolean {
  return kind === 'bridge' && NAME.test(name);
}

/** Removes bridges that at two looks in turn were of no port of this host. Begins once the state is known to be whole. */
export function startTapBridgeSweep(options: TapBridgeSweepOptions): TapBridgeSweep {
  const { links, ports, remover, log, signal, everyMs = EVERY_MS } = options;
  let isWhole = false;
  let suspects: ReadonlySet<number> = new Set();
  const run = async (): Promise<void> => {
    if (!isWhole) return;
    const bridges = [...links.values()].filter(isTapBridge);
    if (bridges.length === 0) return;
    const wanted = new Set([...ports()].map(tapBridgeName));
    const unwanted = bridges.filter(({ name }) => !wanted.has(name));
    const going = unwanted.filter(({ ifindex }) => suspects.has(ifindex));
    suspects = new Set(unwanted.map(({ ifindex }) => ifindex));
    if (going.length === 0) return;
    await remover.remove(going.map(({ ifindex }) => ifindex));
    log.info({ bridges: going.map(({ name }) => name) }, 'removed bridges of ports that are gone');
  };
  const { done } = startLoop({ name: 'tap bridges', log, signal, run, everyMs });
  return {
    take: ({ synced }) => {
      isWhole ||= synced;
    },
    done,
  };
}
