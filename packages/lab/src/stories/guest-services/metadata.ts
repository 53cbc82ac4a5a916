import { createHmac } from 'node:crypto';
import { type Check, expect } from '../../checks/check.ts';
import { createPort } from '../../cloud.ts';
import { eventually } from '../../eventually.ts';
import { curl, networkData } from './dhcp.ts';
import { SECRET } from './outside.ts';
import { type GuestServicesWorld, INSTANCE } from './world.ts';

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA ann@example.org';

/** The agent’s own metadata, and that of Nova. */
export const METADATA_CHECKS: readonly Check<GuestServicesWorld>[] = [
  {
    group: 'metadata',
    name: 'both trees: keys, user and vendor data, by curl',
    concerns: ['agent-h1', 'server'],
    run: async (lab) => {
      const { vm1 } = lab.guests;
      await lab.tenants.blue.update('port', vm1.portId, {
        'cable:public_keys': [{ name: 'ann', public_key: KEY }],
        'cable:vendor_data': { 'cloud-init': '#cloud-config' },
      });
      await eventually({ what: 'the key to be there', deadlineMs: 10_000 }, async () =>
        (await curl(vm1, '/2009-04-04/meta-data/')).includes('public-keys/') ? true : undefined,
      );
      const wanted: Readonly<Record<string, string>> = {
        '/2009-04-04/meta-data/public-keys/0/openssh-key': KEY,
        '/latest/user-data': '#cloud-config for vm1',
        '/openstack/2012-08-10/user_data': '#cloud-config for vm1',
        '/openstack/latest/vendor_data.json': '{"cloud-init":"#cloud-config"}',
        '/openstack/2016-10-06/vendor_data2.json': '{"static":{"cloud-init":"#cloud-config"}}',
      };
      for (const [path, body] of Object.entries(wanted)) {
        const got = await curl(vm1, path);
        expect(got === body, `${path} is ${JSON.stringify(got)}`);
      }
      const { keys } = JSON.parse(await curl(vm1, '/openstack/latest/meta_data.json'));
      expect(keys?.[0]?.data === KEY, `meta_data.json has the keys ${JSON.stringify(keys)}`);
      return `${Object.keys(wanted).length + 1} documents`;
    },
  },
  {
    group: 'metadata',
    name: 'network_data.json names all ports of the machine, and none of another project’s',
    concerns: ['agent-h1', 'server'],
    run: async (lab) => {
      const { vm1 } = lab.guests;
      const { network, subnet } = lab.networks.blue;
      const host = lab.hosts.h1.name;
      const second = await createPort(lab.tenants.blue, {
        name: 'vm1',
        segment: { network, subnet },
        group: lab.groups.blue,
        host,
      });
      const red = { network_id: lab.networks.red.network.id, device_id: 'vm1-instance', 'binding:host_id': host };
      const stranger = await lab.tenants.red.create('port', red);
      const ids = await eventually({ what: 'the second port to be named', deadlineMs: 10_000 }, async () => {
        const { links } = await networkData(vm1);
        return links.length > 1 ? links.map((link) => String(link['vif_id'])) : undefined;
      });
      expect(ids.length === 2 && ids.includes(second.id) && ids.includes(vm1.portId), `it names ${ids.join(', ')}`);
      await lab.tenants.red.delete('port', stranger.id);
      await lab.tenants.blue.delete('port', second.id);
      return '2 of 2, not the third';
    },
  },
  {
    group: 'metadata',
    name: 'an instance of Nova’s is passed on, signed; what it says of itself is not',
    concerns: ['agent-h2', 'outside', 'server'],
    run: async (lab) => {
      const { vm2 } = lab.guests;
      await lab.tenants.blue.update('port', vm2.portId, { device_id: INSTANCE });
      const forged = ['-H', 'X-Instance-ID: other', '-H', 'X-Tenant-ID: red', '-H', 'X-Forwarded-For: 10.9.9.9'];
      const told = await eventually({ what: 'Nova to be asked', deadlineMs: 10_000 }, async () => {
        const text = await curl(vm2, '/openstack/latest/meta_data.json', ...forged);
        return text.includes('x-instance-id') ? JSON.parse(text) : undefined;
      });
      const signature = createHmac('sha256', SECRET).update(INSTANCE).digest('hex');
      const wanted = [INSTANCE, 'blue', vm2.ip, signature];
      const names = ['x-instance-id', 'x-tenant-id', 'x-forwarded-for', 'x-instance-id-signature'];
      const got = names.map((name) => told.headers[name]);
      expect(JSON.stringify(got) === JSON.stringify(wanted), `Nova heard ${got.join(', ')}`);
      return told.path;
    },
  },
];
