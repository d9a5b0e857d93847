import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AgentRows, NONE } from './agent-rows.ts';
import { Pool } from './pool.ts';

const AGENTS = 8;
const CELLS = 3;
const steps = fc.array(
  fc.oneof(
    fc.record({ agent: fc.nat(AGENTS - 1), cell: fc.constantFrom(NONE, 0, 1, 2) }),
    fc.record({ agent: fc.nat(AGENTS - 1), active: fc.constantFrom<(0 | 1)[]>(0, 1) }),
  ),
  { maxLength: 60 },
);

test('cells hold who was put there last, and count those that are nothing but rows', () => {
  fc.assert(
    fc.property(steps, (list) => {
      const rows = new AgentRows({ count: AGENTS, cells: CELLS });
      const cellOf = Array.from({ length: AGENTS }, () => NONE);
      const active = Array.from({ length: AGENTS }, () => 0);
      for (const step of list) {
        if ('cell' in step) {
          rows.move(step.agent, step.cell);
          cellOf[step.agent] = step.cell;
        } else {
          rows.setActive(step.agent, step.active);
          active[step.agent] = step.active;
        }
      }
      for (let cell = 0; cell < CELLS; cell += 1) {
        const expected = [...cellOf.keys()].filter((agent) => cellOf[agent] === cell);
        expect([...rows.cell(cell)].sort((a, b) => a - b)).toEqual(expected);
        expect(rows.settledIn(cell)).toBe(expected.filter((agent) => active[agent] === 0).length);
      }
    }),
  );
});

test('a pool holds each agent once, and any of them can be drawn', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(AGENTS - 1)), { maxLength: 60 }), (list) => {
      const pool = new Pool({ count: AGENTS });
      const model = new Set<number>();
      for (const [isIn, agent] of list) {
        if (isIn) pool.add(agent);
        else pool.delete(agent);
        if (isIn) model.add(agent);
        else model.delete(agent);
      }
      expect(pool.size).toBe(model.size);
      const drawn = new Set(Array.from({ length: pool.size }, (_, index) => pool.any(() => (index + 0.5) / pool.size)));
      expect(drawn).toEqual(model);
    }),
  );
});
