/**
 * The conformance probe: everything that the contract has is asked of a plug-in, with objects of the probe's own (named cable-probe), twice each, and with arguments
 * that are none. It ends with its objects deleted. Needs nothing of the server, so it tests any back end.
 */
import { randomUUID } from 'node:crypto';
import { capabilityFault, limitsFault } from './capability-faults.ts';
import { type Capabilities, isFields, parseCapabilities, parsePlug, RESOURCES, type ResourceName } from './contract.ts';
import { type PluginAnswer, type PluginClient, PluginUnreachable } from './plugin-client.ts';

/** One thing that was asked. `detail`: why it failed, or what was found. */
export type Check = { readonly name: string; readonly passed: boolean; readonly detail: string; readonly ms: number };

/** What was found. `capabilities` undefined: it does not say what it can do, so nothing else was asked. */
export type ProbeReport = {
  readonly passed: boolean;
  readonly checks: readonly Check[];
  readonly capabilities: Capabilities | undefined;
  /** True: it did not answer at all, so that it says nothing of the plug-in. */
  readonly isAway: boolean;
};

export type ProbeOptions = {
  /** The same without the token, or with another; undefined: it has none. */
  readonly stranger?: PluginClient | undefined;
  /** What the server has of its objects: `sync` is asked with these, so that the plug-in drops nothing that it is to keep. Default: nothing. */
  readonly owned?: (resource: ResourceName) => readonly { readonly id: string; readonly revision: number }[];
  readonly signal?: AbortSignal;
};

/** Name of the probe's objects. */
export const PROBE_NAME = 'cable-probe';

/** An answer comes within this time, or the check has failed. */
const CALL_MS = 5000;

/** Asks everything. Does not throw. */
export async function runProbe(client: PluginClient, options: ProbeOptions = {}): Promise<ProbeReport> {
  const checks: Check[] = [];
  const probe = new Probe(client, checks, options);
  const said = await probe.capabilities();
  const isAway = said === undefined && checks.every(({ detail }) => detail.startsWith(AWAY));
  if (said !== undefined) await probe.everything(said);
  return { passed: checks.every(({ passed }) => passed), checks, capabilities: said, isAway };
}

const AWAY = 'no answer: ';

type Objects = Readonly<Record<ResourceName, Readonly<Record<string, unknown>> & { readonly id: string }>>;

class Probe {
  readonly #client: PluginClient;
  readonly #checks: Check[];
  readonly #options: ProbeOptions;

  constructor(client: PluginClient, checks: Check[], options: ProbeOptions) {
    this.#client = client;
    this.#checks = checks;
    this.#options = options;
  }

  async capabilities(): Promise<Capabilities | undefined> {
    let said: Capabilities | undefined;
    await this.#check('capabilities', async () => {
      const answer = await this.#good('capabilities', {});
      const parsed = parseCapabilities(answer);
      if (!parsed.ok) throw new Failure(parsed.reason);
      const fault = capabilityFault(fieldsOf(answer));
      if (fault !== undefined) throw new Failure(fault);
      said = parsed.value;
      const { networkTypes } = parsed.value;
      return `resources ${Object.keys(parsed.value.resources).join(', ')}; network types ${networkTypes.join(', ')}`;
    });
    return said;
  }

  async everything(said: Capabilities): Promise<void> {
    await this.#asksOfItself(said);
    await this.#refusals();
    const objects = probeObjects(said.networkTypes);
    const resources = RESOURCES.filter((name) => said.resources[name] !== undefined);
    await this.#verify(resources, objects);
    for (const resource of resources) await this.#write(resource, objects[resource]);
    if (resources.includes('port')) await this.#bind(objects.port, said.vifTypes);
    for (const resource of resources) await this.#sync(resource, objects[resource].id);
    for (const resource of [...resources].reverse()) await this.#remove(resource, objects[resource].id);
    await this.#check('capabilities again: it did not start anew meanwhile', async () => {
      const parsed = parseCapabilities(await this.#good('capabilities', {}));
      if (!parsed.ok) throw new Failure(parsed.reason);
      if (parsed.value.instance !== said.instance) throw new Failure('instance is another one: it started anew');
      return '';
    });
  }

  async #asksOfItself({ instance }: Capabilities): Promise<void> {
    await this.#check('health', async () => {
      const { ok, reason, instance: now } = fieldsOf(await this.#good('health', {}));
      if (typeof ok !== 'boolean') throw new Failure('ok is neither true nor false');
      if (now !== instance) throw new Failure('instance is not that of capabilities: both say what this start has');
      return ok ? 'well' : `not well: ${String(reason).slice(0, 200)}`;
    });
    await this.#check('usage', async () => {
      const { used } = fieldsOf(await this.#good('usage', {}));
      if (!isFields(used)) throw new Failure('used is no object');
      return '';
    });
    await this.#check('limits', async () => {
      const { limits } = fieldsOf(await this.#good('limits', {}));
      const fault = limitsFault(limits ?? null);
      if (fault !== undefined) throw new Failure(fault);
      return '';
    });
  }

  async #refusals(): Promise<void> {
    const { stranger } = this.#options;
    if (stranger !== undefined)
      await this.#refused('a wrong token is refused', () => this.#ask('health', {}, stranger));
    await this.#refused('an unknown verb is refused', () => this.#ask('cable-probe', {}));
    await this.#refused('GET is refused', () => this.#ask('health', {}, this.#client, 'GET'));
    await this.#refused('a body that is no object is refused', () => this.#ask('verify', []));
    const network = probeObjects(['vxlan']).network;
    const wrong: readonly (readonly [string, string, object])[] = [
      ['create of an unknown resource', 'create', { resource: 'cable_probe', object: network, revision: 1 }],
      ['create without an object', 'create', { resource: 'network', revision: 1 }],
      ['create of an object that is a number', 'create', { resource: 'network', object: 7, revision: 1 }],
      ['create without an id', 'create', { resource: 'network', object: { name: PROBE_NAME }, revision: 1 }],
      ['a revision that is a text', 'create', { resource: 'network', object: network, revision: 'x' }],
      ['delete without an id', 'delete', { resource: 'network', revision: 1 }],
      ['sync of a text', 'sync', { resource: 'network', objects: 'x' }],
    ];
    for (const [name, verb, body] of wrong) await this.#refused(`${name} is refused`, () => this.#ask(verb, body));
  }

  async #verify(resources: readonly ResourceName[], objects: Objects): Promise<void> {
    for (const resource of resources) {
      await this.#check(`verify ${resource}`, async () => {
        const { ok, reason } = fieldsOf(
          await this.#good('verify', { verb: 'create', resource, object: objects[resource], probe: true }),
        );
        if (ok !== true) throw new Failure(`ok is not true: ${String(reason).slice(0, 200)}`);
        return '';
      });
    }
    await this.#check('verify says no to what is no object', async () => {
      const answer = await this.#ask('verify', { verb: 'create', resource: 'network', object: 7, probe: true });
      const isNo = fieldsOf(answer.body)['ok'] === false || (answer.status >= 400 && answer.status < 500);
      if (!isNo) throw new Failure(`status ${answer.status}, and no ok: false`);
      return '';
    });
  }

  async #write(resource: ResourceName, object: Objects[ResourceName]): Promise<void> {
    const later = { ...object, description: 'changed', revision_number: 2 };
    const steps: readonly (readonly [string, string, object])[] = [
      ['create', 'create', { object, revision: 1 }],
      ['create again', 'create', { object, revision: 1 }],
      ['update', 'update', { object: later, revision: 2 }],
      ['update again', 'update', { object: later, revision: 2 }],
      ['update that comes late', 'update', { object, revision: 1 }],
    ];
    for (const [name, verb, body] of steps) {
      await this.#check(`${name} ${resource}`, async () => {
        await this.#good(verb, { resource, ...body, probe: true });
        return '';
      });
    }
  }

  async #bind(port: Objects['port'], vifTypes: readonly string[]): Promise<void> {
    for (const name of ['bind', 'bind again']) {
      await this.#check(name, async () => {
        const answer = fieldsOf(await this.#good('bind', { port, host: 'cable-probe.invalid', probe: true }));
        if (typeof answer['refused'] === 'string') return `refused: ${answer['refused'].slice(0, 200)}`;
        const plug = parsePlug(answer, vifTypes);
        if (plug.vif_type === undefined) throw new Failure(plug.refused);
        return `vif_type ${plug.vif_type}`;
      });
    }
    for (const name of ['unbind', 'unbind again']) {
      await this.#check(name, async () => {
        await this.#good('unbind', { port, host: 'cable-probe.invalid', probe: true });
        return '';
      });
    }
  }

  async #sync(resource: ResourceName, id: string): Promise<void> {
    await this.#check(`sync ${resource}`, async () => {
      const objects = [...(this.#options.owned?.(resource) ?? []), { id, revision: 2 }];
      const answer = fieldsOf(await this.#good('sync', { resource, objects, probe: true }));
      const { missing, stale, unknown } = answer;
      for (const [name, list] of Object.entries({ missing, stale, unknown })) {
        if (!Array.isArray(list)) throw new Failure(`${name} is no list of ids`);
        if (list.includes(id)) throw new Failure(`${name} names the object that it was just told of`);
      }
      return '';
    });
  }

  async #remove(resource: ResourceName, id: string): Promise<void> {
    for (const name of ['delete', 'delete again']) {
      await this.#check(`${name} ${resource}`, async () => {
        await this.#good('delete', { resource, id, revision: 3, probe: true });
        return '';
      });
    }
    await this.#check(`delete ${resource} that never was`, async () => {
      await this.#good('delete', { resource, id: randomUUID(), revision: 3, probe: true });
      return '';
    });
  }

  async #refused(name: string, ask: () => Promise<PluginAnswer>): Promise<void> {
    await this.#check(name, async () => {
      const { status } = await ask();
      if (status < 400 || status >= 500) throw new Failure(`status ${status}, not one of 400 to 499`);
      return `status ${status}`;
    });
  }

  async #good(verb: string, body: object): Promise<unknown> {
    const answer = await this.#ask(verb, body);
    if (answer.status < 200 || answer.status > 299) throw new Failure(`status ${answer.status}: ${answer.problem}`);
    return answer.body;
  }

  #ask(verb: string, body: object, client = this.#client, method = 'POST'): Promise<PluginAnswer> {
    const { signal } = this.#options;
    return client.call(verb, body, { timeoutMs: CALL_MS, method, ...(signal === undefined ? {} : { signal }) });
  }

  async #check(name: string, run: () => Promise<string>): Promise<void> {
    const start = performance.now();
    const end = (passed: boolean, detail: string): void => {
      this.#checks.push({ name, passed, detail, ms: Math.round(performance.now() - start) });
    };
    try {
      end(true, await run());
    } catch (err) {
      if (err instanceof PluginUnreachable) end(false, `${AWAY}${err.message}`);
      else if (err instanceof Failure) end(false, err.message);
      else throw err;
    }
  }
}

/** A check that did not pass. */
class Failure extends Error {}

function fieldsOf(given: unknown): Readonly<Record<string, unknown>> {
  if (isFields(given)) return given;
  throw new Failure('it answers no JSON object');
}

/** One of each, of which the later refer to the earlier. */
function probeObjects(networkTypes: readonly string[]): Objects {
  const [network, subnet, address_group, security_group, router, port, floatingip] = Array.from(
    { length: 7 },
    randomUUID,
  ) as [string, string, string, string, string, string, string];
  const common = { name: PROBE_NAME, description: '', project_id: PROBE_NAME, tags: [PROBE_NAME], revision_number: 1 };
  const type = networkTypes.find((one) => one !== 'vlan' && one !== 'flat') ?? networkTypes[0] ?? 'vxlan';
  const isPhysical = type === 'vlan' || type === 'flat';
  return {
    network: {
      ...{ id: network, ...common, admin_state_up: true, mtu: 1400, 'router:external': false },
      ...{ 'provider:network_type': type, 'provider:physical_network': isPhysical ? PROBE_NAME : null },
      'provider:segmentation_id': type === 'vlan' ? 4094 : type === 'vxlan' ? 16_777_215 : null,
    },
    subnet: {
      ...{ id: subnet, ...common, network_id: network, cidr: '192.0.2.0/24', ip_version: 4, gateway_ip: '192.0.2.1' },
      ...{ enable_dhcp: true, dns_nameservers: [], host_routes: [], ipv6_address_mode: null, ipv6_ra_mode: null },
      allocation_pools: [{ start: '192.0.2.2', end: '192.0.2.254' }],
    },
    address_group: { id: address_group, ...common, addresses: ['198.51.100.0/24'] },
    security_group: { id: security_group, ...common, stateful: true, security_group_rules: [] },
    router: { id: router, ...common, admin_state_up: true, external_gateway_info: null, routes: [] },
    port: {
      ...{ id: port, ...common, network_id: network, mac_address: 'fa:16:3e:00:00:01', admin_state_up: true },
      ...{ fixed_ips: [{ subnet_id: subnet, ip_address: '192.0.2.10' }], security_groups: [security_group] },
      ...{ device_id: '', device_owner: '', port_security_enabled: true, allowed_address_pairs: [] },
      ...{ extra_dhcp_opts: [], 'binding:host_id': '', 'binding:vnic_type': 'normal', 'binding:profile': {} },
    },
    floatingip: {
      ...{ id: floatingip, ...common, floating_network_id: network, floating_ip_address: '192.0.2.20' },
      ...{ port_id: null, fixed_ip_address: null, router_id: null },
    },
  };
}
