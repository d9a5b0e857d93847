import type { Detection } from '@sekisho/store';
import type { Sighting } from '../core/sighting.ts';

let keys = 0;

/** A detection of a relay, with a key of its own; `fields` replace its own. */
export function aDetection(fields: Partial<Detection> = {}): Detection {
  keys += 1;
  return {
    key: `k${keys}`,
    at: 1_700_000_000_000,
    source: 'relay',
    reporter: 's1',
    mac: macNumber(1),
    signature: 'Win.Test.EICAR_HDB-1',
    protocol: 'smtp',
    client: '192.168.1.5:50000',
    destination: 'mail.example.com:587',
    contact: null,
    ...fields,
  };
}

/** The same as the watch sees it. */
export function aSighting(fields: Partial<Detection> & { readonly label?: string; readonly registeredContact?: string } = {}): Sighting {
  const { label = '', registeredContact = '', ...rest } = fields;
  return { detection: aDetection(rest), label, registeredContact };
}

/** The n-th MAC address, n below 65,536. */
export function macNumber(n: number): string {
  const hex = n.toString(16).padStart(4, '0');
  return `02:00:5e:10:${hex.slice(0, 2)}:${hex.slice(2)}`;
}
