/** Logs of network policies: a line for the first packet of each connection that a policy lets pass, and for each packet that one does not, of policies that ask for it. */
import type { LocalPort, LoggedPolicy } from '@cable/model';
import { endsOf, portsOf } from '../asks/tuples.ts';
import { CB_DIR_EGRESS, CB_DIR_INGRESS, CB_FAMILY_V4, CB_FAMILY_V6, type CbTupleKey } from '../bpf/abi.gen.ts';
import type { FlowRecord } from '../flow-export/flow-record.ts';
import { createRateLimit, type RateLimit } from '../guest/rate-limit.ts';
import { hex, isMapped } from '../plan/address.ts';
import { typedSlices } from '../plan/inputs.ts';
import type { Planner } from '../plan/planner.ts';
import type { ListedSlices } from '../show/names.ts';
import { type Judgement, judgedPort, judgementsOf } from './judgements.ts';
import { loggedPolicies, namespaceOf } from './policies-of.ts';

/** Lines of a port, of the pods of a namespace, and of the host, a second; twice as many at once after a pause. Who may write policies is a tenant, too: none has all of it. */
const PORT_RATE = 100;
const NAMESPACE_RATE = 500;
const HOST_RATE = 1000;
/** Packets of the host about which it is asked who decided, whether a line comes of it or not. */
const ASK_RATE = 5000;

/** Drops by network policies, each with the direction of whose rules they are. */
const DROPS: Readonly<Record<string, Judgement['direction']>> = {
  network_policy_egress: 'egress',
  network_policy_ingress: 'ingress',
};

export type PolicyLogCounters = {
  /** Lines that were written. */
  readonly policy_log_lines: number;
  /** Above the rates, or for which the file had no room. */
  readonly policy_log_held: number;
};

export type PolicyLogDeps = {
  readonly host: string;
  readonly slices: ListedSlices;
  readonly planner: Pick<Planner, 'decidersOf'>;
  /** Takes a line; false: there is no room. */
  readonly write: (line: string) => boolean;
  /** Milliseconds, monotonic. */
  readonly nowMs: () => number;
};

/** Writes what the vrouter tells, as far as network policies ask for it. */
export class PolicyLogger {
  readonly #deps: PolicyLogDeps;
  readonly #limits: Readonly<Record<'port' | 'namespace' | 'host' | 'asks', RateLimit<string>>>;
  #lines = 0;
  #held = 0;

  constructor(deps: PolicyLogDeps) {
    this.#deps = deps;
    const limit = (perSecond: number): RateLimit<string> =>
      createRateLimit({ perSecond, burst: 2 * perSecond, now: deps.nowMs });
    this.#limits = {
      port: limit(PORT_RATE),
      namespace: limit(NAMESPACE_RATE),
      host: limit(HOST_RATE),
      asks: limit(ASK_RATE),
    };
  }

  get counters(): PolicyLogCounters {
    return { policy_log_lines: this.#lines, policy_log_held: this.#held };
  }

  take(record: FlowRecord): void {
    for (const one of judgementsOf(record, DROPS)) this.#log(record, one);
  }

  #log(record: FlowRecord, about: Judgement): void {
    const port = judgedPort(record, about.isSender, this.#deps);
    if (port === undefined) return;
    const asking = loggedPolicies(port, typedSlices(this.#deps.slices)).filter((one) =>
      about.action === 'ACCEPT' ? one.accepts : one.drops,
    );
    if (asking.length === 0) return;
    if (!this.#limits.asks.take('')) {
      this.#held += 1;
      return;
    }
    const policies = this.#deciding(record, about, port, asking);
    if (policies.length === 0) return;
    const { port: ofPort, namespace, host } = this.#limits;
    const isRoom =
      ofPort.take(port.id) &&
      namespace.take(namespaceOf(port)) &&
      host.take('') &&
      this.#deps.write(JSON.stringify(lineOf(record, about, port, policies)));
    if (isRoom) this.#lines += 1;
    else this.#held += 1;
  }

  /** Those that decided so. */
  #deciding(
    record: FlowRecord,
    { direction, isSender, action }: Judgement,
    port: LocalPort,
    asking: readonly LoggedPolicy[],
  ): readonly LoggedPolicy[] {
    // Of a packet that answers the connection is judged, which goes the other way.
    const view = viewOf(record, isSender, isSender !== (direction === 'egress'));
    const packet = {
      direction: direction === 'egress' ? CB_DIR_EGRESS : CB_DIR_INGRESS,
      family: isMapped(view.remote) ? CB_FAMILY_V4 : CB_FAMILY_V6,
      protocol: record.asked.protocol,
      portBe: view.portBe,
    };
    const found = this.#deps.planner.decidersOf(port, `${hex(view.remote)}/128`, packet);
    if (found === undefined || found.isAllowed !== (action === 'ACCEPT')) return [];
    const isIsolation = !found.isAllowed && found.by.length === 0;
    return asking.filter(({ id, directions }) =>
      isIsolation
        ? directions?.includes(direction) === true
        : found.by.includes(Number.parseInt(id.slice(0, 8), 16) >>> 0),
    );
  }
}

/** What rules of an end are asked about: as `refused_by()` of the vrouter. */
function viewOf(
  { asked, goesOn, isServed }: FlowRecord,
  isSender: boolean,
  isReply: boolean,
): { readonly remote: Uint8Array; readonly portBe: number } {
  const seesServed = isReply ? asked : goesOn;
  const view = isServed ? seesServed : isSender ? asked : goesOn;
  const portBe = isReply ? view.sportBe : view.dportBe;
  if (isServed) return { remote: isSender ? goesOn.dst : asked.src, portBe };
  return { remote: isSender ? view.dst : view.src, portBe };
}

/** The packet as the port has it; of one to a Service also the endpoint, about which the rules were asked. */
function lineOf(
  record: FlowRecord,
  { direction, isSender, action }: Judgement,
  port: LocalPort,
  policies: readonly LoggedPolicy[],
): Readonly<Record<string, unknown>> {
  const packet = isSender ? record.asked : record.goesOn;
  const { source, destination } = endsOf(packet);
  const { sourcePort, destinationPort, icmpType } = portsOf(packet);
  return {
    time: new Date(record.atMs).toISOString(),
    action,
    direction,
    policies: policies.map(({ kind, name }) => ({ kind, name })),
    project_id: port.projectId,
    port_id: port.id,
    port_name: port.name,
    protocol: packet.protocol,
    source,
    destination,
    ...(sourcePort === null ? {} : { source_port: sourcePort, destination_port: destinationPort }),
    ...(icmpType === null ? {} : { icmp_type: icmpType }),
    ...(isSender && record.isServed ? endpointOf(record.goesOn) : {}),
  };
}

function endpointOf(tuple: CbTupleKey): Readonly<Record<string, unknown>> {
  const { destination, destinationPort } = endsOf(tuple);
  return { endpoint: destination, endpoint_port: destinationPort };
}
