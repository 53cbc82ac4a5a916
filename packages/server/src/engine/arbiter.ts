/** Ports of which Neutron's API shows that they are there, and that are others': they came by protons. */
import type { Attributes, Filter } from '@cable/api';
import type { AnyObject, Port } from '@cable/model';
import type { Asked, EngineDeps, Planning } from './context.ts';

/** Types of which it has some. */
export const ARBITERED: ReadonlySet<string> = new Set(['port', 'network', 'subnet']);

/** What it does for Neutron's doors. */
export type Arbiter = {
  /** A port, or the network or subnet that is made up for one, as Neutron shows it; undefined: it is of no proton. Throws `ServiceUnavailable` for a port of one that is not loaded here. */
  readonly row: (type: string, id: string) => AnyObject | undefined;
  /** A port; undefined: it is of no proton, or of one that is not loaded here. */
  readonly known: (id: string) => AnyObject | undefined;
  /** The same of a list: only what a filter names by id, machine, host or network. */
  readonly rows: (type: string, filters: readonly Filter[]) => readonly AnyObject[];
  /** Plans a change of a port that is a proton's; undefined: it is not. */
  readonly update: (
    planning: Planning,
    id: string,
    changes: Attributes,
    ifRevision: number | null,
  ) => AnyObject | undefined;
  /** Plans other bindings of a port that the vrouter carries; answers it as it is then. Undefined: it is no proton's. Throws for one that controllers bind. */
  readonly rebind: (planning: Planning, id: string, step: (port: Port) => Partial<Port>) => Port | undefined;
  /** Plans its deletion; false: it is not a proton's. */
  readonly remove: (planning: Planning, id: string, ifRevision: number | null) => boolean;
  /** Waits until it is bound, or has failed; answers it as it is then. */
  readonly settled: (deps: EngineDeps, id: string, asked: Asked) => Promise<AnyObject>;
};

const made = new WeakSet<AnyObject>();

/** Notes that the row was made up: nothing is computed of it. */
export function markMade(row: AnyObject): AnyObject {
  made.add(row);
  return row;
}

/** True: it was made up, and has everything that is shown. */
export function isMadeUp(row: AnyObject): boolean {
  return made.has(row);
}
