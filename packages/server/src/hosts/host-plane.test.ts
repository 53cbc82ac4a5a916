import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  openTemporaryStore,
  patchObject,
  portStatusOf,
  putObject,
  startServer,
  TestAgent,
  type TestServer,
  testNetwork,
  testPort,
  untilStatus,
} from './plane.fixture.ts';

describe('host plane', () => {
  let place: Awaited<ReturnType<typeof openTemporaryStore>>;
  let server: TestServer;
  let h1: TestAgent;
  let h2: TestAgent;
  const network = testNetwork(1);

  before(async () => {
    place = await openTemporaryStore();
    server = await startServer(place.store);
    h1 = new TestAgent(server.url, 'h1');
    h2 = new TestAgent(server.url, 'h2');
    assert.equal((await h1.register('192.0.2.1')).status, 204);
    assert.equal((await h2.register('192.0.2.2')).status, 204);
    await h1.connect();
    await h2.connect();
    await putObject(place.store, 'network', network);
  });

  after(async () => {
    h1.disconnect();
    h2.disconnect();
    await server.stop();
    await place.remove();
  });

  test('a port becomes ACTIVE when its device is up and both hosts have acknowledged', async () => {
    h1.devices.add(testPort(0x10, network, 'h1').id);
    h2.devices.add(testPort(0x11, network, 'h2').id);
    await putObject(place.store, 'port', testPort(0x11, network, 'h2'));
    await untilStatus(server, testPort(0x11, network, 'h2').id, 'ACTIVE');
    h2.acknowledges = false;
    const port = testPort(0x10, network, 'h1');
    await putObject(place.store, 'port', port);
    await h1.until(() => h1.slices.has(`network:${network.id}`));
    await h2.until(() => {
      const slice = h2.slices.get(`network:${network.id}`);
      return slice?.kind === 'network' && slice.endpoints.length === 2;
    });
    await h1.report();
    assert.equal(portStatusOf(server, port.id), 'DOWN');
    h2.acknowledges = true;
    h2.revision = server.tables.revision;
    await h2.report();
    await untilStatus(server, port.id, 'ACTIVE');
  });

  test('a port goes DOWN when its device goes', async () => {
    const { id } = testPort(0x10, network, 'h1');
    h1.devices.delete(id);
    await h1.report();
    await untilStatus(server, id, 'DOWN');
    h1.devices.add(id);
    await h1.report();
    await untilStatus(server, id, 'ACTIVE');
    await patchObject(place.store, 'port', id, { admin_state_up: false });
    await untilStatus(server, id, 'DOWN');
  });
});
