import { after } from 'node:test';
import { silentLogger } from '@cable/kit';
import { contractSuite } from '../testing/contract-suite.ts';
import { startEtcd } from '../testing/etcd-server.ts';
import { openEtcd } from './etcd-store.ts';

const etcd = await startEtcd();
after(() => etcd.remove());
contractSuite('etcd', () => openEtcd({ endpoints: [etcd.endpoint], log: silentLogger() }));
