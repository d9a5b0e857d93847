import type { Detection } from '../src/detection.ts';
import type { DeviceRecord } from '../src/device-record.ts';

/** A device like a site has them; `fields` replace its own. */
export function aDevice(mac: string, fields: Partial<DeviceRecord> = {}): DeviceRecord {
  return {
    mac,
    label: 'Front office "1"\n',
    contact: 'post@example.com',
    notes: 'Zürich, 東京 \u{1f4e8} \0',
    state: 'enabled',
    proof: 'certificate',
    serial: '0A:1f',
    rights: ['smtp', 'pop3'],
    expiresAt: 1_900_000_000_000,
    revokedAt: null,
    updatedAt: 1_700_000_000_000,
    lastSeenAt: null,
    lastSeenFrom: null,
    ...fields,
  };
}

/** A detection of a relay; `fields` replace its own. */
export function aDetection(key: string, fields: Partial<Detection> = {}): Detection {
  return {
    key,
    at: 1_700_000_000_000,
    source: 'relay',
    reporter: 's1',
    mac: '02:00:5e:10:00:01',
    signature: 'Win.Test.EICAR_HDB-1',
    protocol: 'smtp',
    client: '10.1.2.3:50000',
    destination: 'mail.example.com:587',
    contact: null,
    ...fields,
  };
}

/** The n-th MAC address in order, n below 65,536. */
export function macNumber(n: number): string {
  const hex = n.toString(16).padStart(4, '0');
  return `02:00:5e:10:${hex.slice(0, 2)}:${hex.slice(2)}`;
}
