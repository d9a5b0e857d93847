import { expect, test } from 'vitest';
import { updateScript, zoneLines } from './zone-change.ts';

const CHANGE = { name: 'manager.example.com', addresses: ['192.0.2.11', '2001:db8::11'], ttlS: 60 } as const;

test('a site that joins adds its addresses, with the TTL', () => {
  expect(zoneLines(CHANGE)).toEqual(['manager.example.com. 60 IN A 192.0.2.11', 'manager.example.com. 60 IN AAAA 2001:db8::11']);
  expect(updateScript({ kind: 'join', ...CHANGE }, { server: { host: '192.0.2.53', port: 5353 }, zone: 'example.com' })).toEqual([
    'server 192.0.2.53 5353',
    'zone example.com',
    'update add manager.example.com. 60 A 192.0.2.11',
    'update add manager.example.com. 60 AAAA 2001:db8::11',
    'send',
  ]);
});

test('one that leaves deletes exactly its addresses, if the name still has those that were looked at', () => {
  expect(updateScript({ kind: 'leave', ...CHANGE })).toEqual([
    'update delete manager.example.com. A 192.0.2.11',
    'update delete manager.example.com. AAAA 2001:db8::11',
    'send',
  ]);
  const before = ['192.0.2.11', '198.51.100.1'];
  expect(updateScript({ kind: 'leave', ...CHANGE, addresses: ['192.0.2.11'] }, { unlessChangedFrom: before })).toEqual([
    'prereq yxrrset manager.example.com. A 192.0.2.11',
    'prereq yxrrset manager.example.com. A 198.51.100.1',
    'prereq nxrrset manager.example.com. AAAA',
    'update delete manager.example.com. A 192.0.2.11',
    'send',
  ]);
});
