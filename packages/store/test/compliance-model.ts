import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { OverrideRegister } from '../src/override.ts';
import type { Handles, StoreUnderTest } from './store-under-test.ts';

/** Any sequence of orders through two handles has the effect it has on a Map. */
export function describeModel(handles: Handles, underTest: () => StoreUnderTest, numRuns: number): void {
  const relay = fc.constantFrom('relay-1', 'relay-2', '127.0.0.1:8025');
  const at = fc.nat(20);
  const order = fc.record({ drain: fc.boolean(), weight: fc.option(fc.nat(5)), by: fc.string({ maxLength: 5 }), at });
  const command = fc.oneof(
    fc.record({ kind: fc.constant('set' as const), relay, order, first: fc.boolean() }),
    fc.record({ kind: fc.constant('clear' as const), relay, by: fc.string({ maxLength: 5 }), at, first: fc.boolean() }),
    fc.record({ kind: fc.constant('restore' as const), relay, order, first: fc.boolean() }),
  );

  it('has the registers of a simple model after any sequence of orders', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 15 }), async (commands) => {
        await underTest().wipe();
        const { store, other } = handles();
        const model = new Map<string, OverrideRegister>();
        let changes = 0;
        for (const one of commands) {
          const handle = one.first ? store : other;
          const previous = model.get(one.relay);
          const later = (at: number): number => Math.max(at, (previous?.at ?? -1) + 1);
          if (one.kind === 'clear') {
            await handle.clearOverride(one.relay, { by: one.by, at: one.at });
            model.set(one.relay, { kind: 'cleared', by: one.by, at: later(one.at) });
          } else if (one.kind === 'set') {
            await handle.setOverride(one.relay, one.order);
            model.set(one.relay, { kind: 'set', ...one.order, at: later(one.order.at) });
          } else {
            const register: OverrideRegister = { kind: 'set', ...one.order };
            await handle.restoreOverrides(new Map([[one.relay, register]]));
            if (previous !== undefined && previous.at >= register.at) continue;
            model.set(one.relay, register);
          }
          changes += 1;
        }
        const snapshot = await store.overridesSnapshot();
        expect(snapshot.registers).toEqual(model);
        expect(snapshot.changes).toBe(changes);
        const active = [...model].filter(([, { kind }]) => kind === 'set').map(([name]) => name);
        expect([...(await other.overrides()).keys()].toSorted()).toEqual(active.toSorted());
      }),
      { numRuns },
    );
  });
}
