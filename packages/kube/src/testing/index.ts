export { type FakeApiServer, type FakeKind, startFakeApiServer } from './fake-api-server.ts';
export { CONFIG_MAPS, DEPLOYMENTS, kubeApiSuite, type TestedApi } from './kube-api-suite.ts';
