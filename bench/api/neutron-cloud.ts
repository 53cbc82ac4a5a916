import type { Keystone } from '../../test/openstack/keystone.ts';
import type { Database } from '../../test/openstack/mariadb.ts';
import { type Stock, startStock } from '../../test/openstack/stock.ts';
import { type Cloud, create, createNetwork, HOSTS, placeOf } from './cloud.ts';

/** Starts Debian's neutron-server on a MariaDB of its own that waits for the disk, with as many workers as it takes by default. `close` ends both. */
export async function startNeutronCloud(
  directory: string,
  keystone: Keystone,
): Promise<{ readonly cloud: Cloud; readonly close: () => Promise<void> }> {
  const stock: Stock = await startStock(directory, keystone, { isDurable: true, hosts: HOSTS });
  try {
    const place = placeOf(stock.url, await keystone.token(keystone.admin, { project: 'admin' }));
    const networkId = await createNetwork(place);
    const port = { network_id: networkId, device_id: 'device-model' };
    const model = await create(place, '/v2.0/ports', { port });
    const fill = (count: number, from: number): Promise<readonly string[]> =>
      copyPort(stock.database, model, { count, from });
    return { cloud: { name: 'neutron', ...place, networkId, fill }, close: () => stock.close() };
  } catch (err) {
    await stock.close();
    throw err;
  }
}

type Copies = { readonly count: number; readonly from: number };

/**
 * Writes rows as this server wrote them for the model, a port that is bound nowhere, with ids, addresses and devices of their own: two or three ports a second is what it makes
 * when it is asked to.
 */
async function copyPort(database: Database, model: string, { count, from }: Copies): Promise<readonly string[]> {
  if (count === 0) return [];
  const numbers = `seq_1_to_${count}`;
  const [[lastAttribute] = [], [address, ipamSubnet] = []] = [
    (await database.execute('select max(id) from standardattributes'))[0],
    (
      await database.execute(
        `select m.ip_address, m.ipam_subnet_id from ipamallocations m
           join ipallocations i on i.ip_address = m.ip_address where i.port_id = %s`,
        [model],
      )
    )[0],
  ];
  const attribute = `${Number(lastAttribute)} + seq`;
  await database.execute(
    `insert into standardattributes (id, resource_type, description, revision_number, created_at, updated_at)
       select ${attribute}, 'ports', '', 0, utc_timestamp(), utc_timestamp() from ${numbers}`,
  );
  const own: Readonly<Record<string, string>> = {
    ...{ id: idOf(from), port_id: idOf(from), standard_attr_id: attribute, ip_address: addressOf(from) },
    mac_address: `concat('fa:16:40:', ${[4, 2, 0].map((digit) => macByte(from, digit)).join(", ':', ")})`,
    device_id: `concat('device-', ${from} + seq - 1)`,
  };
  for (const { table, column } of await tablesOfPorts(database)) {
    const columns = await columnsOf(database, table);
    const values = columns.map((name) => own[name] ?? `\`${name}\``);
    await database.execute(
      `insert into \`${table}\` (${columns.map((name) => `\`${name}\``).join()})
         select ${values.join()} from \`${table}\`, ${numbers} where \`${table}\`.\`${column}\` = %s`,
      [model],
    );
  }
  await database.execute(
    `insert into ipamallocations (ip_address, status, ipam_subnet_id)
       select ${addressOf(from)}, status, ipam_subnet_id from ipamallocations, ${numbers}
       where ip_address = %s and ipam_subnet_id = %s`,
    [String(address), String(ipamSubnet)],
  );
  const ids = await database.execute(`select ${idOf(from)} from ${numbers} order by seq`);
  return ids.map(([id]) => String(id));
}

function idOf(from: number): string {
  return `concat(lower(lpad(hex(${from} + seq), 8, '0')), '-b000-4000-8000-000000000000')`;
}

/** Far above those that the server gives out itself. */
function addressOf(from: number): string {
  return `inet_ntoa(inet_aton('10.200.0.0') + ${from} + seq)`;
}

function macByte(from: number, digit: number): string {
  return `lower(substr(lpad(hex(${from} + seq), 6, '0'), ${6 - digit - 1}, 2))`;
}

/** The ports themselves first, then what belongs to one. */
async function tablesOfPorts(
  database: Database,
): Promise<readonly { readonly table: string; readonly column: string }[]> {
  const parts = await database.execute(
    `select table_name, column_name from information_schema.key_column_usage
       where table_schema = database() and referenced_table_name = 'ports' and referenced_column_name = 'id'`,
  );
  return [
    { table: 'ports', column: 'id' },
    ...parts.map(([table, column]) => ({ table: String(table), column: String(column) })),
  ];
}

async function columnsOf(database: Database, table: string): Promise<readonly string[]> {
  const rows = await database.execute(
    `select column_name from information_schema.columns where table_schema = database() and table_name = %s
       order by ordinal_position`,
    [table],
  );
  return rows.map(([name]) => String(name));
}
