export { customResourceSuite, THINGS, THINGS_DEFINITION, type Thing, thing } from './custom-resource-suite.ts';
export { type FakeApiServer, type FakeKind, startFakeApiServer } from './fake-api-server.ts';
export { CONFIG_MAPS, DEPLOYMENTS, kubeApiSuite, PODS, SERVICE_ACCOUNTS, type TestedApi } from './kube-api-suite.ts';
export { LEASES, leaseSuite } from './lease-suite.ts';
export { reflectorSuite } from './reflector-suite.ts';
