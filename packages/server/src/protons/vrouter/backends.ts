/**
 * Back ends of protons that the vrouter has: what the stored version of a model must have for each, and what objects of its types do besides. Adding one is an entry in `BACKENDS`.
 */
import type { AnyObject } from '@cable/model';
import type { DeclaredObject } from '@cable/proton';
import type { Contribution } from '../../engine/module.ts';
import { chainPart, chainProblems } from './chain.ts';
import { circuitPart, circuitProblems } from './circuit.ts';
import { l3vpnPart, l3vpnProblems, VPNS_A_PROJECT, vpnTypeOf } from './l3vpn.ts';

/** What a type of a proton does besides. Called after what is done for every proton. */
export type BackendPart = Pick<
  Contribution<AnyObject>,
  'created' | 'change' | 'changed' | 'check' | 'claims' | 'lockKeys' | 'remove' | 'removed'
>;

/** The stored version of the model. */
export type BackendModel = { readonly proton: string; readonly declared: readonly DeclaredObject[] };

export type Backend = {
  /** Another number where other rows are made of the same objects. */
  readonly derivation: number;
  /** What the model lacks, each a sentence without its full stop; empty: the back end can read it. Pure. */
  readonly problems: (declared: readonly DeclaredObject[]) => readonly string[];
  /** How many objects of a type each project may have from its install on, by type, where nobody has said it; absent: as of every proton. */
  readonly quotas?: (declared: readonly DeclaredObject[]) => Readonly<Record<string, number>>;
  /** What one of its types does besides. */
  readonly part: (model: BackendModel, own: DeclaredObject) => BackendPart;
};

const BACKENDS: Readonly<Record<string, Backend>> = {
  'vrouter-l3vpn': {
    ...{ derivation: 1, problems: l3vpnProblems, part: l3vpnPart },
    quotas: (declared) => ({ [vpnTypeOf(declared) ?? '']: VPNS_A_PROJECT }),
  },
  'vrouter-circuit': { derivation: 1, problems: circuitProblems, part: circuitPart },
  'vrouter-chain': { derivation: 1, problems: chainProblems, part: chainPart },
};

/** Undefined: there is none of that name. */
export function backendNamed(name: string): Backend | undefined {
  return Object.hasOwn(BACKENDS, name) ? BACKENDS[name] : undefined;
}

/** Which rules this server has for a back end; 0: for none; undefined: it does not have it. */
export function derivationOf(name: string | null): number | undefined {
  return name === null ? 0 : backendNamed(name)?.derivation;
}

/** Why a proton cannot have the back end; undefined: it can. */
export function backendProblem(name: string, declared: readonly DeclaredObject[]): string | undefined {
  const backend = backendNamed(name);
  if (backend === undefined) {
    return `there is no back end ${name.slice(0, 64)}: there are ${Object.keys(BACKENDS).join(', ')}, and none (empty)`;
  }
  const problems = backend.problems(declared);
  return problems.length === 0 ? undefined : `${name} cannot read the model: ${problems.join('; ')}`;
}
