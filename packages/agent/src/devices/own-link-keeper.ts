import { type Logger, sleep, startLoop } from '@cable/kit';
import type { Netns } from '../net/netns.ts';
import type { NetlinkSocket } from '../net/socket.ts';
import type { LinkTable } from './link-table.ts';
import { ensureOwnLinks, type OwnLinks, ownLinkFaults } from './own-links.ts';

export type OwnLinkKeeperOptions = {
  /** As made at the start. */
  readonly own: OwnLinks;
  /** What they shall have now. */
  readonly mtuBytes: () => number;
  readonly socket: NetlinkSocket;
  /** Of the guest services. */
  readonly netns: Netns;
  /** Of the fragmenter. */
  readonly fragments: Netns;
  readonly tables: { readonly own: ObservedTable; readonly services: ObservedTable };
  /** One of them is another device now: programs must be put on it. A throw means: again, after a back-off. */
  readonly onRemade: (own: OwnLinks) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
};

type ObservedTable = Pick<LinkTable, 'byName' | 'catchUp'>;

/** `check` asks for a look, as after an event about one of them; `done` resolves after the signal aborted. */
export type OwnLinkKeeper = { check(): void; readonly done: Promise<void> };

/** Somebody who undoes it at once, again and again, is not answered more often. */
const REST_MS = 1_000;

/** Keeps the agent's own links as they were made: what is wrong in the table is put right at once. */
export function startOwnLinkKeeper(options: OwnLinkKeeperOptions): OwnLinkKeeper {
  const { socket, netns, fragments, tables, log, signal } = options;
  let { own } = options;
  const run = async (): Promise<void> => {
    const mtuBytes = options.mtuBytes();
    const faults = ownLinkFaults(own, tables, mtuBytes);
    if (faults.length === 0) return;
    log.warn({ faults }, "the vrouter's own devices were changed, putting them right");
    const made = await ensureOwnLinks(socket, { mtuBytes, netns, fragments, serviceMac: own.service.mac });
    if (!sameDevices(own, made)) options.onRemade(made);
    // Only now: where the programs did not come onto the new devices, the next round must try again.
    own = made;
    tables.own.catchUp();
    tables.services.catchUp();
    await sleep(REST_MS, signal);
  };
  const loop = startLoop({ name: 'own link keeper', log, signal, run });
  return { check: () => loop.trigger(), done: loop.done };
}

function sameDevices(a: OwnLinks, b: OwnLinks): boolean {
  return (
    a.service.ifindex === b.service.ifindex &&
    a.servicePeer.ifindex === b.servicePeer.ifindex &&
    a.overlay.ifindex === b.overlay.ifindex &&
    a.queue.ifindex === b.queue.ifindex &&
    a.queueEnd.ifindex === b.queueEnd.ifindex &&
    a.mirror.ifindex === b.mirror.ifindex &&
    a.mirrorEnd.ifindex === b.mirrorEnd.ifindex &&
    a.fragmenter.link.ifindex === b.fragmenter.link.ifindex
  );
}
