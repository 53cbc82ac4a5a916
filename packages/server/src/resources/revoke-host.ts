/** `revoke` of a host: what certificates it has are refused, at every server from when it knows of it. Its row stays, and its ports. */
import type { AnyObject, HostCertificate } from '@cable/model';
import { transact } from '../engine/commit.ts';
import type { ActionHandler, Planning } from '../engine/context.ts';
import { type Contribution, contribute } from '../engine/module.ts';
import { permittedRow } from '../engine/write.ts';
import { certificateKey, planRevoke } from '../pki/host-certificates.ts';

const revoke: ActionHandler = async (deps, id, _body, asked) => {
  const resource = deps.resources.named('host');
  await deps.lock.run([certificateKey(id)], asked, () =>
    transact(deps, asked, (planning) => {
      permittedRow(planning, resource, id, (before) => ({ verb: 'action', before, action: 'revoke' }));
      planRevoke(planning.plan, id, deps.now());
    }),
  );
  return undefined;
};

/** A host that goes, or gets another name, takes its certificates with it, where hosts have some. */
export function revokeGone({ deps, plan }: Planning, host: string): void {
  if (deps.settings.hostsHaveCertificates === true || plan.get('host_certificate', host) !== undefined) {
    planRevoke(plan, host, deps.now());
  }
}

export const revokeHostModule: Contribution<AnyObject> = { actions: { revoke } };

/** What is known of hosts' certificates: written by those who join, and by those who revoke. */
export const hostCertificateModule: Contribution<AnyObject> = contribute<HostCertificate>({});
