/** Security groups' logs: a line for the first packet of each connection that is let through, and for each that is dropped, of ports that logs are about. */
import type { LocalPort } from '@cable/model';
import { endsOf, portsOf } from '../asks/tuples.ts';
import type { FlowRecord } from '../flow-export/flow-record.ts';
import { createRateLimit, type RateLimit } from '../guest/rate-limit.ts';
import { typedSlices } from '../plan/inputs.ts';
import type { ListedSlices } from '../show/names.ts';
import { type Judgement, judgedPort, judgementsOf } from './judgements.ts';
import { CLOUD, logsOf } from './logs-of.ts';

/** Lines of a port a second, and at once after a pause: as much as the vrouter tells of a port that exports nothing. */
const PORT_RATE = 100;
const PORT_BURST = 200;
/** Of the host, whatever ports: what guests may make it write. */
const HOST_RATE = 1000;
const HOST_BURST = 2000;

/** Drops by security groups, each with the end whose groups they are. */
const DROPS: Readonly<Record<string, Side>> = { policy_egress: 'egress', policy_ingress: 'ingress' };

type Side = Judgement['direction'];
type Action = Judgement['action'];

export type PacketLogCounters = {
  /** Lines that were written. */
  readonly packet_log_lines: number;
  /** Above the rates, or for which the file had no room. */
  readonly packet_log_held: number;
};

export type PacketLogDeps = {
  readonly host: string;
  readonly slices: ListedSlices;
  /** Takes a line; false: there is no room. */
  readonly write: (line: string) => boolean;
  /** Milliseconds, monotonic. */
  readonly nowMs: () => number;
};

/** Writes what the vrouter tells, as far as logs ask for it. */
export class PacketLogger {
  readonly #deps: PacketLogDeps;
  readonly #ports: RateLimit<string>;
  readonly #all: RateLimit<string>;
  #lines = 0;
  #held = 0;

  constructor(deps: PacketLogDeps) {
    this.#deps = deps;
    const now = deps.nowMs;
    this.#ports = createRateLimit({ perSecond: PORT_RATE, burst: PORT_BURST, now });
    this.#all = createRateLimit({ perSecond: HOST_RATE, burst: HOST_BURST, now });
  }

  get counters(): PacketLogCounters {
    return { packet_log_lines: this.#lines, packet_log_held: this.#held };
  }

  take(record: FlowRecord): void {
    for (const one of judgementsOf(record, DROPS)) this.#log(record, one);
  }

  #log(record: FlowRecord, { direction: side, isSender, action }: Judgement): void {
    const port = judgedPort(record, isSender, this.#deps);
    if (port === undefined) return;
    const ids = this.#logsOf(port, action);
    if (ids.length === 0) return;
    const isRoom =
      this.#ports.take(port.id) &&
      this.#all.take('') &&
      this.#deps.write(JSON.stringify(lineOf(record, { port, side, isSender, action, ids })));
    if (isRoom) this.#lines += 1;
    else this.#held += 1;
  }

  #logsOf(port: LocalPort, action: Action): readonly string[] {
    const logs = [...typedSlices(this.#deps.slices).items('logs', CLOUD)].map(([, log]) => log);
    return logsOf(port, logs)
      .filter((log) => (action === 'ACCEPT' ? log.accepts : log.drops))
      .map(({ id }) => id);
  }
}

type About = {
  readonly port: LocalPort;
  readonly side: Side;
  readonly isSender: boolean;
  readonly action: Action;
  readonly ids: readonly string[];
};

/** In the words of Neutron's agent, and the packet as the port has it: behind a floating IP, with the address of its own. */
function lineOf(record: FlowRecord, { port, side, isSender, action, ids }: About): Readonly<Record<string, unknown>> {
  const packet = isSender ? record.asked : record.goesOn;
  const { source, destination } = endsOf(packet);
  const { sourcePort, destinationPort, icmpType } = portsOf(packet);
  return {
    time: new Date(record.atMs).toISOString(),
    action,
    direction: side,
    project_id: port.projectId,
    log_resource_ids: ids,
    vm_port: port.id,
    protocol: packet.protocol,
    source,
    destination,
    ...(sourcePort === null ? {} : { source_port: sourcePort, destination_port: destinationPort }),
    ...(icmpType === null ? {} : { icmp_type: icmpType }),
    ...(record.rule === null ? {} : { rule: record.rule }),
  };
}
