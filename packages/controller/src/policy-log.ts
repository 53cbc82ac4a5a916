/** What the annotations of a policy ask to have written down of it. Those of Kube-OVN are read as ours; where ours is there, it counts. */
import type { AnyObject, NetworkPolicy } from '@cable/model';

export type PolicyLog = NetworkPolicy['log'];

/** `problem`: why nothing is written down, for people; undefined: nothing is wrong. */
export type AskedLog = { readonly log: PolicyLog; readonly problem?: string };

const OURS = 'cable.io/log';
const KUBE_OVN = 'ovn.kubernetes.io/enable_log';
const KUBE_OVN_ACTIONS = 'ovn.kubernetes.io/log_acl_actions';

const LOGS: readonly PolicyLog[] = ['none', 'allow', 'drop', 'all'];

export function askedLog(annotations: Readonly<Record<string, string>> = {}): AskedLog {
  const given = (name: string): string => annotations[name]?.trim() ?? '';
  const ours = given(OURS);
  if (ours !== '') {
    const log = LOGS.find((one) => one === ours);
    return log === undefined ? bad(OURS, ours, `give ${LOGS.join(', ')}`) : { log };
  }
  const enabled = given(KUBE_OVN);
  if (enabled === '' || enabled === 'false') return { log: 'none' };
  if (enabled !== 'true') return bad(KUBE_OVN, enabled, 'give true or false');
  const text = given(KUBE_OVN_ACTIONS);
  if (text === '') return { log: 'drop' };
  const actions = text.split(',').map((one) => one.trim());
  const unknown = actions.find((one) => one !== 'allow' && one !== 'drop' && one !== 'pass');
  if (unknown !== undefined) return bad(KUBE_OVN_ACTIONS, unknown, 'give allow, drop, or both with a comma between');
  return { log: logOf(actions.includes('allow'), actions.includes('drop')) };
}

/** What Cable is told of a policy: of one that asks for no log, and did not before, none is said, which servers understand that know of no logs. */
export function toldWithLog<B extends { readonly log: PolicyLog }>(
  { log, ...body }: B,
  before: AnyObject | undefined,
): Readonly<Record<string, unknown>> {
  const isNews = log !== 'none' || (before?.['log'] ?? 'none') !== 'none';
  return isNews ? { ...body, log } : body;
}

/** Who passes on decides nothing, so of `pass` there is nothing to write. */
function logOf(allow: boolean, drop: boolean): PolicyLog {
  if (allow) return drop ? 'all' : 'allow';
  return drop ? 'drop' : 'none';
}

function bad(name: string, text: string, remedy: string): AskedLog {
  return { log: 'none', problem: `annotation ${name}: "${text}" is not known: ${remedy}` };
}
