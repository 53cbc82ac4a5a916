/** Hears of devices that come, change and go, without polling. */
import { closeSync } from 'node:fs';
import koffi from 'koffi';
import { errnoName, NetlinkError } from '../ffi/errno.ts';
import { lastErrno, libc } from '../ffi/libc.ts';
import { decodeLink } from './link.ts';
import { decodeMessages } from './message.ts';
import { inNetns } from './netns.ts';
import { openRouteSocket } from './socket.ts';

/** What may have changed: the named devices, or `all`: events were lost, or the watch has just begun. Only a hint: look for yourself. */
export type LinkHint = { readonly kind: 'links'; readonly names: ReadonlySet<string> } | { readonly kind: 'all' };

export type WatchOptions = {
  readonly signal: AbortSignal;
  /** Path of the network namespace to watch; default: the one this process is in. */
  readonly netns?: string;
};

const RTNLGRP_LINK_MASK = 1;
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RECEIVE_BYTES = 1 << 16;
const READS_PER_TURN = 64;

/**
 * Calls `onChange` once at the start, then after each burst of changes. Events are heard from before the first call on, so a
 * caller that looks when called misses nothing. Ends, and lets the process end, when the signal aborts.
 */
export function watchLinks(onChange: (hint: LinkHint) => void, options: WatchOptions): void {
  if (options.signal.aborted) return;
  const open = (): number => openRouteSocket({ groups: RTNLGRP_LINK_MASK, nonBlocking: true });
  const fd = options.netns === undefined ? open() : inNetns(options.netns, open);
  const buffer = new Uint8Array(RECEIVE_BYTES);
  const poll = koffi.node.poll(fd, { readable: true }, () => {
    const hint = readHint(fd, buffer);
    if (hint !== undefined) onChange(hint);
  });
  const stop = (): void => {
    poll.close();
    closeSync(fd);
  };
  options.signal.addEventListener('abort', stop, { once: true });
  onChange({ kind: 'all' });
}

/** Drains the socket. What does not fit in one turn is read in the next. */
function readHint(fd: number, buffer: Uint8Array): LinkHint | undefined {
  const names = new Set<string>();
  for (let i = 0; i < READS_PER_TURN; i++) {
    const size = libc().recv(fd, buffer, buffer.length, 0);
    if (size < 0) {
      const code = errnoName(lastErrno());
      if (code === 'ENOBUFS') return { kind: 'all' };
      if (code === 'EAGAIN' || code === 'EINTR') break;
      throw new NetlinkError('hear of devices', code);
    }
    for (const message of decodeMessages(buffer.subarray(0, size))) {
      if (message.type === RTM_NEWLINK || message.type === RTM_DELLINK) names.add(decodeLink(message).name);
    }
  }
  return names.size === 0 ? undefined : { kind: 'links', names };
}
