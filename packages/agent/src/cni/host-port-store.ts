/**
 * What runtimes want of host ports, kept on this host: a file for each interface of a container that has some, written before its ADD answers. A file is in force as long as there is a link that its
 * container plugged for its port: so what is left of containers that a reboot ended, or whose namespace went, means nothing, and is in nobody's way.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '@cable/kit';
import { absentOn } from '../ffi/errno.ts';
import type { HostPort } from '../plan/host-ports.ts';
import { CNI_CODE, CniError } from './errors.ts';
import { isObject } from './json.ts';
import type { LinkOwner } from './link-owner.ts';
import { firstAtOnePlace, nameOfPlace, portMappingsOf } from './port-mappings.ts';

/** What one interface of a container wants. */
export type KeptHostPorts = {
  readonly portId: string;
  readonly containerId: string;
  readonly interfaceName: string;
  /** As a person calls it: namespace and name; empty: the runtime does not tell. */
  readonly pod: string;
  readonly hostPorts: readonly HostPort[];
};

type Interface = Pick<KeptHostPorts, 'containerId' | 'interfaceName'>;

/** Directory of the files, in that of the agent's state. */
export const HOST_PORTS_DIRECTORY = 'host-ports';
const FILE = /^[0-9a-f]{32}\.json$/;

export class HostPortStore {
  readonly #directory: string;
  readonly #kept = new Map<string, KeptHostPorts>();
  /** Whose ADD runs: they have no link yet. */
  readonly #making = new Set<string>();

  /** Reads what is there. A file that says nothing is removed, and told of in the log: its container lacks its host ports. */
  constructor(stateDir: string, log: Logger) {
    this.#directory = join(stateDir, HOST_PORTS_DIRECTORY);
    for (const name of filesIn(this.#directory)) {
      const path = join(this.#directory, name);
      const kept = FILE.test(name) ? readKept(path) : undefined;
      if (kept !== undefined && this.#pathOf(kept) === path) {
        this.#kept.set(keyOf(kept), kept);
        continue;
      }
      // One that an agent had begun to write when it was ended.
      if (!name.endsWith('.new'))
        log.error(
          { path },
          'what was kept of host ports cannot be read: a pod that had some lacks them until it is made anew',
        );
      rmSync(path, { force: true });
    }
  }

  /** Of the container that plugged the link, for the port that the link is of. */
  of({ portId, plugged }: LinkOwner): readonly HostPort[] {
    const kept = plugged === undefined ? undefined : this.#kept.get(keyOf(plugged));
    return kept?.portId === portId ? kept.hostPorts : [];
  }

  get all(): Iterable<KeptHostPorts> {
    return this.#kept.values();
  }

  /**
   * Keeps what an ADD wants, until `release`. Another container of the same port may have the same: it gives them up with its link. `hasLink`: whether the container still has its link. Throws CniError
   * 11 where another port has one of them, 5 where the disk refuses.
   */
  reserve(wanted: KeptHostPorts, hasLink: (one: KeptHostPorts) => boolean): void {
    if (wanted.hostPorts.length === 0) {
      this.release(wanted);
      return;
    }
    for (const one of [...this.#kept.values()]) {
      if (one.portId === wanted.portId) continue;
      const found = firstAtOnePlace(wanted.hostPorts, one.hostPorts);
      if (found === undefined) continue;
      if (!this.#making.has(keyOf(one)) && !hasLink(one)) this.release(one);
      else throw taken(found, one);
    }
    this.#write(wanted);
    this.#kept.set(keyOf(wanted), wanted);
    this.#making.add(keyOf(wanted));
  }

  /** The ADD is done: from now on the link says whether they are in force. */
  settle(one: Interface): void {
    this.#making.delete(keyOf(one));
  }

  /** They are nobody's any more; absent ones are fine. */
  release(one: Interface): void {
    this.#making.delete(keyOf(one));
    if (this.#kept.delete(keyOf(one))) rmSync(this.#pathOf(one), { force: true });
  }

  /** Forgets those that no link keeps, nor an ADD that runs. */
  prune(hasLink: (one: KeptHostPorts) => boolean): void {
    for (const one of [...this.#kept.values()]) if (!this.#making.has(keyOf(one)) && !hasLink(one)) this.release(one);
  }

  #pathOf(one: Interface): string {
    return join(this.#directory, `${createHash('sha256').update(keyOf(one)).digest('hex').slice(0, 32)}.json`);
  }

  /** It has to outlive this process, not the machine: nothing is synchronized with the disk. */
  #write(kept: KeptHostPorts): void {
    const path = this.#pathOf(kept);
    try {
      mkdirSync(this.#directory, { recursive: true });
      writeFileSync(`${path}.new`, JSON.stringify(formatKept(kept)), { mode: 0o600 });
      renameSync(`${path}.new`, path);
    } catch (err) {
      const reason = err instanceof Error ? err.message : String(err);
      const message = `runtimeConfig.portMappings: cannot be kept: ${reason}`;
      throw new CniError(CNI_CODE.ioFailure, message, 'see that the disk of `cable agent --state` has room', err);
    }
  }
}

/** As a runtime writes them, so that one parser reads both. */
function formatKept({ hostPorts, ...kept }: KeptHostPorts): unknown {
  const portMappings = hostPorts.map(({ hostIp: hostIP, ...one }) => ({ ...one, hostIP }));
  return { ...kept, portMappings };
}

function readKept(path: string): KeptHostPorts | undefined {
  try {
    const kept: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (!isObject(kept)) return undefined;
    const { portId, containerId, interfaceName, pod } = kept;
    if (![portId, containerId, interfaceName, pod].every((one) => typeof one === 'string')) return undefined;
    return { ...(kept as Omit<KeptHostPorts, 'hostPorts'>), hostPorts: portMappingsOf(kept) };
  } catch {
    return undefined;
  }
}

/** For status: who has which port of this host. */
export function hostPortsView(all: Iterable<KeptHostPorts>): readonly unknown[] {
  return [...all].flatMap(({ hostPorts, pod, containerId, portId }) =>
    hostPorts.map(({ protocol, hostIp = null, hostPort, containerPort }) => ({
      ...{ protocol, hostIp, hostPort, containerPort },
      ...{ pod: pod === '' ? null : pod, containerId, portId },
    })),
  );
}

/** Of an agent that is torn down. False: there were none. */
export function removeHostPorts(stateDir: string): boolean {
  const directory = join(stateDir, HOST_PORTS_DIRECTORY);
  const names = filesIn(directory).filter((name) => FILE.test(name.replace(/\.new$/, '')));
  for (const name of names) rmSync(join(directory, name), { force: true });
  absentOn(['ENOENT', 'ENOTEMPTY', 'EEXIST'], () => rmdirSync(directory));
  return names.length > 0;
}

function filesIn(directory: string): readonly string[] {
  return absentOn(['ENOENT'], () => readdirSync(directory)) ?? [];
}

function keyOf({ containerId, interfaceName }: Interface): string {
  return `${containerId}:${interfaceName}`;
}

function taken([at, other]: readonly [number, HostPort], { pod, containerId }: KeptHostPorts): CniError {
  const whose = pod === '' ? `container ${containerId}` : `pod ${pod} (container ${containerId})`;
  const message = `runtimeConfig.portMappings[${at}].hostPort: port ${nameOfPlace(other)} of this host is that of ${whose}`;
  const remedy = 'end that one, or give another hostPort or hostIP';
  return new CniError(CNI_CODE.tryAgainLater, message, remedy);
}
