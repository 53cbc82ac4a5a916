import { readFileSync, statSync } from 'node:fs';
import { type DnsUpstream, usableUpstreams } from './dns-forwarder.ts';

/** Files that name the host's servers. systemd-resolved names itself in the first one, and its servers in the second. */
const RESOLV_CONF = ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf'];

/** Between looks whether a file is another one now. */
const LOOK_MS = 5_000;
/** As many as resolv.conf(5) knows. */
const MAX_SERVERS = 3;
const MAX_FILE_BYTES = 64 << 10;

export type HostUpstreamsDeps = {
  /** Addresses of this host, now: it is never asked itself. */
  readonly ownAddresses: () => readonly string[];
  /** Milliseconds, monotonic. */
  readonly now: () => number;
  /** The first one with a server that can be asked counts. Default: `/etc/resolv.conf`, then that of systemd-resolved. */
  readonly files?: readonly string[];
};

/** The host's own name servers, as of its `resolv.conf` at most five seconds ago. */
export function hostUpstreams({
  ownAddresses,
  now,
  files = RESOLV_CONF,
}: HostUpstreamsDeps): () => readonly DnsUpstream[] {
  let lookedAt = Number.NEGATIVE_INFINITY;
  let version = '';
  let known: readonly DnsUpstream[] = [];
  return () => {
    if (now() - lookedAt < LOOK_MS) return known;
    lookedAt = now();
    const current = files.map(versionOf).join(' ');
    if (current === version && known.length > 0) return known;
    version = current;
    const own = ownAddresses();
    known = files.map((file) => usableUpstreams(serversIn(file), own)).find((servers) => servers.length > 0) ?? [];
    return known;
  };
}

function versionOf(file: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(file);
    return `${ino}/${size}/${mtimeMs}`;
  } catch {
    return 'absent';
  }
}

/** None when the file is not there or cannot be read: names of others are refused then, and a later look may find it. */
function serversIn(file: string): readonly string[] {
  try {
    return parseResolvConf(readFileSync(file, 'utf8').slice(0, MAX_FILE_BYTES));
  } catch {
    return [];
  }
}

/** The first three servers that a resolv.conf(5) names. */
export function parseResolvConf(text: string): readonly string[] {
  return text
    .split('\n')
    .flatMap((line) => /^nameserver[ \t]+(\S+)/.exec(line)?.[1] ?? [])
    .slice(0, MAX_SERVERS);
}
