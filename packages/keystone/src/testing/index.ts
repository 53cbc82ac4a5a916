export { type FakeFault, type FakeKeystone, startFakeKeystone } from './fake-keystone.ts';
export { keystoneSuite, serviceAccess, type TestedKeystone } from './keystone-suite.ts';
