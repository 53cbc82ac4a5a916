/** `revoke` of a host: what certificates it has are refused, at every server from when it knows of it. Its row, if it has one yet, stays, and its ports. */
import type { AnyObject, HostCertificate } from '@cable/model';
import { transact } from '../engine/commit.ts';
import type { ActionHandler, Planning } from '../engine/context.ts';
import { type Contribution, contribute } from '../engine/module.ts';
import { permit } from '../engine/permission.ts';
import { permittedRow } from '../engine/write.ts';
import { certificateKey, planRevoke } from '../pki/host-certificates.ts';
import type { Deed } from '../policy/authorize.ts';

const revoke: ActionHandler = async (deps, id, _body, asked) => {
  const resource = deps.resources.named('host');
  await deps.lock.run([certificateKey(id)], asked, () =>
    transact(deps, asked, (planning) => {
      const deed = (before: AnyObject): Deed => ({ verb: 'action', before, action: 'revoke' });
      // One that has joined has a certificate before it has a row.
      const hasCertificate = planning.plan.rely('host_certificate', id) !== undefined;
      if (hasCertificate && planning.plan.get('host', id) === undefined) permit(planning, resource, id, deed({ id }));
      else permittedRow(planning, resource, id, deed);
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
