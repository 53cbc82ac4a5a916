import type { LocalPort } from '@cable/model';
import type { HostSnapshot } from '../host/host-loop.ts';
import { createContext } from '../plan/context.ts';
import { numberNames } from '../plan/numbers.ts';
import { policyName } from '../plan/policies.ts';
import { policyUses } from '../plan/vifs.ts';

/** Users' names for the numbers in the maps. What has no name any more is shown as its number. */
export type Names = {
  network(vni: number): string;
  router(vrf: number): string;
  /** `<security group ids>@<network name>`; empty policy: `(no groups)@...`. */
  policy(policy: number): string;
  /** Name of the port behind a device, or its id when it has no name. */
  port(ifindex: number): string;
  device(ifindex: number): string;
  /** Host behind an underlay address. */
  host(underlay: string): string;
  /** Id of the rule whose first 32 bits these are. */
  rule(bits: number): string;
  portById(portId: string): LocalPort | undefined;
};

export function createNames(host: string, snapshot: HostSnapshot): Names {
  const local = { host, slots: new Map<string, number>(), devices: new Map<string, never>() };
  const context = createContext(snapshot.state.slices, local);
  const ports = new Map((context.host?.ports ?? []).map((port) => [port.id, port]));
  const vifs = new Map([...(snapshot.desired?.vifs.values() ?? [])].map((vif) => [vif.ifindex, vif]));
  const networks = new Map([...context.networks.values()].map((one) => [one.vni, one.name || one.id]));
  const routers = new Map<number, string>();
  for (const [id, vrf] of context.vrfs) routers.set(vrf, context.routers.get(id)?.name || id);
  const hosts = new Map<string, string>();
  for (const network of context.networks.values()) {
    for (const one of network.endpoints) if (one.underlay !== null) hosts.set(one.underlay, one.host);
  }
  const policies = policyLabels(context);
  const rules = new Map<number, string>();
  for (const policy of context.policies.values()) {
    for (const rule of policy.rules) rules.set(Number.parseInt(rule.id.slice(0, 8), 16) >>> 0, rule.id);
  }
  const portName = (ifindex: number): string => {
    const id = vifs.get(ifindex)?.portId;
    return id === undefined ? `ifindex ${ifindex}` : ports.get(id)?.name || id;
  };
  return {
    network: (vni) => networks.get(vni) ?? `vni ${vni}`,
    router: (vrf) => (vrf === 0 ? '' : (routers.get(vrf) ?? `vrf ${number(vrf)}`)),
    policy: (policy) => (policy === 0 ? 'none' : (policies.get(policy) ?? `policy ${number(policy)}`)),
    port: portName,
    device: (ifindex) => vifs.get(ifindex)?.device ?? `ifindex ${ifindex}`,
    host: (underlay) => hosts.get(underlay) ?? underlay,
    rule: (bits) => rules.get(bits) ?? `${number(bits)}…`,
    portById: (portId) => ports.get(portId),
  };
}

/** A host-local number as it is shown. */
export function number(value: number): string {
  return value.toString(16).padStart(8, '0');
}

function policyLabels(context: ReturnType<typeof createContext>): ReadonlyMap<number, string> {
  const uses = policyUses(context);
  const numbers = numberNames(uses.map(policyName));
  return new Map(
    uses.map((use) => {
      const network = context.networks.get(use.networkId)?.name || use.networkId;
      const groups = use.key.slice('policy:'.length) || '(no groups)';
      return [numbers.get(policyName(use)) ?? 0, `${groups}@${network}`] as const;
    }),
  );
}
