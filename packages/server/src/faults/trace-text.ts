import type { DropReason, Port, TraceEnd, TraceHop, TraceStep } from '@cable/model';
import { ROUTER_GATEWAY } from '../resources/device-owners.ts';
import type { Tables } from '../tables.ts';
import type { Eyes, Named } from './eyes.ts';

/** One host on the way, in users' names. `end` null: not sent. */
export type ShownHop = {
  /** Null: the caller may not know where ports are. */
  readonly host: string | null;
  readonly steps: readonly ShownStep[];
};

/** `text` for people; the rest for programs. */
export type ShownStep = { readonly kind: string; readonly text: string } & Readonly<Record<string, unknown>>;

type Context = {
  readonly host: string;
  /** That the way begins at. */
  readonly port: Port;
  readonly eyes: Eyes;
  readonly tables: Pick<Tables, 'of'>;
  readonly receiver: TraceEnd | null;
  /** Id of the network on whose physical network a machine sends it; absent: a port sends it. */
  readonly outside?: string;
  /** The packet is to a group of multicast. */
  readonly isGroups: boolean;
};

/** What became of the packet at a host. */
export function showHop(hop: TraceHop, context: Context): ShownHop {
  const { eyes, host, port } = context;
  return {
    host: eyes.host(host, port),
    steps: [
      ...neighbourStep(hop, context),
      ...hop.steps.flatMap((step) => showStep(step, hop, context)),
      ...(hop.end === null ? [] : [endStep(hop.end, context)]),
    ],
  };
}

function neighbourStep({ neighbour }: TraceHop, { eyes, port, outside, isGroups }: Context): readonly ShownStep[] {
  if (neighbour === null) return [];
  const { address, mac, end } = neighbour;
  const sender =
    outside === undefined
      ? { kind: 'port', text: `port ${nameOf(eyes.port(port.id), 'port')} sends` }
      : {
          kind: 'machine',
          text: `a machine on the physical network of ${nameOf(eyes.network(outside), 'network')} sends`,
        };
  // Behind another project's floating IP or load balancer nobody sees an address.
  if (outside === undefined && eyes.port(port.id) === null) {
    const text = mac === null ? 'its next hop does not answer' : 'its next hop answers';
    return [sender, { kind: 'neighbour', text, address: null, mac: null }];
  }
  if (isGroups && mac !== null) return [sender, { kind: 'neighbour', text: `to ${address} by ${mac}`, address, mac }];
  if (mac !== null)
    return [sender, { kind: 'neighbour', text: `next hop ${address} answers with ${mac}`, address, mac }];
  const why =
    end.kind === 'drop'
      ? reasonText(end.reason)
      : 'nobody is known to have it; the question goes to all of the network';
  return [sender, { kind: 'neighbour', text: `next hop ${address} does not answer: ${why}`, address, mac: null }];
}

/** A kind that this code does not know says its name alone. */
function showStep(step: TraceStep, hop: TraceHop, context: Context): readonly ShownStep[] {
  const { eyes } = context;
  switch (step.kind) {
    case 'source': {
      // Of what another host sent that host has asked.
      if (hop.neighbour === null) return [];
      const text = step.isAsked
        ? step.isAllowed
          ? 'anti-spoofing: the port may send from this address'
          : 'anti-spoofing: the port may not send from this address'
        : 'anti-spoofing: the port has no port security';
      return [{ kind: step.kind, text, asked: step.isAsked, allowed: step.isAllowed }];
    }
    case 'flow': {
      const which = step.isAnswer ? 'an answer of a known connection' : 'of a known connection';
      const text = step.holds ? `${which}: decided before` : `${which}: decided anew`;
      return [{ kind: step.kind, text, holds: step.holds, answer: step.isAnswer }];
    }
    case 'router': {
      const router = eyes.router(step.routerId);
      return [{ kind: step.kind, text: `to router ${nameOf(router, 'router')}`, router }];
    }
    case 'route': {
      const network = eyes.network(step.networkId);
      const way = step.nextHop === null ? 'a connected network' : `next hop ${step.nextHop} in network`;
      const text = isTransit(step.networkId, context)
        ? 'route: to the host of the router’s gateway'
        : `route: ${way} ${nameOf(network, 'network')}`;
      if (step.peeringId === undefined) return [{ kind: step.kind, text, network, next_hop: step.nextHop }];
      const peering = eyes.peering(step.peeringId);
      const by = `route: by peering ${nameOf(peering, 'peering')}, to network ${nameOf(network, 'network')}`;
      return [{ kind: step.kind, text: by, network, next_hop: null, peering }];
    }
    case 'policy-route': {
      const policy = policyRouteOf(step.policy, hop, context);
      const became = {
        allow: 'the routes decide',
        drop: 'it is dropped',
        reroute: `to next hop ${step.nextHop}`,
      }[step.action];
      const text = `policy route ${nameOf(policy, 'policy route')} matches: ${became}`;
      return [{ kind: step.kind, text, policy, action: step.action, next_hop: step.nextHop }];
    }
    case 'receiver': {
      const port = eyes.port(step.portId);
      return [{ kind: step.kind, text: `receiver: port ${nameOf(port, 'port')}, on this host`, port }];
    }
    case 'tunnel':
      return [tunnelStep(step.underlay, context)];
    case 'rule':
      return [ruleStep(step, hop, context)];
    case 'copy': {
      const port = eyes.port(step.portId);
      const elsewhere = step.isOutside === true ? 'the physical network' : 'another host';
      const to = step.portId === null ? elsewhere : `port ${nameOf(port, 'port')}`;
      const text = step.passed ? `a copy to ${to}` : `no copy to ${to}: its rules do not allow it`;
      return [{ kind: step.kind, text, port, passed: step.passed }];
    }
    case 'passed-over': {
      const ports =
        step.count === 1 ? '1 port of this host gets no copy' : `${step.count} ports of this host get no copy`;
      const why = step.isReport ? 'reports of groups are for routers of multicast' : 'not joined to the group';
      return [{ kind: step.kind, text: `${ports}: ${why}`, count: step.count, report: step.isReport }];
    }
    case 'translation':
      return [translationStep(step, hop, context)];
    case 'service':
      return [serviceStep(step, hop, context)];
    case 'member':
      return [{ kind: step.kind, text: 'a load balancer gives it to a member of its pool' }];
    case 'outside': {
      const network = eyes.network(step.networkId);
      const known = step.isKnown ? '' : ', whose MAC is not known: it is asked for';
      const text = `to ${step.address} on the physical network of ${nameOf(network, 'network')}${known}`;
      return [{ kind: step.kind, text, network, address: step.address, known: step.isKnown }];
    }
    case 'seek': {
      const text = `several ports may have ${step.address}, and nobody is known to: who has it is asked, and the packet is lost`;
      return [{ kind: step.kind, text, network: eyes.network(step.networkId), address: step.address }];
    }
    case 'limit': {
      const text = `QoS: it waits for a limit of what the ${step.direction === 'egress' ? 'sender sends' : 'receiver receives'}, and goes on`;
      return [{ kind: step.kind, text, direction: step.direction }];
    }
    case 'mirror': {
      // That a port is watched is told to who may see the port.
      const port = eyes.port(step.portId);
      if (port === null) return [];
      const mirror = eyes.mirror(step.mirrorId);
      const what = step.direction === 'egress' ? 'sends' : 'receives';
      const text = `mirrored: what port ${nameOf(port, 'port')} ${what} is copied by ${nameOf(mirror, 'mirror')}`;
      return [{ kind: step.kind, text, mirror, port, direction: step.direction }];
    }
    default:
      return [
        { kind: String((step as { readonly kind: unknown }).kind), text: 'a step that this server does not know' },
      ];
  }
}

/** Behind another project's floating IP or load balancer nobody sees an address: a destination is shown to who may see the port that has it. */
function translationStep(
  step: Extract<TraceStep, { kind: 'translation' }>,
  { steps }: TraceHop,
  { eyes, port, tables }: Context,
): ShownStep {
  const { of, port: number } = step;
  const routed = steps.flatMap((one) => (one.kind === 'route' ? [one.networkId] : [])).at(-1) ?? port.network_id;
  const isSeen = tables
    .of('port')
    .by('network_id', routed)
    .some(({ id, fixed_ips: ips }) => ips.some(({ ip_address: ip }) => ip === step.address) && eyes.port(id) !== null);
  const address = of === 'source' || isSeen ? step.address : null;
  const text = `its ${of} becomes ${address ?? 'an address of another project'}${number === null ? '' : `, port ${number}`}`;
  return { kind: step.kind, text, of, address, port: number };
}

/** Among those of the routers that the hop passes. */
function policyRouteOf(start: string, { steps }: TraceHop, { eyes, tables }: Context): Named | null {
  for (const step of steps) {
    if (step.kind !== 'router' || step.routerId === null) continue;
    for (const { id } of tables.of('router_policy').by('router_id', step.routerId))
      if (id.startsWith(start)) return eyes.policyRoute(id);
  }
  return null;
}

/** The Service of a scope behind one of the routers that the packet came to; where its endpoint is is told to who sees the Service, or the endpoint's port. */
function serviceStep(
  { service: start, address, port: number }: Extract<TraceStep, { kind: 'service' }>,
  { steps }: TraceHop,
  { eyes, tables }: Context,
): ShownStep {
  const routers = steps.flatMap((step) => (step.kind === 'router' && step.routerId !== null ? [step.routerId] : []));
  const scopes = routers.flatMap((id) => tables.of('service_scope').by('router_ids', id));
  const found = scopes
    .flatMap(({ id }) => tables.of('service').by('scope_id', id))
    .find(({ id }) => id.startsWith(start));
  const service = found === undefined ? null : eyes.service(found.id);
  const endpoint = tables
    .of('endpoint_set')
    .by('service_id', found?.id ?? '')
    .flatMap(({ endpoints }) => endpoints)
    .find((one) => one.address === address);
  const port = eyes.port(endpoint?.port_id ?? null);
  const where = service === null && port === null ? 'an endpoint' : `endpoint ${address} port ${number}`;
  const text = `Service ${nameOf(service, 'service')} gives it to ${where}${port === null ? '' : `, of port ${nameOf(port, 'port')}`}`;
  return { kind: 'service', text, service, port };
}

function tunnelStep(underlay: string, { eyes, port, tables }: Context): ShownStep {
  const name = tables.of('host').by('underlay', underlay)[0]?.id ?? underlay;
  const host = eyes.host(name, port);
  return {
    kind: 'tunnel',
    text: host === null ? 'the receiver is on another host' : `receiver: on host ${host}`,
    host,
  };
}

/** Of a reply the connection's rules are asked: the sender of an answer is the connection's receiver. */
function ruleStep(step: Extract<TraceStep, { kind: 'rule' }>, hop: TraceHop, context: Context): ShownStep {
  const { direction, rule } = step;
  if (rule === null) {
    const by = step.deniedBy === undefined ? null : ruleOf(step.deniedBy, hop, context);
    const denier = by?.policy ?? null;
    if (by?.subnet !== undefined) {
      const text = `private subnets: ${by.subnet.name || by.subnet.id} keeps to itself and its cable:allow_subnets (${direction})`;
      return { kind: 'rule', text, direction, rule: null, allowed: false, private_subnet: by.subnet };
    }
    const why =
      denier === null ? `no ${direction} rule allows it` : `${deniedBy(denier, context)} denies it (${direction})`;
    return {
      ...{ kind: 'rule', text: `${asked(direction, hop)}: ${why}`, direction, rule: null, allowed: false },
      ...(denier === null ? {} : { network_policy: denier }),
    };
  }
  if (rule === NO_POLICY) {
    const text = `network policies: none isolates it (${direction}), or its node is the other end`;
    return { kind: 'rule', text, direction, allowed: true, rule: null };
  }
  const found = ruleOf(rule, hop, context);
  if (found !== null && found.policy !== null) {
    const text = `network policies: ${nameOf(found.policy, 'network_policy')} allows it (${direction})`;
    return { kind: 'rule', text, direction, allowed: true, rule: found.id, network_policy: found.policy };
  }
  const shown =
    found === null ? 'a rule of another project' : `rule ${found.id} of group ${nameOf(found.group, 'group')}`;
  return {
    kind: 'rule',
    text: `security groups: ${shown} allows it (${direction})`,
    direction,
    allowed: true,
    rule: found?.id ?? null,
    security_group: found?.group ?? null,
  };
}

/** The policy and its tier. */
function deniedBy(policy: Named, { tables }: Context): string {
  const tier = tables.of('cluster_network_policy').get(policy.id)?.tier ?? 'admin';
  return `${policy.name || policy.id} of the tier ${tier}`;
}

/** What is told of a network policy's default instead of a rule. */
const NO_POLICY = '00000000';

/** Who has refused it. */
function asked(direction: string, { end }: TraceHop): string {
  if (end?.kind === 'drop' && end.reason.name === 'private_subnet') return 'private subnets';
  const isByPolicy = end?.kind === 'drop' && end.reason.name === `network_policy_${direction}`;
  return isByPolicy ? 'network policies' : 'security groups';
}

/** Among the rules of the ports that the hop is about: the sender and the receiver. */
function ruleOf(start: string, { end, steps }: TraceHop, { eyes, port, tables }: Context): ReturnType<Eyes['rule']> {
  const ids = [
    end?.kind === 'port' ? end.portId : null,
    ...steps.map((step) => (step.kind === 'receiver' ? step.portId : null)),
    port.id,
  ];
  for (const id of ids) {
    const found = id === null ? null : eyes.rule(start, tables.of('port').get(id));
    if (found !== null) return found;
  }
  return null;
}

function endStep(end: TraceEnd, context: Context): ShownStep {
  const { eyes } = context;
  switch (end.kind) {
    case 'port': {
      const port = eyes.port(end.portId);
      return { kind: 'delivered', text: `given to port ${nameOf(port, 'port')}`, port };
    }
    case 'host':
      return { kind: 'sent', text: `sent through the tunnel (VNI ${end.vni})`, vni: end.vni };
    case 'outside':
      return { kind: 'left', text: 'leaves by the uplink of the physical network' };
    case 'cut':
      return { kind: 'cut', text: 'cut into pieces that fit the network which it goes into' };
    case 'service':
      return { kind: 'service', text: 'given to the host’s own services: DHCP, DNS, metadata' };
    case 'answered':
      return { kind: 'answered', text: 'answered by the router itself' };
    case 'copies':
      return {
        kind: 'copies',
        text: context.isGroups
          ? 'it goes to those who have joined the group'
          : `nobody is known to have the MAC: ${end.count} copies`,
        copies: end.count,
      };
    case 'drop':
    case 'refusal': {
      const told = end.kind === 'refusal' ? 'dropped, and the sender is told' : 'dropped';
      const { name, remedy } = end.reason;
      return { kind: end.kind, text: `${told}: ${reasonText(end.reason)}`, reason: name, remedy };
    }
    default:
      return {
        kind: String((end as { readonly kind: unknown }).kind),
        text: 'an end that this server does not know',
      };
  }
}

/** The network between the hosts of a router and that of its gateway is no object: it has the id of the gateway's port. */
function isTransit(networkId: string | null, { tables }: Context): boolean {
  return networkId !== null && tables.of('port').get(networkId)?.device_owner === ROUTER_GATEWAY;
}

function reasonText({ name, meaning }: DropReason): string {
  return `${name} (${meaning})`;
}

/** What the caller may not know is another project's. */
function nameOf(named: Named | null, what: string): string {
  if (named === null) return `of another project (${what})`;
  return named.name || named.id;
}
