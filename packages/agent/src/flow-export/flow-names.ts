import type { LocalPort } from '@cable/model';
import { ruleText } from '../asks/flows.ts';
import { CB_USE_PASSING } from '../bpf/abi.gen.ts';
import { idOf, kindOf, typedSlices } from '../plan/inputs.ts';
import type { Planner } from '../plan/planner.ts';
import type { ListedSlices } from '../show/names.ts';

/** A port of this host at the end of a flow. */
export type FlowEnd = {
  readonly portId: string;
  readonly portName: string;
  readonly projectId: string;
  /** One of so many of its flows is exported; 0: none. */
  readonly oneOf: number;
};

export type FlowNamesDeps = {
  readonly host: string;
  readonly slices: ListedSlices;
  readonly planner: Pick<Planner, 'ids'>;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
};

/** What the ends of a record are called. */
type Ends = {
  readonly from: FlowEnd | null;
  readonly to: FlowEnd | null;
  readonly networkId: string | null;
  readonly networkName: string;
};

const MAX_RULES = 10_000;
/** A number is given to another only much later. */
const FRESH_MS = 1000;

/**
 * Users' names of the numbers in what the vrouter tells. A port that was deleted is still known by its number until another has that: its flows end after it. Call `refresh`
 * before each batch.
 */
export class FlowNames {
  readonly #deps: FlowNamesDeps;
  readonly #ports = new Map<number, FlowEnd & { readonly policy: string | null }>();
  readonly #networks = new Map<number, string>();
  readonly #rules = new Map<number, string>();
  #refreshed = Number.NEGATIVE_INFINITY;
  /** Numbers that were looked for in vain since they were taken in. */
  #isMissed = false;

  constructor(deps: FlowNamesDeps) {
    this.#deps = deps;
  }

  /** Takes in who has which number, unless that was done just now. */
  refresh(): void {
    this.#isMissed = false;
    if (this.#deps.now() - this.#refreshed >= FRESH_MS) this.#takeIn();
  }

  #takeIn(): void {
    this.#refreshed = this.#deps.now();
    const { host, slices: listed, planner } = this.#deps;
    const slices = typedSlices(listed);
    for (const [id, vif] of planner.ids('vif')) {
      const port: LocalPort | undefined = slices.item('host', host, id) ?? slices.item('standby', host, id);
      if (port === undefined) continue;
      const { name, projectId, flowExport = 0, policy } = port;
      this.#ports.set(vif, { portId: id, portName: name, projectId, oneOf: flowExport, policy });
    }
    for (const [id, net] of planner.ids('network')) this.#networks.set(net, id);
    this.#rules.clear();
  }

  /** Does a port of this host export flows? */
  get exports(): boolean {
    for (const { oneOf } of this.#ports.values()) if (oneOf > 0) return true;
    return false;
  }

  oneOf(vif: number): number {
    return this.#ports.get(vif)?.oneOf ?? 0;
  }

  portId(vif: number): string | undefined {
    return this.#ports.get(vif)?.portId;
  }

  of([from = 0, to = 0]: readonly number[], net: number): Ends {
    const isNew = [from, to].some((vif) => vif !== 0 && vif !== CB_USE_PASSING && !this.#ports.has(vif));
    if (isNew && !this.#isMissed) {
      this.#takeIn();
      this.#isMissed = true;
    }
    const networkId = this.#networks.get(net) ?? null;
    const network = networkId === null ? undefined : typedSlices(this.#deps.slices).header('network', networkId);
    return {
      from: this.#ports.get(from) ?? null,
      to: this.#ports.get(to) ?? null,
      networkId,
      networkName: network?.name ?? '',
    };
  }

  /** The rule whose id begins with these bits: of the groups of its ends, else any; as much as is known of it. Null: no rule. */
  rule(bits: number, owners: readonly number[]): string | null {
    if (bits === 0) return null;
    const known = this.#rules.get(bits);
    if (known !== undefined) return known;
    const start = ruleText(bits);
    const found = this.#find(start, owners) ?? start;
    if (this.#rules.size >= MAX_RULES) this.#rules.clear();
    this.#rules.set(bits, found);
    return found;
  }

  #find(start: string, owners: readonly number[]): string | undefined {
    const slices = typedSlices(this.#deps.slices);
    for (const owner of owners) {
      const key = this.#ports.get(owner)?.policy ?? null;
      if (key === null || kindOf(key as `policy:${string}`) !== 'policy') continue;
      for (const [, { id }] of slices.items('policy', idOf(key as `policy:${string}`)))
        if (id.startsWith(start)) return id;
    }
    return undefined;
  }
}
