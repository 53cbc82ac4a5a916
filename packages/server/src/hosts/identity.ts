import { CableError, type HostRegistration } from '@cable/model';
import type { AliveRow } from '../rows.ts';

/** Who speaks for a host: which machine, which run of its agent, from which address. Null: an agent of protocol 1, which says neither. */
export type HostIdentity = Pick<AliveRow, 'agentId' | 'session'> & {
  readonly underlay: string;
  /** The run before this one, as the machine remembers it; null: none, or not told. */
  readonly previousSession: string | null;
};

export function identityOf(registration: HostRegistration): HostIdentity {
  const { agentId = null, session = null, previousSession = null, underlay } = registration;
  return { agentId, session, previousSession, underlay };
}

/**
 * Whether the newcomer may have the name of a host that is alive; throws `HostNameInUse` when it is another machine. `hasStream`: the holder's run
 * has an open stream at this server, so it is certainly there. `holderUnderlay`: of a holder whose row does not tell it.
 *
 * | newcomer | same underlay | another underlay |
 * |---|---|---|
 * | same agent id, and the holder is its previous run | takes over | takes over, unless the holder has a stream |
 * | same agent id, another previous run (a copy of the machine's disk) | takes over | refused |
 * | another agent id, or one of the two has none | takes over (the state directory was lost; another version) | refused |
 * | both of protocol 1 | takes over | takes over, unless the holder has a stream |
 */
export function admit(
  host: string,
  newcomer: HostIdentity,
  holder: AliveRow,
  facts: { readonly hasStream: boolean; readonly holderUnderlay: string | undefined },
): void {
  const underlay = holder.underlay ?? facts.holderUnderlay;
  if (underlay === undefined || underlay === newcomer.underlay) return;
  const isSameRun = newcomer.session !== null && newcomer.session === holder.session;
  const isNextRun = newcomer.previousSession === holder.session && !facts.hasStream;
  if (newcomer.agentId === holder.agentId && (isSameRun || isNextRun)) return;
  throw new CableError(
    'HostNameInUse',
    `Host ${host} is alive at ${underlay}: the agent at ${newcomer.underlay} is of another machine.`,
    { fields: { host, underlay: newcomer.underlay, holderUnderlay: underlay } },
  );
}

/** The answer to a report or a stream of a run that is not the host's present one. `session`: what the refused run is called; null: it names none. */
export function superseded(host: string, session: string | null): CableError {
  if (session !== null) {
    return new CableError('HostSuperseded', `Another run of the agent speaks for host ${host} now.`, {
      fields: { host },
    });
  }
  return new CableError('HostSuperseded', `The agent of host ${host} names its run, and this request names none.`, {
    fields: { host },
    detail:
      'Nothing has changed: only the agent speaks for its host. To see what a host is told, run cable show agent there. An agent of protocol 1 has to register first.',
  });
}
