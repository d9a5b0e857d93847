import { Resolver } from 'node:dns/promises';
import { expect, test } from 'vitest';
import { startDnsmasq } from './dnsmasq.ts';

test('answers its zone with the TTL, rotates, and follows changes', async () => {
  const managers = ['127.0.1.1', '127.0.2.1', '127.0.3.1'];
  const dnsmasq = await startDnsmasq({ address: '127.0.0.54', zone: { 'manager.test': [...managers, '::1'] }, ttlS: 7 });
  try {
    const resolver = new Resolver({ timeout: 2000, tries: 2 });
    resolver.setServers([dnsmasq.server]);
    const firsts = new Set<string>();
    for (let i = 0; i < 6; i += 1) {
      const answers = await resolver.resolve4('manager.test', { ttl: true });
      expect(answers.map((answer) => answer.address).sort()).toEqual(managers);
      expect(answers[0]!.ttl).toBe(7);
      firsts.add(answers[0]!.address);
    }
    expect(firsts.size).toBeGreaterThan(1);
    expect(await resolver.resolve6('manager.test')).toEqual(['::1']);
    await dnsmasq.set('manager.test', ['127.0.3.1', '127.0.4.1']);
    expect((await resolver.resolve4('manager.test')).sort()).toEqual(['127.0.3.1', '127.0.4.1']);
    await dnsmasq.set('manager.test', []);
    await expect(resolver.resolve4('manager.test')).rejects.toMatchObject({ code: 'ENOTFOUND' });
    await expect(resolver.resolve4('example.com')).rejects.toMatchObject({ code: 'EREFUSED' });
  } finally {
    await dnsmasq.stop();
  }
});
