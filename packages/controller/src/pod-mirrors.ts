/** Copies of a pod's traffic by annotation: a tap flow from its port to a tap service of its project, such as a Mirror has. */
import type { Client } from '@cable/api';
import { type AnyObject, isUuid } from '@cable/model';
import { isGone } from './cable-access.ts';
import { onlyOne, Unfit } from './pod-place.ts';
import { KIND } from './pod-ports.ts';
import { originOf, originText, type PortFacts } from './port-book.ts';
import { MACHINE_KINDS } from './virtual-machines.ts';

type Flow = { readonly id: string; readonly serviceId: string };

/** Kinds of origins of ports of pods. */
const OF_PODS: readonly string[] = [KIND, ...MACHINE_KINDS];

const PAGE = 2000;
const FIELDS = ['id', 'tap_service_id', 'source_port', 'cable:origin'] as const;

export class PodMirrors {
  readonly #cluster: string;
  /** By the port that is mirrored. */
  readonly #flows = new Map<string, Flow>();

  constructor(cluster: string) {
    this.#cluster = cluster;
  }

  /** Asks for all of them, and forgets what it knew. */
  async load(client: Pick<Client, 'list'>): Promise<void> {
    const query = { 'cable:cluster': this.#cluster, fields: FIELDS, limit: PAGE };
    const found = (await client.list('tap_flow', query)) as readonly AnyObject[];
    this.#flows.clear();
    for (const flow of found) if (OF_PODS.includes(originOf(String(flow['cable:origin'])).kind)) this.#keep(flow);
  }

  /** `wanted`: name or ID of a tap service of the port's project; `true`: its only one; undefined: no copies. Throws `Unfit`. */
  async ensure(client: Client, name: string, port: PortFacts, wanted: string | true | undefined): Promise<void> {
    const known = this.#flows.get(port.id);
    if (wanted === undefined && known === undefined) return;
    const serviceId = wanted === undefined ? undefined : await serviceOf(client, port, wanted);
    if (known?.serviceId === serviceId) return;
    // Where to cannot be changed in place.
    if (known !== undefined) await this.#end(client, port, known);
    if (serviceId === undefined) return;
    const origin = { 'cable:cluster': this.#cluster, 'cable:origin': originText(port.origin) };
    const body = { name, tap_service_id: serviceId, source_port: port.id, direction: 'BOTH', ...origin };
    this.#keep((await client.create('tap_flow', body, `${port.id}/mirror/${serviceId}`)) as AnyObject);
  }

  /** The port is gone, and its flow with it. */
  forget(portId: string): void {
    this.#flows.delete(portId);
  }

  #keep(flow: AnyObject): void {
    this.#flows.set(String(flow['source_port']), { id: flow.id, serviceId: String(flow['tap_service_id']) });
  }

  async #end(client: Client, port: PortFacts, { id }: Flow): Promise<void> {
    await client.delete('tap_flow', id).catch((err: unknown) => {
      if (!isGone(err)) throw err;
    });
    this.#flows.delete(port.id);
  }
}

async function serviceOf(client: Client, { projectId }: PortFacts, wanted: string | true): Promise<string> {
  const query = wanted === true ? {} : isUuid(wanted) ? { id: wanted } : { name: wanted };
  const found = (await client.list('tap_service', { ...query, project_id: projectId })) as readonly AnyObject[];
  if (wanted !== true) return onlyOne(found, 'tap_service', wanted).id;
  const [first, second] = found;
  const asked = { about: 'mirror' } as const;
  if (first === undefined) throw new Unfit('its project has nobody who watches: make a Mirror', asked);
  if (second !== undefined) throw new Unfit('its project has several who watch: name the Mirror', asked);
  return first.id;
}
