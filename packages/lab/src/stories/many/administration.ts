import { type Check, duration } from '../../checks/check.ts';
import { expectDocument } from '../demo/metadata.ts';
import { expectMeeting } from './meet.ts';
import type { ManyWorld } from './world.ts';

/** The VM's first card: Neutron's, by the vrouter. */
export const ADMINISTRATION_CHECKS: readonly Check<ManyWorld>[] = [
  {
    group: 'administration',
    name: 'the VM is administered over a Neutron network: lease, metadata, ping and TCP',
    concerns: ['agent'],
    run: async ({ guests: { vm, desk } }) => {
      await expectDocument(vm, 'meta-data/instance-id', 'vm-instance');
      const took = await expectMeeting(desk, vm);
      return `${vm.ip} from ${desk.name}: ${duration(took)}`;
    },
  },
];
