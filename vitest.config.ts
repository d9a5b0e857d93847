import { defineConfig } from 'vitest/config';

// Unit tests stand beside the code; what needs several processes or real servers stands under test/.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['packages/*/src/**/*.test.ts', 'test/rules/**/*.test.ts', 'test/bench/**/*.test.ts'],
          testTimeout: 20_000,
          // Many of them wait for deadlines and not for a core.
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/kit/**/*.test.ts', 'test/integration/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 60_000,
          // A real server may be late once on a busy machine. What was tried again is named in the output; a defect fails twice.
          retry: 1,
          // Real servers and timings on few cores: many files at once disturb each other's clocks. Two mostly wait.
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
