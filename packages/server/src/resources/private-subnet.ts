/** Private subnets: with whom they exchange packets besides. */
import { type AnyObject, CableError, parseCidr, type Subnet } from '@cable/model';
import { type Contribution, contribute } from '../engine/module.ts';

export const privateSubnetModule: Contribution<AnyObject> = contribute<Subnet>({
  check: (_view, subnet, before) => {
    const { 'cable:allow_subnets': allowed, ip_version: version } = subnet;
    if (before?.['cable:allow_subnets'] === allowed) return;
    // One that was stored before there were private subnets names none.
    const other = (allowed ?? []).find((one) => parseCidr(one)?.base.version !== version);
    if (other === undefined) return;
    throw new CableError(
      'InvalidInput',
      `Invalid input for operation: cable:allow_subnets: ${other} is no prefix of IPv${version}, which the subnet is of.`,
      { detail: 'Give it to the subnet of the other version of IP.' },
    );
  },
});
